"""An hour or two of a day that Voke's schedules carry: platform, broker and stand-in together, on one virtual clock.

What was in force at each instant is read from the stand-in's journal of targets.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

import pytest

from dispatch.models import Command, Kind, SiteReport
from dispatch.states import State
from esm.virtual_day.plan import carried_by, publish_plan
from esm.virtual_day.world import VirtualWorld
from link.site_reports import HOOKS
from plants.models import Alarm, Plant, ScheduleCarrier
from schedules.models import PlanEvent, PlanState, PlanVersion, VokeSchedule
from schedules.policy import current_schedule_policy
from schedules.services.publishing import cancel_plan
from schedules.slots import PlannedSlot
from tests.factories import OPERATOR
from vcp import Direction, SetpointType
from voke_sim.faults import FaultKind, FaultRule
from voke_sim.rest_views import site_config

pytestmark = pytest.mark.django_db(transaction=True)
DAY = date(2026, 3, 3)
PLANT = "BREWERY"
QUARTER = timedelta(minutes=15)
VOKE, US = ScheduleCarrier.VOKE, ScheduleCarrier.DISPATCHER


@contextmanager
def noon(seed: int = 1) -> Iterator[VirtualWorld]:
    """A world that begins at half past eleven; its plant's plans are carried by Voke."""
    begins_at = datetime.fromisoformat("2026-03-03T11:45:00+01:00")
    with VirtualWorld(day=DAY, seed=seed, begins_at=begins_at, period_s=300) as world:
        carried_by({PLANT: VOKE}, organisation_id=world.organisation_id)
        world.run_until("11:47")
        yield world


def slots(world: VirtualWorld, *kw: float, first: str = "12:00") -> list[PlannedSlot]:
    """Quarter hours of import; a negative value is an export, 0 is left out."""
    begins = world.instant(first)
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


def publish(world: VirtualWorld, *kw: float, first: str = "12:00") -> PlanVersion:
    return publish_plan(
        PLANT,
        slots(world, *kw, first=first),
        organisation_id=world.organisation_id,
        day=world.day,
        at=world.now,
    )


def cancel(world: VirtualWorld, version: PlanVersion) -> None:
    cancel_plan(
        organisation_id=world.organisation_id,
        version_id=version.pk,
        actor=OPERATOR,
        reason="rain",
        at=world.now,
        policy=current_schedule_policy(),
    )


def followed(world: VirtualWorld) -> list[tuple[str, str, float | None]]:
    """(wall clock, source, kW) of each target that the plant followed since the world began."""
    site = Plant.objects.get(external_plant_id=PLANT).voke_uuid
    rows = world.voke.journal.rows(
        "SELECT at, source, target_kw FROM targets WHERE site_id = ? ORDER BY seq", str(site)
    )
    return [
        (f"{datetime.fromisoformat(row['at']).astimezone():%M:%S}", row["source"], row["target_kw"])
        for row in rows
    ]


def kws(world: VirtualWorld) -> list[float | None]:
    return [kw for _, _, kw in followed(world)]


def look(world: VirtualWorld) -> None:
    """Ask Voke what it runs, as the tick does over REST."""
    plant = Plant.objects.get(external_plant_id=PLANT)
    site = next(one for one in world.voke.engine.sites if one.config.external_plant_id == PLANT)
    payload = site_config(world.voke.engine, site, world.now)
    facts = {"asked_at": world.now, "answered_at": world.now, "payload": payload, "error_code": ""}
    report, _ = SiteReport.objects.update_or_create(plant=plant, defaults=facts)
    for hook in HOOKS:
        hook(plant, report, world.now)


def schedules(version: PlanVersion) -> list[VokeSchedule]:
    return list(VokeSchedule.objects.filter(version=version).order_by("pk").select_related("create_command"))


def state(version: PlanVersion) -> str:
    version.refresh_from_db()
    return version.state


def test_a_published_plan_is_accepted_begun_followed_slot_by_slot_and_completed():
    with noon() as world:
        version = publish(world, 20, 30, 0, -10)
        world.run_until("13:05")

        (row,) = schedules(version)
        assert (row.create_command.state, row.cause) == (State.COMPLETED, "COMPLETED")
        assert [word for word in words(version) if word.startswith("VOKE")] == [
            "VOKE_ACCEPTED",
            "VOKE_ACTIVE",
            "VOKE_COMPLETED",
        ]
        assert kws(world) == [None, 20.0, 30.0, None, -10.0, None]
        assert [minute for minute, _, _ in followed(world)[1:]] == [
            "00:00",
            "15:00",
            "30:00",
            "45:00",
            "00:00",
        ]


