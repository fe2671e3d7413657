"""A fleet in which everything happens that the list tells: one plant for each thing that needs a person, and calm ones.

Rows are written as they stand after the services, because a fleet's list only reads them: many at once, in few
statements.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dispatch.models import Command, Diagnosis, EmergencyLatch
from dispatch.states import State
from metering.models import TelemetryQuarter
from metering.partitions import ROLLUPS
from plants.models import (
    Alarm,
    AlarmOrigin,
    Connection,
    LinkHealth,
    LinkState,
    Organisation,
    Plant,
    PlantState,
    StreamHealth,
)
from plants.services.partitions import ensure_partitions, forget_known_partitions
from schedules.models import DayPlan, Override, PlanSlot, PlanState, PlanVersion
from tests import factories

QUARTER = timedelta(minutes=15)
NOW = factories.AT + timedelta(minutes=7)
"""Within a slot: what it asks for can be judged."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The connection of all plants, and the plants by what happens to them."""

    connection: Connection
    calm: Plant
    silent: Plant
    unanswered: Plant
    far_off: Plant
    off: Plant
    overridden: Plant
    latched: Plant
    alarmed: Plant
    unplanned: Plant

    @property
    def plants(self) -> list[Plant]:
        """All of them."""
        return [value for value in vars(self).values() if isinstance(value, Plant)]


def link(owner: Organisation, at: datetime, **changes: Any) -> Connection:
    """An active connection that works: both halves connected, telemetry just heard."""
    row = factories.connection(owner=owner, **({"name": "Voke"} | changes))
    LinkHealth.objects.bulk_create(
        LinkHealth(
            connection=row,
            role=role,
            holder="one",
            state=LinkState.CONNECTED,
            since=at - timedelta(hours=3),
            seen_at=at - timedelta(seconds=2),
            last_event_at=at - timedelta(seconds=2),
            heard_until=at,
        )
        for role in LinkHealth.Role
    )
    StreamHealth.objects.bulk_create(
        StreamHealth(
            connection=row,
            stream=stream,
            last_at=at - age,
            last_sent_at=at - age,
            period_s=10 if age < QUARTER else None,
        )
        for stream, age in (("REALTIME", timedelta(seconds=1)), ("STATUS", timedelta(hours=3)))
    )
    return row


def plant(on: Connection, name: str, number: int, **changes: Any) -> Plant:
    """A plant without assets; quick."""
    facts: dict[str, Any] = {
        "name": name,
        "external_plant_id": f"{name.split()[-1].upper()[:6]}-{number:02d}",
        "max_import_kw": 400.0,
        "max_export_kw": 400.0,
        "max_charge_kw": 200.0,
        "max_discharge_kw": 200.0,
        "soc_min_pct": 20.0,
        "soc_max_pct": 95.0,
        "created_at": factories.AT,
        "updated_at": factories.AT,
    }
    row = factories.unsaved_plant(on=on, **(facts | changes))
    row.external_plant_id = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "X"
        for letter in row.external_plant_id
    )
    row.save()
    return row


def measured(plant: Plant, at: datetime, *, age_s: float = 2.0, **values: Any) -> PlantState:
    """The newest sample: exporting 100 kW from 150 kW of PV, 20 kW into the battery, unless told otherwise."""
    moment = at - timedelta(seconds=age_s)
    facts: dict[str, Any] = {
        "grid_power_kw": -100.0,
        "fve_power_kw": 150.0,
        "battery_power_kw": 20.0,
        "consumption_power_kw": 30.0,
        "soc_pct": 64.0,
        "data_quality": "GOOD",
        "mode": "GRID_TARGET",
        "measured_at": moment,
        "received_at": moment,
    }
    row, _ = PlantState.objects.update_or_create(plant=plant, defaults=facts | values)
    return row


def planned(
    plants: Sequence[Plant], at: datetime, *, kw: float = 100.0, direction: str = "EXPORT", **changes: Any
) -> None:
    """A published plan of today, one value in all slots from three hours ago to three hours ahead."""
    plans = DayPlan.objects.bulk_create(
        DayPlan(
            organisation_id=one.organisation_id, plant=one, day=at.date(), time_zone=one.time_zone, made_at=at
        )
        for one in plants
    )
    versions = PlanVersion.objects.bulk_create(
        PlanVersion(
            plan=plan,
            number=1,
            state=PlanState.PUBLISHED,
            origin="PERSON",
            made_at=at,
            made_by_name="ann",
            published_at=at,
        )
        for plan in plans
    )
    first = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0) - 12 * QUARTER
    slot: dict[str, Any] = {"type": "POWER", "value": kw, "direction": direction, "priority": "NORMAL"}
    PlanSlot.objects.bulk_create(
        PlanSlot(
            version=version,
            start_at=first + number * QUARTER,
            end_at=first + (number + 1) * QUARTER,
            **(slot | changes),
        )
        for version in versions
        for number in range(24)
    )


