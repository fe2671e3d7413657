"""A plant in the middle of its day: a plan that is carried out, an override, a hole in the telemetry, a fault.

Everything goes through the services in the order of time, so that what a page shows of it could have happened.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dispatch.models import Command
from dispatch.requests import Actor
from dispatch.services.life import Move, advance_many
from dispatch.services.verification import verify_due
from dispatch.states import State
from metering.models import Stream, StreamPeriod, TelemetryHour
from metering.partitions import ROLLUPS
from metering.rules import RollupRules
from metering.services.gaps import SETTLED_AFTER, keep_ledger
from metering.services.marks import mark_changed
from metering.services.rollups import roll_up_telemetry
from plants.models import (
    Alarm,
    Asset,
    Connection,
    Organisation,
    Plant,
    PlantState,
    TelemetryReading,
    TimeConfigOrigin,
)
from plants.services.partitions import ensure_partitions, forget_known_partitions
from plants.services.time_config import Author, set_time_config
from schedules.models import Override, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.services.carried_by_us import run_due_slots
from schedules.services.drafts import check_version, save_draft
from schedules.services.overrides import begin_override
from schedules.services.publishing import publish
from schedules.slots import PlannedSlot, grid_of_day
from tests import factories
from tests.dispatch.helpers import deliver
from tests.dispatch.proof_world import RULES as PROOF
from vcp import Direction, Priority, SetpointType, SiteSetpoint

NOON = datetime(2026, 7, 14, 11, 42, 18, tzinfo=UTC)
"""13:42:18 in Prague."""
JANA = Actor(name="Jana Dvořáková")
MINUTE = timedelta(minutes=1)
ZONE = "Europe/Prague"
RULES = RollupRules(
    realtime_period_s=60.0,
    meter_period_s=60.0,
    grace=timedelta(seconds=60),
    chunk=500,
    budget_s=60.0,
    readings_kept=timedelta(days=400),
)
_PLAN = (
    (4.5, -90), (6, -30), (8.5, 70), (10, 110), (12, 150), (13.5, 160), (15, 185), (17, 140), (18, 60), (21, 210),
    (22.5, 60), (24, -40),
)  # fmt: skip
HOLE = (10 * 60 + 5, 10 * 60 + 40)
"""Minutes of the day without telemetry."""


def planned_kw(hour: float) -> float:
    """What the plan asks for, export positive."""
    return next(float(kw) for until, kw in _PLAN if hour < until)


@dataclass(frozen=True, kw_only=True)
class Lived:
    """The plant, its plan in force, and its override."""

    plant: Plant
    version: PlanVersion
    override: Override


def brewery(owner: Organisation, *, at: datetime, link: Connection | None = None) -> Plant:
    """A brewery with PV, a battery and three chargers, of which one has a fault."""
    plant = factories.plant(
        on=link or factories.connection(owner=owner, name="Voke"),
        external_plant_id="PREROV-02",
        name="Brewery Přerov",
        capacity_kwh=1000.0,
        fve_peak_power_kwp=412.0,
        max_import_kw=400.0,
        max_export_kw=300.0,
        max_charge_kw=240.0,
        max_discharge_kw=240.0,
        soc_min_pct=5.0,
        soc_max_pct=98.0,
        assets=[
            Asset(
                external_id="B1",
                asset_type="BESS",
                name="Battery hall",
                rated_power_kw=240.0,
                capacity_kwh=1000.0,
            ),
            Asset(external_id="INV-1", asset_type="INVERTER", name="PV east", rated_power_kw=200.0),
            Asset(external_id="INV-2", asset_type="FVE", name="PV west", rated_power_kw=212.0),
            Asset(external_id="EV-1", asset_type="EV_CHARGER", name="Charger 1", rated_power_kw=22.0),
            Asset(external_id="EV-2", asset_type="EV_CHARGER", name="Charger 2", rated_power_kw=22.0),
            Asset(external_id="EV-3", asset_type="EV_CHARGER", name="Charger 3", rated_power_kw=22.0),
            Asset(external_id="M1", asset_type="METER", name="Grid meter"),
        ],
    )
    blocks = [
        factories.block(0, 360, p_bat_min_kw=-240.0, p_bat_max_kw=240.0, soc_min_pct=20.0),
        factories.block(360, 1080, p_bat_min_kw=-240.0, p_bat_max_kw=240.0, soc_min_pct=30.0),
        factories.block(
            1080, 1440, p_bat_min_kw=-240.0, p_bat_max_kw=240.0, soc_min_pct=15.0, soc_max_pct=90.0
        ),
    ]
    set_time_config(
        plant_id=plant.pk,
        blocks=blocks,
        origin=TimeConfigOrigin.PERSON,
        author=Author(name="Jana Dvořáková"),
        at=at - timedelta(days=30),
    )
    StreamPeriod.objects.create(
        plant=plant, stream=Stream.REALTIME, valid_from=at - timedelta(days=40), period_s=60.0, source="SET"
    )
    plant.refresh_from_db()
    return plant


def lived_day(
    owner: Organisation, *, at: datetime = NOON, since_hour: float = 0.0, hole: tuple[int, int] = HOLE
) -> Lived:
    """The brewery's day until `at`, from an hour on; the override began 27 minutes ago and lasts an hour."""
    plant = brewery(owner, at=at)
    midnight = datetime(2026, 7, 13, 22, 0, tzinfo=UTC)
    since = midnight + timedelta(hours=since_hour)
    version = plan_day(plant, midnight=midnight, since=since)
    begun = at.replace(minute=15, second=2)
    for slot in version.slots.order_by("start_at"):
        if slot.start_at > begun:
            break
        run_due_slots(at=slot.start_at, policy=current_schedule_policy())
        _taken(plant, slot.start_at)
    override = begin(plant, kw=275.0, at=begun, until=begun.replace(second=0) + timedelta(hours=1))
    _taken(plant, begun, ends=False)
    measure(plant, since=since, until=at, midnight=midnight, hole=hole)
    verify_due(at=at, rules=PROOF)
    state_now(plant, at=at - timedelta(seconds=1))
    fault(plant, at=at)
    plant.refresh_from_db()
    return Lived(plant=plant, version=version, override=override)


