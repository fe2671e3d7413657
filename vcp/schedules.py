"""Schedules that the partner sends.

Interpretation: the payloads of `schedule.create` and `schedule.cancel` are not public. The shape here is
the fact sheet's working shape, kept in this one module so that the real contract can replace it.
"""

from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta, field

from vcp.commands import Reason, check_order, check_reason
from vcp.errors import InvalidValue, MissingField
from vcp.said import said
from vcp.structs import Id, NonNegative, Time, WireStruct
from vcp.vocabulary import Direction, Priority, SetpointType

MAX_SLOTS: Final = 3000
"""A month of quarter hours fits."""


class Slot(WireStruct, frozen=True, kw_only=True):
    """A setpoint for the half-open time [starts_at, ends_at); kW for POWER, kWh over the slot for ENERGY."""

    starts_at: Time = field(name="from")
    ends_at: Time = field(name="to")
    type: SetpointType = field(name="type")
    target_value_kw: NonNegative | None = field(name="targetValueKw", default=None)
    target_value_kwh: NonNegative | None = field(name="targetValueKwh", default=None)
    direction: Direction = field(name="direction")
    include_consumption: bool = field(name="includeConsumption")

    def __post_init__(self) -> None:
        check_order(self.starts_at, self.ends_at, "to")
        if self.type == SetpointType.POWER and self.target_value_kw is None:
            raise MissingField(said("a POWER slot needs its power"), path="targetValueKw")
        if self.type == SetpointType.ENERGY and self.target_value_kwh is None:
            raise MissingField(said("an ENERGY slot needs its energy"), path="targetValueKwh")


class ScheduleCreate(WireStruct, frozen=True, kw_only=True):
    """A new schedule: slots in the order of time, none overlapping the one before."""

    schedule_id: Id = field(name="scheduleId")
    priority: Priority = field(name="priority")
    slots: Annotated[tuple[Slot, ...], Meta(min_length=1, max_length=MAX_SLOTS)] = field(name="slots")

    def __post_init__(self) -> None:
        for index, (earlier, later) in enumerate(pairwise(self.slots), start=1):
            if later.starts_at < earlier.ends_at:
                raise InvalidValue(said("begins before the slot before it ends"), path=f"slots[{index}].from")


class ScheduleCancel(WireStruct, frozen=True, kw_only=True):
    """Withdraw a schedule."""

    schedule_id: Id = field(name="scheduleId")
    reason: Reason | None = field(name="reason", default=None)

    def __post_init__(self) -> None:
        check_reason(self.reason)
