"""What every tab of a plant's page shows above itself, and what the first tab reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.http import Http404
from django.utils.translation import gettext

from console.access import Viewer
from console.commands.words import Chip, row_chip
from console.dates import day_text, hours_text
from console.plant.assets import SHOWN, AssetLine, asset_lines, chargers_of
from console.plant.flow import Flow, flow_of
from dispatch.models import Command
from dispatch.selectors import last_commands
from dispatch.words import command_title
from metering.days import local_day, local_day_of
from plants.models import Alarm, Asset, ConnectionMode, Plant, PlantState
from plants.selectors.overview import count_open_alarms_of_plant, open_alarms_of
from plants.selectors.plants import assets_of, plant_by_id
from plants.words import label_text
from schedules.selectors.plans import plans_of
from vcp import DataQuality

COMMANDS_SHOWN = 7


@dataclass(frozen=True, kw_only=True)
class PlanChip:
    """Today's plan: the version in force, else the draft, as a word and its state."""

    number: int
    state: str


@dataclass(frozen=True, kw_only=True)
class Head:
    """The plant, its newest sample, and what is in charge of it."""

    plant: Plant
    state: PlantState | None
    zone: str
    today: date
    mode: str
    plan: PlanChip | None
    open_alarms: int

    @property
    def observes(self) -> bool:
        """Its connection publishes nothing."""
        link = self.plant.connection
        return link is not None and link.mode == ConnectionMode.OBSERVE

    @property
    def measured_at(self) -> datetime | None:
        return None if self.state is None else self.state.measured_at

    @property
    def quality(self) -> str:
        """The quality of the newest sample where it is not simply good, as a word."""
        word = "" if self.state is None else self.state.data_quality or ""
        return "" if word == DataQuality.GOOD else label_text(word)

    @property
    def qualities(self) -> list[tuple[str, str]]:
        """The words of those that a later sample may have."""
        return [(one.value.lower(), label_text(one)) for one in DataQuality if one is not DataQuality.GOOD]


def plant_of(viewer: Viewer, plant_id: int) -> Plant:
    """One of the organisation's plants with connection and newest sample; another's is as unknown as none."""
    plant = plant_by_id(organisation_id=viewer.organisation.pk, plant_id=plant_id)
    if plant is None:
        raise Http404
    return plant


def head_of(plant: Plant, *, at: datetime) -> Head:
    """The head of the page: two queries beside the plant's own."""
    state: PlantState | None = getattr(plant, "state", None)
    today = local_day_of(at, zone=plant.time_zone).day
    return Head(
        plant=plant,
        state=state,
        zone=plant.time_zone,
        today=today,
        mode="" if state is None else label_text(state.mode or state.operating_mode),
        plan=_plan_of(plant, today),
        open_alarms=count_open_alarms_of_plant(plant_id=plant.pk, limit=100),
    )


def _plan_of(plant: Plant, day: date) -> PlanChip | None:
    rows = plans_of(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        first_day=day,
        last_day=day,
    )
    for row in rows[:1]:
        found = row.__dict__
        if found["in_force_number"] is not None:
            return PlanChip(number=found["in_force_number"], state=found["in_force_state"])
        if found["open_number"] is not None:
            return PlanChip(number=found["open_number"], state=found["open_state"])
    return None


@dataclass(frozen=True, kw_only=True)
class Devices:
    """The devices that are shown at once, and the rest of them."""

    first: Sequence[AssetLine]
    rest: Sequence[AssetLine]
    faults: int

    @property
    def count(self) -> int:
        return len(self.first) + len(self.rest)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The picture of the flow and the devices: what live values change.

    `tile`: the sample that both tell, in the shape in which live values come; "" = there is none.
    """

    flow: Flow
    devices: Devices
    ev_kw: float | None
    ev_word: str
    tile: str


def measured_of(plant: Plant, *, at: datetime) -> Measured:
    """What was measured last: two queries."""
    state: PlantState | None = getattr(plant, "state", None)
    assets: Sequence[Asset] = assets_of(plant_id=plant.pk)
    alarms: Sequence[Alarm] = open_alarms_of(plant_id=plant.pk, limit=50)
    chargers = chargers_of(assets, state)
    lines = asset_lines(assets, state, alarms)
    return Measured(
        flow=flow_of(plant, state, assets, chargers, at=at),
        devices=Devices(
            first=lines[:SHOWN], rest=lines[SHOWN:], faults=sum(bool(line.fault) for line in lines)
        ),
        ev_kw=chargers.power_kw,
        ev_word=chargers.word,
        tile=_tile(state),
    )


def _tile(state: PlantState | None) -> str:
    if state is None or state.measured_at is None:
        return ""
    facts = {
        "grid_kw": state.grid_power_kw,
        "pv_kw": state.fve_power_kw,
        "battery_kw": state.battery_power_kw,
        "load_kw": state.consumption_power_kw,
        "soc_pct": state.soc_pct,
        "quality": state.data_quality,
        "measured_at": state.measured_at.isoformat(),
    }
    return json.dumps(facts, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """One of the last commands: what was asked for, by whom, and how it stands; `day`: '' = today."""

    command: Command
    title: str
    chip: Chip
    day: str

    @property
    def by(self) -> str:
        """Who wanted it."""
        return gettext("plan") if self.command.automatic else self.command.requested_by_name


def command_lines(plant: Plant, *, at: datetime) -> list[CommandLine]:
    """The newest commands, with the words that the list of commands has for them: one query."""
    today = local_day_of(at, zone=plant.time_zone).day
    lines = []
    for one in last_commands(plant_id=plant.pk, limit=COMMANDS_SHOWN):
        due = one.due_at.astimezone(ZoneInfo(plant.time_zone))
        lines.append(
            CommandLine(
                command=one,
                title=command_title(one.kind, one.payload),
                chip=row_chip(one),
                day="" if due.date() == today else day_text(due, "brief"),
            )
        )
    return lines


@dataclass(frozen=True, kw_only=True)
class DayChoice:
    """The day that a chart shows, and its neighbours; `after` None = nothing lies beyond tomorrow.

    `hours`: a word on its length where the clock changes on it.
    """

    day: date
    before: date
    after: date | None
    is_today: bool
    hours: str


def day_choice(day: date, today: date, *, zone: str) -> DayChoice:
    """What the day picker offers."""
    step = timedelta(days=1)
    return DayChoice(
        day=day,
        before=day - step,
        after=day + step if day <= today else None,
        is_today=day == today,
        hours=hours_text(local_day(day, zone=zone).length_s),
    )
