"""A world of the hours around noon in which each scenario has a plant of its own, so that many share one world.

The plants are the demo's brewery, as often as there are scenarios; Voke carries their plans.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from dispatch.models import Command, SiteReport
from esm.demo import installation as demo
from esm.demo.installation import DemoInstallation, ensure_installation
from esm.ticks import BY_NAME, TICKS
from esm.virtual_day.plan import carried_by, publish_plan
from esm.virtual_day.voke import day_config
from esm.virtual_day.world import VirtualWorld
from link.site_reports import HOOKS
from plants.bulk import read_plants
from plants.models import Alarm, Plant, ScheduleCarrier
from plants.services.bulk import save_sheets
from plants.services.connections import attach_plants
from plants.services.partitions import forget_known_partitions
from plants.services.time_config import Author
from schedules.models import PlanEvent, PlanVersion, VokeSchedule
from schedules.policy import current_schedule_policy
from schedules.services.publishing import cancel_plan
from schedules.slots import PlannedSlot
from tests.factories import OPERATOR
from vcp import Direction, SetpointType
from voke_sim.config import SimConfig
from voke_sim.faults import FaultKind, FaultRule
from voke_sim.rest_views import site_config

DAY = date(2026, 3, 3)
MODEL = "BREWERY"
QUARTER = timedelta(minutes=15)
VOKE, US = ScheduleCarrier.VOKE, ScheduleCarrier.DISPATCHER
HOUSEKEEPING = frozenset({
    "deadman", "notify", "rollups", "meter_rollups", "gaps", "recent_bodies", "link_health", "link_spans",
    "notifications", "inbound", "command_retention", "dead_letters", "journal", "config_updates", "plan_retention",
    "stream_periods", "retire_drained", "plants_moved",
})  # fmt: skip
"""Ticks that tidy up, count or watch: none of them touches a plan, and a day with all of them is run in tests/esm."""


class Noon(VirtualWorld):
    """The world, with what a scenario does and what is asked of its plant afterwards."""

    def plan(self, when: str, plant: str, *kw: float) -> None:
        """Publish quarter hours from noon on at an instant; negative = export, 0 = none."""
        self.at(when, lambda _world: self.publish(plant, *kw))

    def publish(self, plant: str, *kw: float) -> PlanVersion:
        return publish_plan(
            plant, self._slots(*kw), organisation_id=self.organisation_id, day=self.day, at=self.now
        )

    def _slots(self, *kw: float) -> list[PlannedSlot]:
        begins = self.instant("12:00")
        return [
            PlannedSlot(
                start_at=begins + number * QUARTER,
                end_at=begins + (number + 1) * QUARTER,
                type=SetpointType.POWER,
                value=abs(value),
                direction=Direction.IMPORT if value > 0 else Direction.EXPORT,
            )
            for number, value in enumerate(kw)
            if value
        ]

    def cancel(self, plant: str) -> None:
        """End the plan that was published last."""
        cancel_plan(
            organisation_id=self.organisation_id,
            version_id=self.versions(plant)[-1].pk,
            actor=OPERATOR,
            reason="rain",
            at=self.now,
            policy=current_schedule_policy(),
        )

    def carried(self, plant: str, carrier: ScheduleCarrier) -> None:
        carried_by({plant: carrier}, organisation_id=self.organisation_id)

    def break_voke(self, plant: str, kind: FaultKind, *families: str, count: int = 1) -> None:
        """Let the stand-in misbehave towards one plant."""
        self.voke.faults.add(FaultRule(kind=kind, site=plant, families=families, count=count))

    def look(self, plant: str) -> None:
        """Ask Voke what it runs, as the tick does over REST."""
        row = Plant.objects.get(external_plant_id=plant)
        site = next(one for one in self.voke.engine.sites if one.config.external_plant_id == plant)
        payload = site_config(self.voke.engine, site, self.now)
        facts = {"asked_at": self.now, "answered_at": self.now, "payload": payload, "error_code": ""}
        report, _ = SiteReport.objects.update_or_create(plant=row, defaults=facts)
        for hook in HOOKS:
            hook(row, report, self.now)

    def look_at(self, plant: str, *when: str) -> None:
        for one in when:
            self.at(one, lambda _world: self.look(plant))

    # What became of it ----------------------------------------------------------------------------------

    def followed(self, plant: str) -> list[tuple[str, str, float | None]]:
        """(wall clock, source, kW) of each target that the plant followed since the world began."""
        site = Plant.objects.get(external_plant_id=plant).voke_uuid
        rows = self.voke.journal.rows(
            "SELECT at, source, target_kw FROM targets WHERE site_id = ? ORDER BY seq", str(site)
        )
        return [
            (f"{datetime.fromisoformat(row['at']).astimezone():%M:%S}", row["source"], row["target_kw"])
            for row in rows
        ]

    def kws(self, plant: str) -> list[float | None]:
        return [kw for _, _, kw in self.followed(plant)]

    def versions(self, plant: str) -> list[PlanVersion]:
        """The versions of its plan, the oldest first."""
        return list(PlanVersion.objects.filter(plan__plant__external_plant_id=plant).order_by("number"))

    def schedules(self, plant: str) -> list[VokeSchedule]:
        """Its schedules at Voke, in the order of their making."""
        rows = VokeSchedule.objects.filter(plant__external_plant_id=plant).order_by("pk")
        return list(rows.select_related("create_command"))

    def words(self, plant: str) -> list[str]:
        """What happened to its plan."""
        events = PlanEvent.objects.filter(version__plan__plant__external_plant_id=plant)
        return list(events.order_by("pk").values_list("word", flat=True))

    def sent(self, plant: str, kind: str) -> int:
        """How many commands of a kind were made for it."""
        return Command.objects.filter(plant__external_plant_id=plant, kind=kind).count()

    def alarm(self, plant: str, code: str) -> Alarm:
        return Alarm.objects.get(plant__external_plant_id=plant, code=code)


@contextmanager
def noon(*plants: str) -> Iterator[Noon]:
    """A world that begins at a quarter to twelve, with so many breweries; theirs are the plans that Voke carries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("esm.virtual_day.world.ensure_installation", lambda *, at: _installation(plants, at))
        patch.setattr("esm.virtual_day.world.day_config", _config)
        assert BY_NAME.keys() >= HOUSEKEEPING
        kept = [tick for tick in TICKS if tick.name not in HOUSEKEEPING]
        patch.setattr("esm.virtual_day.pace.TICKS", kept)
        begins_at = datetime.fromisoformat("2026-03-03T11:45:00+01:00")
        try:
            with Noon(day=DAY, begins_at=begins_at, period_s=900) as world:
                carried_by(dict.fromkeys(plants, VOKE), organisation_id=world.organisation_id)
                yield world
        finally:
            forget_known_partitions()