def quarters(plant: Plant, at: datetime, *, kw: float = -100.0, without: Sequence[int] = ()) -> None:
    """The rollups of the last three hours at the grid; `without`: quarter-hours of which nothing is known."""
    first = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0) - 12 * QUARTER
    forget_known_partitions()
    ensure_partitions(days={first.date(), at.date()}, tables=ROLLUPS)
    TelemetryQuarter.objects.bulk_create(
        TelemetryQuarter(
            plant=plant,
            start_at=first + number * QUARTER,
            samples=90,
            covered_s=900,
            coverage_pct=100,
            good_s=900,
            quality_rank=3,
            grid_power_kw_s=900,
            grid_power_kw_mean=kw + number % 3,
            computed_at=at,
        )
        for number in range(12)
        if number not in without
    )


def command(plant: Plant, at: datetime, *, state: State, age: timedelta, kind: str = "mode") -> Command:
    """A command of a person in this state, without its messages."""
    moment = at - age
    return Command.objects.create(
        organisation_id=plant.organisation_id,
        plant=plant,
        connection=plant.connection,
        kind=kind,
        payload={"mode": "STANDARD"},
        state=state.value,
        state_at=moment,
        requested_by_name="ann",
        requested_at=moment,
        request_digest=uuid.uuid4().hex,
        due_at=moment,
    )


def unanswered(plant: Plant, at: datetime, *, age: timedelta = timedelta(minutes=4)) -> Command:
    """A command that met silence."""
    row = command(plant, at, state=State.UNCONFIRMED, age=age)
    Diagnosis.objects.create(
        command=row, organisation_id=plant.organisation_id, silence="NO_ACK", asked_at=at - age, stage="DONE"
    )
    return row


def alarm(
    plant: Plant, at: datetime, *, severity: str = "WARNING", age: timedelta = timedelta(minutes=27)
) -> Alarm:
    """An open alarm of Voke's."""
    moment = at - age
    return Alarm.objects.create(
        connection=plant.connection,
        plant=plant,
        origin=AlarmOrigin.VOKE,
        alarm_id=uuid.uuid4().hex,
        severity=severity,
        code="CONSTRAINT_VIOLATION",
        message="Export of 312 kW is over the limit of 300 kW",
        raised_at=moment,
        told_at=moment,
        received_at=moment,
    )


def override(plant: Plant, at: datetime, *, minutes: int = 32) -> Override:
    """An open one."""
    return Override.objects.create(
        organisation_id=plant.organisation_id,
        plant=plant,
        payload={"type": "POWER", "targetValueKw": 275, "direction": "EXPORT"},
        begun_at=at - timedelta(minutes=13),
        until_at=at + timedelta(minutes=minutes),
        by_name="ann",
        reason="Price",
    )


def latch(plant: Plant, at: datetime, *, kind: str = "STOP") -> EmergencyLatch:
    """An emergency that nobody has released."""
    row = command(plant, at, state=State.COMPLETED, age=timedelta(minutes=14), kind="emergency")
    return EmergencyLatch.objects.create(
        plant=plant, command=row, type=kind, set_at=at - timedelta(minutes=14), set_by_name="ann"
    )


def make_fleet(owner: Organisation, at: datetime) -> Fleet:
    """One plant of each kind."""
    on = link(owner, at)
    names = (
        ("calm", "Bakery Pardubice"),
        ("silent", "Hospital Tabor"),
        ("unanswered", "Cold store Olomouc"),
        ("far_off", "Sawmill Zdirec"),
        ("off", "Dairy Klatovy"),
        ("overridden", "Brewery Prerov"),
        ("latched", "Quarry Kamenec"),
        ("alarmed", "Greenhouse Nemcice"),
        ("unplanned", "Data hall Ricany"),
    )
    made = {key: plant(on, name, number + 1) for number, (key, name) in enumerate(names)}
    for key, one in made.items():
        measured(one, at, age_s=852 if key == "silent" else 2)
        quarters(one, at, without=(5, 6) if key == "silent" else ())
    planned([one for key, one in made.items() if key != "unplanned"], at)
    measured(made["far_off"], at, grid_power_kw=-59.0)
    measured(made["off"], at, grid_power_kw=-88.0)
    unanswered(made["unanswered"], at)
    override(made["overridden"], at)
    latch(made["latched"], at)
    alarm(made["alarmed"], at)
    return Fleet(connection=on, **made)