def plan_day(plant: Plant, *, midnight: datetime, since: datetime | None = None) -> PlanVersion:
    """The plan, drafted and published two hours before the day begins."""
    version = draft_day(plant, midnight=midnight, since=since)
    facts = {"organisation_id": plant.organisation_id, "actor": JANA, "at": midnight - timedelta(hours=2)}
    check_version(version_id=version.pk, **facts)
    publish(version_id=version.pk, policy=current_schedule_policy(), accept_warnings=True, **facts)
    version.refresh_from_db()
    return version


def draft_day(plant: Plant, *, midnight: datetime, since: datetime | None = None) -> PlanVersion:
    """The plan as a draft, of the whole day or from a moment on."""
    day = (midnight + timedelta(hours=12)).date()
    slots = []
    for span in grid_of_day(day, zone=plant.time_zone, minutes=15):
        if since is not None and span.start_at < since:
            continue
        kw = planned_kw((span.start_at - midnight) / timedelta(hours=1))
        direction = Direction.EXPORT if kw > 0 else Direction.IMPORT
        slots.append(
            PlannedSlot(
                start_at=span.start_at,
                end_at=span.end_at,
                type=SetpointType.POWER,
                value=abs(kw),
                direction=direction,
            )
        )
    return save_draft(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        day=day,
        slots=slots,
        actor=JANA,
        at=midnight - timedelta(hours=2),
    )


def begin(plant: Plant, *, kw: float, at: datetime, until: datetime) -> Override:
    """A person's export above the plan."""
    return begin_override(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        payload=SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=kw,
            direction=Direction.EXPORT,
            include_consumption=True,
            priority=Priority.HIGH,
            valid_from=at,
            valid_until=until,
        ),
        until_at=until,
        actor=JANA,
        reason="The grid operator called",
        at=at,
        policy=current_schedule_policy(),
    )


def _taken(plant: Plant, at: datetime, *, ends: bool = True) -> None:
    """The broker and Voke take what waits, and the site begins with it."""
    deliver(plant.connection, at=at)
    fresh = Command.objects.filter(plant=plant, state=State.SENT).values_list("pk", flat=True)
    for word in (State.ACCEPTED, State.EXECUTING, State.COMPLETED)[: 3 if ends else 2]:
        moves = [Move(command_id=pk, to=word, cause=f"VOKE_{word}", actor="Voke", told_at=at) for pk in fresh]
        advance_many(moves=moves, at=at)


def actual_kw(minute: float) -> float:
    """What the site does, export positive: it follows, with noise, and falls short around noon."""
    if minute >= 13 * 60 + 15:
        kw = 205.0 if minute < 13 * 60 + 20 else 275.0
    elif 12 * 60 <= minute < 12.5 * 60:
        kw = 112.0
    else:
        kw = planned_kw(minute / 60)
    return kw + 5.0 * math.sin(minute * 0.9) + 2.5 * math.sin(minute * 2.3)


