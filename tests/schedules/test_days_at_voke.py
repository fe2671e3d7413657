"""An hour or two of days that Voke's schedules carry: platform, broker and stand-in together, on one virtual clock.

What was in force at each instant is read from the stand-in's journal of targets. Each scenario has a plant of its own,
and all of them share one hour; those that cut or restart one side are in `test_breaks_at_voke`.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from dispatch.models import CommandEvent, Kind
from dispatch.states import State
from plants.models import Plant
from schedules.models import PlanEvent, PlanState
from tests.schedules.noon import US, VOKE, Noon, Play, noon
from voke_sim.faults import FaultKind

pytestmark = pytest.mark.django_db


def _replaced(world: Noon, plant: str) -> None:
    world.plan("11:48", plant, 20, 30, 40, 50)
    world.plan("12:20", plant, 20, 35, 40, 55)


def _cancelled(world: Noon, plant: str) -> None:
    world.plan("11:48", plant, 20, 30, 40)
    world.at("12:21", lambda _world: world.cancel(plant))


def _refused(world: Noon, plant: str) -> None:
    world.plan("11:48", plant, 20, 30, 40)
    world.at("12:05", lambda _world: world.break_voke(plant, FaultKind.REJECT, "schedule.create"))
    world.plan("12:05", plant, 5, 6, 7)


def _unheard(world: Noon, plant: str) -> None:
    world.break_voke(plant, FaultKind.DROP, "event.schedule", count=2)
    world.plan("11:48", plant, 20, 30)
    world.look_at(plant, "12:06")


def _forgotten(world: Noon, plant: str) -> None:
    world.plan("11:48", plant, 20, 30, 40)
    world.at("12:05", lambda _world: world.break_voke(plant, FaultKind.FORGET_SCHEDULES))
    world.look_at(plant, "12:06", "12:07", "12:08", "12:09")


def _overridden(world: Noon, plant: str) -> None:
    world.plan("11:48", plant, 20, 30, 40)
    world.at("12:10", lambda _world: world.override(plant, 5, minutes=10))


def _stopped(world: Noon, plant: str) -> None:
    world.plan("11:48", plant, 20, 30, 40)
    world.at("12:10", lambda _world: world.stop_plant(plant))
    world.at("12:20", lambda _world: world.release_plant(plant))


def _stopped_before(world: Noon, plant: str) -> None:
    world.at("11:50", lambda _world: world.stop_plant(plant))
    world.plan("11:55", plant, 20, 30)
    world.at("12:05", lambda _world: world.release_plant(plant))


def _from_voke_to_us(world: Noon, plant: str) -> None:
    world.plan("11:48", plant, 20, 30, 40, 50)
    world.at("12:20", lambda _world: world.carried(plant, US))
    world.plan("12:20", plant, 20, 32, 40, 50)


def _from_us_to_voke(world: Noon, plant: str) -> None:
    world.carried(plant, US)
    world.plan("11:48", plant, 20, 30, 40, 50)
    world.at("12:20", lambda _world: world.carried(plant, VOKE))
    world.plan("12:20", plant, 20, 32, 40, 50)


def _cancelled_by_voke(world: Noon, plant: str) -> None:
    world.plan("11:48", plant, 20, 30)
    world.at("12:05", lambda _world: world.break_voke(plant, FaultKind.CANCEL_SCHEDULES))


PLAYS: dict[str, Play] = {
    "FOLLOWED": lambda world, plant: world.plan("11:48", plant, 20, 30, 0, -10),
    "REPLACED": _replaced,
    "CANCELLED": _cancelled,
    "REFUSED": _refused,
    "UNHEARD": _unheard,
    "FORGOTTEN": _forgotten,
    "OVERRIDDEN": _overridden,
    "STOPPED": _stopped,
    "STOPPED-BEFORE": _stopped_before,
    "FROM-VOKE-TO-US": _from_voke_to_us,
    "FROM-US-TO-VOKE": _from_us_to_voke,
    "CANCELLED-BY-VOKE": _cancelled_by_voke,
    "MISSED": lambda world, plant: world.plan("11:48", plant, 20, 240, 20),
}
"""What happens to the plant of that name."""


@pytest.fixture(scope="module")
def hour(django_db_setup: None, django_db_blocker: Any) -> Iterator[Noon]:
    """The hour that the scenarios of one plant share, when it is over; nothing of it stays in the database."""
    with django_db_blocker.unblock(), transaction.atomic():
        with noon(*PLAYS) as world:
            for plant, play in PLAYS.items():
                play(world, plant)
            world.run_until("13:05")
            yield world
        transaction.set_rollback(True)


def test_a_published_plan_is_accepted_begun_followed_slot_by_slot_and_completed(hour: Noon):
    (row,) = hour.schedules("FOLLOWED")
    assert (row.create_command.state, row.cause) == (State.COMPLETED, "COMPLETED")
    assert [word for word in hour.words("FOLLOWED") if word.startswith("VOKE")] == [
        "VOKE_ACCEPTED",
        "VOKE_ACTIVE",
        "VOKE_COMPLETED",
    ]
    assert hour.kws("FOLLOWED") == [None, 20.0, 30.0, None, -10.0, None]
    assert [minute for minute, _, _ in hour.followed("FOLLOWED")[1:]] == [
        "00:00",
        "15:00",
        "30:00",
        "45:00",
        "00:00",
    ]


def test_a_plan_replaced_in_mid_day_leaves_no_gap_and_no_double(hour: Noon):
    old, new = hour.versions("REPLACED")
    first, second = hour.schedules("REPLACED")
    assert (first.version, second.version) == (old, new)
    assert hour.kws("REPLACED") == [None, 20.0, 30.0, 35.0, 40.0, 55.0, None]
    assert "mode" not in [source for _, source, _ in hour.followed("REPLACED")][1:-1]
    assert first.cause == first.create_command.cause == "SCHEDULE_CANCELLED"
    assert (old.state, second.cause) == (PlanState.REPLACED, "COMPLETED")
    assert hour.sent("REPLACED", Kind.SCHEDULE_CANCEL) == 1


def test_a_cancelled_plan_ends_at_once(hour: Noon):
    assert hour.kws("CANCELLED") == [None, 20.0, 30.0, None]
    assert hour.followed("CANCELLED")[-1][0] == "21:00"
    assert hour.schedules("CANCELLED")[0].cause == "SCHEDULE_CANCELLED"


def test_a_refused_replacement_leaves_the_old_plan_running(hour: Noon):
    old, new = hour.versions("REFUSED")
    assert hour.kws("REFUSED") == [None, 20.0, 30.0, 40.0, None]
    assert (old.state, new.state) == (PlanState.PUBLISHED, PlanState.CANCELLED)
    cleared_at = hour.alarm("REFUSED", "PLAN_NOT_CARRIED_OUT").cleared_at
    assert cleared_at is not None
    assert cleared_at >= hour.instant("12:45")  # open as long as the plan that was refused would have lasted


def test_lost_events_change_nothing_at_the_plant_and_a_look_finds_the_schedule(hour: Noon):
    (row,) = hour.schedules("UNHEARD")
    events = CommandEvent.objects.filter(command=row.create_command, verdict="APPLIED").order_by("pk")
    words = list(events.values_list("word", flat=True))
    assert words.index(State.UNCONFIRMED) < words.index(State.EXECUTING)
    assert (row.create_command.state, row.cause) == (State.COMPLETED, "COMPLETED")
    assert hour.kws("UNHEARD") == [None, 20.0, 30.0, None]


def test_a_forgotten_schedule_is_made_anew_once_with_the_slots_left(hour: Noon):
    lost, new = hour.schedules("FORGOTTEN")
    assert (lost.cause, new.cause) == ("LOST_AT_VOKE", "COMPLETED")
    assert hour.kws("FORGOTTEN") == [None, 20.0, None, 20.0, 30.0, 40.0, None]


def test_an_override_stands_above_the_schedule_which_resumes_with_the_slot_that_is_current_then(hour: Noon):
    assert [(source, kw) for _, source, kw in hour.followed("OVERRIDDEN")] == [
        ("mode", None),
        ("schedule", 20.0),
        ("setpoint", 5.0),
        ("schedule", 30.0),
        ("schedule", 40.0),
        ("mode", None),
    ]


def test_after_an_emergency_and_its_release_the_schedule_goes_on(hour: Noon):
    assert [(source, kw) for _, source, kw in hour.followed("STOPPED")] == [
        ("mode", None),
        ("schedule", 20.0),
        ("emergency", None),
        ("schedule", 30.0),
        ("schedule", 40.0),
        ("mode", None),
    ]


def test_a_plan_published_under_an_emergency_begins_with_its_release(hour: Noon):
    assert [kw for kw in hour.kws("STOPPED-BEFORE") if kw is not None] == [20.0, 30.0]


@pytest.mark.parametrize(
    ("plant", "before", "after"),
    [("FROM-VOKE-TO-US", "schedule", "setpoint"), ("FROM-US-TO-VOKE", "setpoint", "schedule")],
)
def test_the_carrier_changes_in_mid_day_without_gap_and_double(hour: Noon, plant, before, after):
    targets = hour.followed(plant)
    assert [kw for _, _, kw in targets] == [None, 20.0, 30.0, 32.0, 40.0, 50.0, None]
    assert [source for _, source, _ in targets] == ["mode", before, before, after, after, after, "mode"]


def test_a_schedule_that_voke_cancels_by_itself_is_told_and_not_sent_again(hour: Noon):
    (row,) = hour.schedules("CANCELLED-BY-VOKE")
    assert (row.create_command.state, row.cause) == (State.FAILED, "CANCELLED_BY_VOKE")
    assert hour.alarm("CANCELLED-BY-VOKE", "PLAN_NOT_CARRIED_OUT").plant == Plant.objects.get(
        external_plant_id="CANCELLED-BY-VOKE"
    )


def test_a_slot_that_voke_missed_stands_in_the_plans_history(hour: Noon):
    (version,) = hour.versions("MISSED")
    event = PlanEvent.objects.get(version=version, word="SLOT_MISSED")
    assert event.detail["slot"] == "2026-03-03T11:15:00.000Z"