def words(version: PlanVersion) -> list[str]:
    return list(PlanEvent.objects.filter(version=version).order_by("pk").values_list("word", flat=True))


def test_a_plan_replaced_in_mid_day_leaves_no_gap_and_no_double():
    with noon() as world:
        old = publish(world, 20, 30, 40, 50)
        world.run_until("12:20")
        new = publish(world, 20, 35, 40, 55)
        world.run_until("13:05")

        assert kws(world) == [None, 20.0, 30.0, 35.0, 40.0, 55.0, None]
        assert "mode" not in [source for _, source, _ in followed(world)][1:-1]
        assert schedules(old)[0].cause == "SCHEDULE_CANCELLED"
        assert schedules(old)[0].create_command.cause == "SCHEDULE_CANCELLED"
        assert (state(old), schedules(new)[0].cause) == (PlanState.REPLACED, "COMPLETED")
        assert Command.objects.filter(kind=Kind.SCHEDULE_CANCEL).count() == 1


def test_a_cancelled_plan_ends_at_once():
    with noon() as world:
        version = publish(world, 20, 30, 40)
        world.run_until("12:20")
        world.at("12:21", lambda one: cancel(one, version))
        world.run_until("12:50")

        assert kws(world) == [None, 20.0, 30.0, None]
        assert followed(world)[-1][0] == "21:00"
        assert schedules(version)[0].cause == "SCHEDULE_CANCELLED"


def test_a_refused_replacement_leaves_the_old_plan_running():
    with noon() as world:
        old = publish(world, 20, 30, 40)
        world.run_until("12:05")
        world.voke.faults.add(FaultRule(kind=FaultKind.REJECT, families=("schedule.create",), count=1))
        new = publish(world, 5, 6, 7)
        world.run_until("12:50")

        assert kws(world) == [None, 20.0, 30.0, 40.0, None]
        assert (state(old), state(new)) == (PlanState.PUBLISHED, PlanState.CANCELLED)
        assert Alarm.objects.get(code="PLAN_NOT_CARRIED_OUT").cleared_at is None


def test_lost_events_change_nothing_at_the_plant_and_a_look_finds_the_schedule():
    with noon() as world:
        world.voke.faults.add(FaultRule(kind=FaultKind.DROP, families=("event.schedule",), count=2))
        version = publish(world, 20, 30)
        world.run_until("12:05")
        assert schedules(version)[0].create_command.state == State.UNCONFIRMED

        world.at("12:06", look)
        world.run_until("12:35")

        (row,) = schedules(version)
        assert (row.create_command.state, row.cause) == (State.COMPLETED, "COMPLETED")
        assert kws(world) == [None, 20.0, 30.0, None]


def test_a_forgotten_schedule_is_made_anew_once_with_the_slots_left():
    with noon() as world:
        version = publish(world, 20, 30, 40)
        world.run_until("12:05")
        world.voke.faults.add(FaultRule(kind=FaultKind.FORGET_SCHEDULES, count=1))
        for when in ("12:06", "12:07", "12:08", "12:09"):
            world.at(when, look)
        world.run_until("12:50")

        lost, new = schedules(version)
        assert (lost.cause, new.cause) == ("LOST_AT_VOKE", "COMPLETED")
        assert kws(world) == [None, 20.0, None, 20.0, 30.0, 40.0, None]


def test_a_restart_of_either_side_sends_nothing_twice_and_loses_nothing():
    with noon() as world:
        world.at("11:50", lambda one: publish(one, 20, 30, 40))
        world.at("11:50:30", lambda one: one.restart_platform())
        world.at("12:10", lambda one: one.restart_voke())
        world.at("12:20", lambda one: one.restart_platform(crash=False))
        for when in ("12:11", "12:12", "12:21", "12:22"):
            world.at(when, look)
        world.run_until("12:50")

        targets = kws(world)
        assert [kw for at, kw in enumerate(targets) if at == 0 or kw != targets[at - 1]] == [
            None,
            20.0,
            30.0,
            40.0,
            None,
        ]
        assert Command.objects.filter(kind=Kind.SCHEDULE_CREATE).count() == 1
        assert VokeSchedule.objects.get().cause == "COMPLETED"