def measure(
    plant: Plant, *, since: datetime, until: datetime, midnight: datetime, hole: tuple[int, int]
) -> None:
    """A sample each minute of [since, until), rolled up, and the ledger of holes; `hole` in minutes after midnight."""
    forget_known_partitions()
    days = {since.date(), until.date()}
    ensure_partitions(days=days)
    ensure_partitions(days=days, tables=ROLLUPS)
    forget_known_partitions()
    moments = [since + number * MINUTE for number in range(int((until - since) / MINUTE))]
    rows = []
    for moment in moments:
        minute = (moment - midnight) / MINUTE
        if hole[0] <= minute < hole[1]:
            continue
        rows.append(
            TelemetryReading(
                plant=plant,
                measured_at=moment,
                received_at=moment + timedelta(seconds=1),
                grid_power_kw=-actual_kw(minute),
                fve_power_kw=max(0.0, 300 * math.sin((minute / 60 - 5) / 15 * math.pi)),
                battery_power_kw=-30.0,
                consumption_power_kw=94.0,
                soc_pct=50 + 18 * math.sin(minute / 1440 * 2 * math.pi),
                data_quality="GOOD",
                quality_rank=3,
                operating_mode="GRID_TARGET",
            )
        )
    TelemetryReading.objects.bulk_create(rows, batch_size=500)
    mark_changed(stream=Stream.REALTIME, changed=[(plant.pk, row.measured_at) for row in rows])
    roll_up_telemetry(at=until, rules=RULES)
    keep_ledger(at=until + SETTLED_AFTER, rules=RULES, give_up_after=timedelta(days=30))


def state_now(plant: Plant, *, at: datetime) -> None:
    """The newest sample, with device telemetry."""
    PlantState.objects.filter(plant=plant).update(
        measured_at=at,
        received_at=at,
        grid_power_kw=-275.0,
        fve_power_kw=286.0,
        battery_power_kw=-120.0,
        consumption_power_kw=131.0,
        soc_pct=64.0,
        data_quality="GOOD",
        operating_mode="GRID_TARGET",
        mode="GRID_TARGET",
        mode_since=at - timedelta(hours=2),
        devices=[
            {"deviceId": "B1", "assetType": "BESS", "powerKw": -120, "socPercent": 64, "status": "ONLINE"},
            {"deviceId": "INV-1", "assetType": "INVERTER", "powerKw": 151, "status": "ONLINE"},
            {"deviceId": "INV-2", "assetType": "FVE", "powerKw": 135, "status": "ONLINE"},
            {"deviceId": "EV-1", "assetType": "EV_CHARGER", "powerKw": 22, "status": "ONLINE"},
            {"deviceId": "EV-2", "assetType": "EV_CHARGER", "powerKw": 15, "status": "ONLINE"},
            {"deviceId": "EV-3", "assetType": "EV_CHARGER", "powerKw": 0, "status": "OFFLINE"},
        ],
    )


def fault(plant: Plant, *, at: datetime) -> Alarm:
    """An open alarm of the plant."""
    return Alarm.objects.create(
        connection=plant.connection,
        plant=plant,
        alarm_id=f"alarm-{plant.pk}",
        severity="WARNING",
        code="SCHEDULE_SLOT_MISSED",
        message="The slot of 12:00 was not carried out",
        raised_at=at - timedelta(minutes=80),
        told_at=at - timedelta(minutes=80),
        received_at=at - timedelta(minutes=80),
    )


def known_weeks(plant: Plant, *, at: datetime, days: int = 34) -> None:
    """Hours of the last weeks, some of them with holes."""
    begin = (at - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    hours = [begin + timedelta(hours=number) for number in range(days * 24 - 20)]
    forget_known_partitions()
    ensure_partitions(days={moment.date() for moment in hours}, tables=ROLLUPS)
    forget_known_partitions()
    TelemetryHour.objects.bulk_create(
        TelemetryHour(
            plant=plant,
            start_at=moment,
            samples=60,
            covered_s=3600.0,
            good_s=3600.0,
            coverage_pct=_known_pct(number),
            computed_at=moment,
        )
        for number, moment in enumerate(hours)
        if _known_pct(number) > 0
    )


def _known_pct(number: int) -> float:
    if 200 <= number < 211:
        return 0.0
    return {0: 72.0, 1: 30.0, 2: 94.0}.get(number % 97, 100.0)
