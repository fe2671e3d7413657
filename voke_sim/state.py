"""What a site remembers: orders in force, commands under way, alarms, configuration. All of it survives a
restart.

These structs are written to the journal as JSON and read back, so they hold plain values only; the
partner's payloads are kept in wire form and read again by `vcp`.
"""

from datetime import datetime
from typing import Any

import msgspec

from vcp import AckStatus, CommandResult, DeviceCommandType, EmergencyType, OperatingMode, ScheduleStatus
from voke_sim.interpretation import BASE_MODE


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the values that never change once made."""


class Setpoint(Record, frozen=True, kw_only=True):
    """A target for the whole site during a time on the wall clock."""

    key: str
    """messageId, or `{scheduleId}#{slot number}`."""
    rank: int
    """0 NORMAL, 1 HIGH, 2 EMERGENCY."""
    order: int
    """Arrival: of two alike the later one wins."""
    target_kw: float
    """+ = import; of an ENERGY target the mean power."""
    include_consumption: bool
    valid_from: datetime
    valid_until: datetime | None = None
    energy_kwh: float | None = None
    """Signed energy of an ENERGY target; None = POWER."""
    interval_plant_s: float = 0.0
    """Plant time in which the energy flows."""


class SetpointPlan(Record, frozen=True, kw_only=True, tag="setpoint"):
    """Follow a setpoint."""

    setpoint: Setpoint


class DeviceOrder(Record, frozen=True, kw_only=True):
    """What one device was told. Batteries get a window (equal bounds = a fixed power), PV a ceiling."""

    device_id: str
    command: DeviceCommandType
    low_kw: float | None = None
    high_kw: float | None = None
    ceiling_kw: float | None = None
    order: int = 0
    message_id: str = ""


class DevicePlan(Record, frozen=True, kw_only=True, tag="device"):
    """Give each named device its order."""

    orders: tuple[DeviceOrder, ...]


class ModePlan(Record, frozen=True, kw_only=True, tag="mode"):
    """Run in a mode."""

    mode: OperatingMode
    reason: str | None = None
    valid_until: datetime | None = None


class EmergencyPlan(Record, frozen=True, kw_only=True, tag="emergency"):
    """Stop or hold the site."""

    kind: EmergencyType
    reason: str | None = None


Plan = SetpointPlan | DevicePlan | ModePlan | EmergencyPlan


class OpenCommand(msgspec.Struct, kw_only=True):
    """An accepted command that is not finished.

    Waiting while `started_at` is None. After DEVIATED it stays open as long as its order is in force,
    because it may still be COMPLETED.
    """

    message_id: str
    correlation_id: str
    command_type: str
    plan: Plan
    accepted_at: datetime
    not_before: datetime | None = None
    held_ack: AckStatus | None = None
    """An ack that waits for the site to be back online."""
    results: tuple[CommandResult, ...] = ()
    """Per-device results of a PARTIAL verdict."""
    started_at: datetime | None = None
    started_plant_s: float = 0.0
    stable_since_plant_s: float | None = None
    deviated: bool = False
    end_reason: str | None = None
    """Why its order is no longer in force."""
    last_actual_kw: float | None = None
    last_target_kw: float | None = None


class EnergyCount(msgspec.Struct, kw_only=True):
    """How far an ENERGY target has come: signed energy moved and plant time spent."""

    moved_kwh: float = 0.0
    elapsed_plant_s: float = 0.0


class EmergencyState(Record, frozen=True, kw_only=True):
    """An emergency in force. For HOLD the frozen powers by device, kW."""

    kind: EmergencyType
    message_id: str
    batteries_kw: dict[str, float] = {}
    pv_kw: dict[str, float] = {}


class ModeState(Record, frozen=True, kw_only=True):
    """The mode in force and the one to return to when `valid_until` has passed."""

    mode: OperatingMode = BASE_MODE
    base: OperatingMode = BASE_MODE
    reason: str | None = None
    valid_until: datetime | None = None
    is_fallback: bool = False


class Schedule(msgspec.Struct, kw_only=True):
    """A schedule and how far it has come."""

    schedule_id: str
    message_id: str
    correlation_id: str
    status: ScheduleStatus
    slots: tuple[Setpoint, ...]
    watched_slot: int | None = None
    """Index of the slot running at the last tick."""
    watched_reached: bool = False
    """Whether that slot's target was within tolerance at any moment."""


class ActiveAlarm(Record, frozen=True, kw_only=True):
    """An alarm raised and not cleared; `clear_at` None = cleared when its condition ends."""

    alarm_id: str
    key: str
    """What it is about: one alarm at a time per condition."""
    wire: dict[str, Any]
    """The payload as raised."""
    clear_at: datetime | None = None


class SiteState(msgspec.Struct, kw_only=True):
    """Everything of a site but its plant's physics."""

    next_order: int = 1
    mode: ModeState = ModeState()
    emergency: EmergencyState | None = None
    setpoints: list[Setpoint] = []
    device_orders: dict[str, DeviceOrder] = {}
    energy: dict[str, EnergyCount] = {}
    schedules: dict[str, Schedule] = {}
    open_commands: list[OpenCommand] = []
    alarms: list[ActiveAlarm] = []
    constraints: dict[str, Any] | None = None
    topology: dict[str, Any] | None = None
    fallback: dict[str, Any] | None = None
    last_word_at: datetime | None = None
    """When the partner was last heard for this site."""
    mode_broken_since_plant_s: float | None = None

    def take_order(self) -> int:
        """The next number of arrival."""
        order, self.next_order = self.next_order, self.next_order + 1
        return order
