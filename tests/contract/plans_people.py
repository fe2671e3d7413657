"""What people do in a world of day plans: plan, cancel, override, command, stop and release."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from dispatch.models import Command
from dispatch.policy import current_policy
from dispatch.requests import CommandPayload, CommandRequest
from dispatch.services.commands import submit
from dispatch.services.emergency import release, send_emergency
from dispatch.services.timed import submit_timed
from dispatch.timed_policy import current_timed_policy
from esm import clock
from esm.virtual_day.plan import carried_by, publish_plan
from metering.days import LocalDay
from plants.models import Plant, ScheduleCarrier
from schedules.models import Override, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.services.overrides import begin_override
from schedules.services.publishing import cancel_plan
from schedules.slots import PlannedSlot
from tests.contract.plans_told import ZONE
from tests.factories import OPERATOR
from vcp import (
    AssetType,
    DeviceBatch,
    DeviceCommand,
    DeviceCommandType,
    DeviceParams,
    Direction,
    Emergency,
    EmergencyType,
    Priority,
    SetpointType,
    SiteSetpoint,
)

QUARTER = timedelta(minutes=15)


class People(ABC):
    """People who see a world's clock and its two plants."""

    day: LocalDay
    ours: Plant
    vokes: Plant

    @abstractmethod
    def go_to(self, when: str | datetime, *, vouched: bool = False) -> None:
        """Go to an instant, and stay until everything that follows from it has happened."""

    @property
    def now(self) -> datetime:
        return clock.now()

    def instant(self, when: str | datetime) -> datetime:
        """An instant of the day by its wall clock, with an offset where the clock shows it twice."""
        if isinstance(when, datetime):
            return when
        told = datetime.fromisoformat(f"{self.day.day}T{when}")
        return (told if told.tzinfo else told.replace(tzinfo=ZONE)).astimezone(UTC)

    def slots(self, *kw: float, first: str | datetime = "06:00") -> list[PlannedSlot]:
        """Quarter hours from `first` on; negative = export."""
        begins = self.instant(first)
        return [
            PlannedSlot(
                start_at=begins + number * QUARTER,
                end_at=begins + (number + 1) * QUARTER,
                type=SetpointType.POWER,
                value=abs(value),
                direction=Direction.EXPORT if value < 0 else Direction.IMPORT,
            )
            for number, value in enumerate(kw)
        ]

    def publish(self, plant: Plant, slots: Sequence[PlannedSlot]) -> PlanVersion:
        """Make, check and publish a plant's plan of the day."""
        return publish_plan(
            plant.external_plant_id,
            slots,
            organisation_id=plant.organisation_id,
            day=self.day,
            at=self.now,
        )

    def plan(self, *kw: float, first: str | datetime = "06:00") -> tuple[PlanVersion, PlanVersion]:
        """Publish the same plan for both plants; the version that we carry, and Voke's."""
        slots = self.slots(*kw, first=first)
        versions = self.publish(self.ours, slots), self.publish(self.vokes, slots)
        self.go_to(self.now)
        return versions

    def carried_by(self, plant: Plant, carrier: ScheduleCarrier) -> None:
        """Who carries out the next plan of a plant."""
        carried_by({plant.external_plant_id: carrier}, organisation_id=plant.organisation_id)

    def cancel(self, version: PlanVersion) -> None:
        """End a published plan without a successor."""
        cancel_plan(
            organisation_id=version.plan.organisation_id,
            version_id=version.pk,
            actor=OPERATOR,
            reason="scenario",
            at=self.now,
            policy=current_schedule_policy(),
        )

    def override(self, plant: Plant, kw: float, *, until: str) -> Override:
        """Put an import above the plan."""
        return begin_override(
            organisation_id=plant.organisation_id,
            external_plant_id=plant.external_plant_id,
            payload=self.import_of(kw, until=until),
            until_at=self.instant(until),
            actor=OPERATOR,
            reason="scenario",
            at=self.now,
            policy=current_schedule_policy(),
        )

    def import_of(self, kw: float, *, until: str) -> SiteSetpoint:
        """A power at the grid connection from now on."""
        return SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=kw,
            direction=Direction.IMPORT,
            include_consumption=True,
            priority=Priority.NORMAL,
            valid_from=self.now,
            valid_until=self.instant(until),
        )

    def charge(self, kw: float, *, minutes: float) -> Command:
        """Let the battery of the plant that we carry charge for so long."""
        charging = DeviceCommand(
            device_id="B1",
            asset_type=AssetType.BESS,
            command=DeviceCommandType.BESS_CHARGE,
            params=DeviceParams(power_kw=kw, respect_limits=True),
        )
        return submit_timed(
            organisation_id=self.ours.organisation_id,
            request=CommandRequest(
                external_plant_id=self.ours.external_plant_id,
                payload=DeviceBatch(commands=(charging,)),
                reason="scenario",
            ),
            actor=OPERATOR,
            at=self.now,
            policy=current_policy(),
            timed=current_timed_policy(),
            duration=timedelta(minutes=minutes),
        ).command

    def send(self, plant: Plant, payload: CommandPayload) -> Command:
        """Ask for a command as an operator."""
        request = CommandRequest(
            external_plant_id=plant.external_plant_id, payload=payload, reason="scenario"
        )
        call = send_emergency if isinstance(payload, Emergency) else submit
        return call(
            organisation_id=plant.organisation_id,
            request=request,
            actor=OPERATOR,
            at=self.now,
            policy=current_policy(),
        ).command

    def stop(self, plant: Plant) -> Command:
        """An emergency STOP."""
        return self.send(plant, Emergency(type=EmergencyType.STOP, reason="scenario"))

    def release(self, plant: Plant) -> Command:
        """Release the plant's emergency."""
        return release(
            organisation_id=plant.organisation_id,
            external_plant_id=plant.external_plant_id,
            actor=OPERATOR,
            reason="scenario",
            at=self.now,
            policy=current_policy(),
        )
