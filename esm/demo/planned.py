"""The demo's day plans: hours of a virtual day that are counted, and a plan of today that is followed while one looks.

The plan of today is one plant's, in slots of five minutes from the next one to the end of the day, carried out by our
dispatcher. Its values are a forecast of the modelled plant's own time, which runs faster than the clock.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from django.db import connections

from dispatch.models import Proof, Verification
from esm.clock import Clock
from esm.demo.installation import DemoInstallation
from esm.virtual_day.database import own_database
from esm.virtual_day.plan import forecast_slots, publish_plan
from esm.virtual_day.run import DayOptions, run_day
from metering.days import LocalDay, local_day_of
from plants.errors import DomainError
from plants.models import Plant
from schedules.models import PlanSlot, RunState, SlotRun
from schedules.slots import grid_of_day, local_text
from voke_sim.config import SimConfig

log = structlog.get_logger(__name__)
PLANNED_PLANT = "BUS-DEPOT"
"""The operator of the tour sends it nothing that is accepted."""
SLOT_MINUTES = 5
HOURS_UNTIL = "01:30"
_LOOK_EVERY_S = 1.0
_TRY_AGAIN_S = 60.0
_ZONE = "Europe/Prague"


def planned_hours(*, at: datetime, seed: int) -> Mapping[str, object]:
    """The first hours of today on the virtual clock, in a database of their own: slots by what became of them."""
    options = DayOptions(day=local_day_of(at, zone=_ZONE).day, seed=seed, until=HOURS_UNTIL)
    with own_database():
        result = run_day(options)
    plan = result["plan"]
    if not isinstance(plan, dict):
        raise TypeError("a virtual day tells of its plan")
    return plan


@dataclass(kw_only=True)
class TodaysPlan:
    """Publishes the plan of today when there is none, and tells what becomes of its slots.

    `plant_time_s`: the modelled plants' own time by externalPlantId, now.
    """

    installation: DemoInstallation
    config: SimConfig
    plant_time_s: Callable[[], Mapping[str, float]]
    say: Callable[[str, datetime], None]
    _day: LocalDay | None = None
    _told: dict[int, str] = field(default_factory=dict)
    _judged: set[int] = field(default_factory=set)

    def run(self, stop: threading.Event, *, clock: Clock) -> None:
        """Look every second until `stop`; in a thread of its own."""
        try:
            while not stop.is_set():
                try:
                    self.look(at=clock())
                except DomainError as error:  # a latch, a switch: the plan comes when it can
                    log.info("no plan today", action="demo.plan", code=error.code)
                    stop.wait(_TRY_AGAIN_S)
                stop.wait(_LOOK_EVERY_S)
        finally:
            connections.close_all()

    def look(self, *, at: datetime) -> None:
        """Publish what is missing, tell what is new."""
        day = local_day_of(at, zone=_ZONE)
        if day != self._day:
            self._publish(day, at=at)
            self._day = day
        self._tell_slots(day, at=at)
        self._tell_verdicts(day, at=at)

    def _publish(self, day: LocalDay, *, at: datetime) -> None:
        site = next(one for one in self.config.sites if one.external_plant_id == PLANNED_PLANT)
        now_s = self.plant_time_s()[PLANNED_PLANT]
        plants = Plant.objects.filter(organisation=self.installation.organisation)
        plants.filter(external_plant_id=PLANNED_PLANT).update(slot_minutes=SLOT_MINUTES)
        ahead = [span for span in grid_of_day(day.day, zone=_ZONE, minutes=SLOT_MINUTES) if span.end_at > at]
        slots = forecast_slots(
            site,
            ahead,
            plant_time=lambda moment: now_s + (moment - at).total_seconds() * self.config.factor,
        )
        publish_plan(PLANNED_PLANT, slots, organisation_id=self.installation.organisation.pk, day=day, at=at)
        self.say(f"planner   {PLANNED_PLANT}: {len(slots)} slots of {SLOT_MINUTES} min until midnight", at)

    def _runs(self, day: LocalDay) -> "dict[int, SlotRun]":
        runs = SlotRun.objects.filter(
            plant__organisation=self.installation.organisation,
            slot__version__plan__day=day.day,
        ).exclude(state=RunState.WAITING)
        return {run.pk: run for run in runs.select_related("slot").order_by("pk")}

    def _tell_slots(self, day: LocalDay, *, at: datetime) -> None:
        for pk, run in self._runs(day).items():
            if self._told.get(pk) == run.state:
                continue
            self._told[pk] = run.state
            why = f" by {run.winner}" if run.winner else f" ({run.cause})" if run.cause else ""
            self.say(f"plan      {_slot_text(run.slot)}: {run.state}{why}", at)

    def _tell_verdicts(self, day: LocalDay, *, at: datetime) -> None:
        runs = {run.command_id: run for run in self._runs(day).values() if run.command_id is not None}
        judged = Verification.objects.filter(command__in=runs.keys() - self._judged).exclude(
            verdict=Proof.PENDING
        )
        for proof in judged.order_by("pk"):
            self._judged.add(proof.pk)
            off = "" if proof.off_by is None else f", {proof.off_by:+.1f} {proof.unit}"
            hint = f" ({proof.hint})" if proof.hint else ""
            self.say(f"plan      {_slot_text(runs[proof.pk].slot)}: {proof.verdict}{off}{hint}", at)


def _slot_text(slot: PlanSlot) -> str:
    start = local_text(slot.start_at, zone=_ZONE)
    return f"{PLANNED_PLANT} {start} {slot.direction} {slot.value:g} kW"