def test_a_platform_that_was_cut_off_while_its_plan_began_hears_of_it_afterwards():
    with noon() as world:
        world.at("11:48", lambda one: publish(one, 20, 30))
        world.at("11:49", lambda one: one.cut_link(minutes=30))
        world.run_until("12:34")

        assert VokeSchedule.objects.get().cause == "COMPLETED"
        assert Command.objects.filter(kind=Kind.SCHEDULE_CREATE).count() == 1


def test_a_create_that_was_lost_on_a_dead_link_is_made_anew_after_two_looks():
    with noon() as world:
        version = publish(world, 20, 30)
        world.cut_link(minutes=15)
        for when in ("12:06", "12:07", "12:08"):
            world.at(when, look)
        world.run_until("12:34")

        lost, new = schedules(version)
        assert (lost.cause, new.cause) == ("LOST_AT_VOKE", "COMPLETED")
        assert kws(world) == [None, 20.0, 30.0, None]


def test_an_override_stands_above_the_schedule_which_resumes_with_the_slot_that_is_current_then():
    with noon() as world:
        publish(world, 20, 30, 40)
        world.at("12:10", lambda one: one.override(PLANT, 5, minutes=10))
        world.run_until("12:50")

        assert [(source, kw) for _, source, kw in followed(world)] == [
            ("mode", None),
            ("schedule", 20.0),
            ("setpoint", 5.0),
            ("schedule", 30.0),
            ("schedule", 40.0),
            ("mode", None),
        ]


def test_after_an_emergency_and_its_release_the_schedule_goes_on():
    with noon() as world:
        publish(world, 20, 30, 40)
        world.at("12:10", lambda one: one.stop_plant(PLANT))
        world.at("12:20", lambda one: one.release_plant(PLANT))
        world.run_until("12:50")

        assert [(source, kw) for _, source, kw in followed(world)] == [
            ("mode", None),
            ("schedule", 20.0),
            ("emergency", None),
            ("schedule", 30.0),
            ("schedule", 40.0),
            ("mode", None),
        ]


def test_a_plan_published_under_an_emergency_begins_with_its_release():
    with noon() as world:
        world.at("11:50", lambda one: one.stop_plant(PLANT))
        world.at("11:55", lambda one: publish(one, 20, 30))
        world.at("12:05", lambda one: one.release_plant(PLANT))
        world.run_until("12:35")

        assert [kw for kw in kws(world) if kw is not None] == [20.0, 30.0]


@pytest.mark.parametrize(("first", "then"), [(VOKE, US), (US, VOKE)])
def test_the_carrier_changes_in_mid_day_without_gap_and_double(first, then):
    with noon() as world:
        carried_by({PLANT: first}, organisation_id=world.organisation_id)
        publish(world, 20, 30, 40, 50)
        world.run_until("12:20")
        carried_by({PLANT: then}, organisation_id=world.organisation_id)
        publish(world, 20, 32, 40, 50)
        world.run_until("13:05")

        targets = followed(world)
        assert [kw for _, _, kw in targets] == [None, 20.0, 30.0, 32.0, 40.0, 50.0, None]
        before, after = ("schedule", "setpoint") if first == VOKE else ("setpoint", "schedule")
        assert [source for _, source, _ in targets] == ["mode", before, before, after, after, after, "mode"]


def test_a_schedule_that_voke_cancels_by_itself_is_told_and_not_sent_again():
    with noon() as world:
        version = publish(world, 20, 30)
        world.run_until("12:05")
        world.voke.faults.add(FaultRule(kind=FaultKind.CANCEL_SCHEDULES, count=1))
        world.run_until("12:35")

        (row,) = schedules(version)
        assert (row.create_command.state, row.cause) == (State.FAILED, "CANCELLED_BY_VOKE")
        assert Alarm.objects.get(code="PLAN_NOT_CARRIED_OUT").plant.external_plant_id == PLANT


def test_a_slot_that_voke_missed_stands_in_the_plans_history():
    with noon() as world:
        version = publish(world, 20, 240, 20)
        world.run_until("12:50")

        event = PlanEvent.objects.get(version=version, word="SLOT_MISSED")
        assert event.detail["slot"] == "2026-03-03T11:15:00.000Z"