def _installation(names: Sequence[str], at: datetime) -> DemoInstallation:
    made = ensure_installation(at=at)
    model = next(one for one in _documents() if one["externalPlantId"] == MODEL)
    like_it = [
        {**model, "externalPlantId": name, "vokeUuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name))}
        for name in names
    ]
    sheets = read_plants(like_it, organisation=made.organisation)
    save_sheets(sheets=sheets, author=Author(name="scenario"), at=at)
    attach_plants(connection=made.connection, external_plant_ids=list(names))
    return replace(made, plants=list(made.organisation.plants.order_by("pk")))


def _documents() -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = json.loads(demo._PLANTS.read_text(encoding="utf-8"))
    return documents


def _config(made: DemoInstallation, **about: Any) -> SimConfig:
    config = day_config(made, **about)
    model = next(site for site in config.sites if site.external_plant_id == MODEL)
    known = {site.external_plant_id for site in config.sites}
    like_it = tuple(
        msgspec.structs.replace(
            model,
            site_id=str(plant.voke_uuid),
            external_plant_id=plant.external_plant_id,
            name=plant.external_plant_id,
        )
        for plant in made.plants
        if plant.external_plant_id not in known
    )
    return msgspec.structs.replace(config, sites=config.sites + like_it)


Play = Callable[[Noon, str], object]
