"""Emergency above override above plan: what is stronger takes a slot's place, and the plan goes on when it ends."""

from datetime import timedelta

import pytest

from dispatch.models import Command, OutboundMessage
from schedules.models import Override, SlotRun
from tests.dispatch.helpers import ask, hold_now, lease
from tests.schedules.carrying import (
    asked_of,
    emergency_stop,
    end,
    override,
    plain_plant,
    put_in_force,
    released,
    runs_of,
    sent,
    tick,
)
from tests.schedules.plans import at, slot

pytestmark = pytest.mark.django_db
S = timedelta(seconds=1)


def running_plan(*, now="10:00", quarters=4):
    """A plan whose first slot was commanded and sent."""
    plant = plain_plant()
    version = put_in_force(plant, *[slot(f"10:{n * 15:02}", n + 1) for n in range(quarters)])
    lease(plant.connection)
    tick(at(now))
    sent(plant, at(now))
    return plant, version


# --- under an emergency -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrived", [True, False], ids=["sent", "unsent"])
def test_a_command_that_an_emergency_comes_after_is_pre_empted_and_names_it(arrived):
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))
    tick(at("10:00"))
    if arrived:
        lease(plant.connection)
        sent(plant, at("10:00"))
    emergency_stop(plant, at("10:05"))

    tick(at("10:05") + S)

    assert runs_of(version) == [("PREEMPTED", "LATCHED")]
    assert SlotRun.objects.get().winner == "emergency STOP by operator"


def test_nothing_is_sent_under_a_latch_and_passed_slots_stay_pre_empted():
    plant, version = running_plan()
    emergency_stop(plant, at("10:05"))

    for minute in range(5, 50):
        tick(at("10:00") + timedelta(minutes=minute))

    assert runs_of(version) == [("PREEMPTED", "LATCHED")] * 4
    assert [kw for kw, *_ in asked_of(plant)] == [1.0]


def test_after_the_release_the_slot_that_is_current_then_has_a_turn_after_the_base_mode():
    plant, version = running_plan()
    emergency_stop(plant, at("10:05"))
    tick(at("10:05"))
    tick(at("10:15"))
    tick(at("10:30"))
    base_mode = released(plant, at("10:40"))

    tick(at("10:40"))
    tick(at("10:41"))

    newest = Command.objects.filter(kind="site-setpoint").order_by("-pk")[0]
    assert asked_of(plant)[-1] == (3.0, "09:40:00", "09:45:30", "NORMAL")
    assert runs_of(version) == [
        ("PREEMPTED", "LATCHED"),
        ("PREEMPTED", "LATCHED"),
        ("PREEMPTED", "LATCHED"),
        ("COMMANDED", ""),
        ("WAITING", ""),
    ]
    messages = [OutboundMessage.objects.get(command=one).pk for one in (base_mode, newest)]
    assert messages == sorted(messages)


def test_an_emergency_that_no_tick_saw_is_found_by_what_it_left():
    plant, version = running_plan()
    emergency_stop(plant, at("10:05"))
    released(plant, at("10:05") + S)

    tick(at("10:05") + 2 * S)

    assert runs_of(version)[:2] == [("PREEMPTED", "LATCHED"), ("COMMANDED", "")]
    assert asked_of(plant)[-1][:2] == (1.0, "09:05:02")


def test_a_slot_that_was_sent_ahead_has_a_turn_after_a_short_emergency_too():
    plant, version = running_plan()
    tick(at("10:14") + 40 * S)
    sent(plant, at("10:14") + 40 * S)
    emergency_stop(plant, at("10:14") + 45 * S)
    released(plant, at("10:14") + 50 * S)

    tick(at("10:14") + 51 * S)

    assert [(kw, begins) for kw, begins, _, _ in asked_of(plant)[2:]] == [
        (1.0, "09:14:51"),
        (2.0, "09:15:00"),
    ]
    assert runs_of(version)[:4] == [("PREEMPTED", "LATCHED"), ("COMMANDED", "")] * 2


def test_no_second_turn_is_given_when_none_is_needed():
    plant, version = running_plan()
    emergency_stop(plant, at("10:05"))
    tick(at("10:05"))
    released(plant, at("10:06"))

    for second in range(30):
        tick(at("10:06") + second * S)

    assert runs_of(version)[:2] == [("PREEMPTED", "LATCHED"), ("COMMANDED", "")]
    assert len(asked_of(plant)) == 2


def test_a_second_emergency_pre_empts_the_second_turn():
    plant, version = running_plan()
    for minute in (5, 8):
        ask(plant, hold_now(), at=at(f"10:0{minute}"))
        released(plant, at(f"10:0{minute + 1}"))
        tick(at(f"10:0{minute + 1}"))

    assert runs_of(version)[:3] == [("PREEMPTED", "LATCHED"), ("PREEMPTED", "LATCHED"), ("COMMANDED", "")]


# --- under an override ------------------------------------------------------------------------------------------------


def test_an_override_takes_the_running_slots_place_and_those_that_begin_under_it():
    plant, version = running_plan()

    override(plant, at("10:40"), now=at("10:05"))
    for minute in (6, 15, 30):
        tick(at("10:00") + timedelta(minutes=minute))

    assert runs_of(version)[:3] == [("PREEMPTED", "OVERRIDDEN")] * 3
    assert {run.winner for run in SlotRun.objects.filter(state="PREEMPTED")} == {
        "override by Ann until 09:40Z"
    }
    assert [kw for kw, *_ in asked_of(plant)] == [1.0, 5.0]


def test_the_slot_in_which_an_override_ends_is_sent_ahead_for_that_instant():
    plant, version = running_plan()
    row = override(plant, at("10:40"), now=at("10:05"))
    tick(at("10:30"))

    tick(at("10:39") + 40 * S)
    tick(at("10:40"))

    assert asked_of(plant)[-1] == (3.0, "09:40:00", "09:45:30", "NORMAL")
    assert runs_of(version)[2:4] == [("PREEMPTED", "OVERRIDDEN"), ("COMMANDED", "")]
    row.refresh_from_db()
    assert (row.end_cause, row.ended_at) == ("EXPIRED", at("10:40"))


def test_a_slot_that_begins_when_the_override_ends_is_sent_ahead():
    plant, version = running_plan()
    override(plant, at("10:15"), now=at("10:05"))

    tick(at("10:14") + 40 * S)

    assert asked_of(plant)[-1] == (2.0, "09:15:00", "09:30:30", "NORMAL")
    assert runs_of(version)[:2] == [("PREEMPTED", "OVERRIDDEN"), ("COMMANDED", "")]


def test_ended_early_the_plan_goes_on_at_once_as_strong_as_what_it_replaces():
    plant, _ = running_plan()
    row = override(plant, at("10:40"), now=at("10:05"))
    sent(plant, at("10:05"))

    end(row, at("10:20"))
    tick(at("10:30"))
    tick(at("10:45"))

    assert [(kw, begins, priority) for kw, begins, _, priority in asked_of(plant)[2:]] == [
        (2.0, "09:20:00", "HIGH"), (3.0, "09:30:00", "HIGH"), (4.0, "09:45:00", "NORMAL"),
    ]  # fmt: skip
    assert not Command.objects.filter(kind="mode").exists()


def test_an_override_that_never_left_needs_no_strength_to_follow():
    plant, _ = running_plan()
    row = override(plant, at("10:40"), now=at("10:05"))

    end(row, at("10:10"))

    assert Command.objects.get(pk=row.command_id).state == "CANCELLED"
    assert asked_of(plant)[-1] == (1.0, "09:10:00", "09:15:30", "NORMAL")


def test_ended_early_where_nothing_is_planned_the_base_mode_ends_it():
    plant = plain_plant()
    put_in_force(plant, slot("11:00", 5))
    lease(plant.connection)
    row = override(plant, at("10:40"), now=at("10:05"))
    sent(plant, at("10:05"))

    end(row, at("10:20"))

    assert list(Command.objects.filter(kind="mode").values_list("requested_at", flat=True)) == [at("10:20")]


def test_an_emergency_ends_the_override_and_its_release_brings_back_the_plan():
    plant, version = running_plan()
    row = override(plant, at("10:40"), now=at("10:02"))
    sent(plant, at("10:02"))
    emergency_stop(plant, at("10:05"))
    tick(at("10:05"))
    released(plant, at("10:10"))

    tick(at("10:10"))

    row.refresh_from_db()
    assert row.end_cause == "EMERGENCY"
    assert asked_of(plant)[-1][:2] == (1.0, "09:10:00")
    assert runs_of(version)[0] == ("PREEMPTED", "OVERRIDDEN")


def test_a_stop_of_the_platform_over_the_end_of_an_override_is_made_up_for_by_the_current_slot():
    plant, version = running_plan()
    row = override(plant, at("10:20"), now=at("10:05"))
    sent(plant, at("10:05"))

    tick(at("10:40"))

    row.refresh_from_db()
    assert row.ended_at == at("10:20")
    assert asked_of(plant)[-1][:2] == (3.0, "09:40:00")
    assert runs_of(version) == [
        ("PREEMPTED", "OVERRIDDEN"), ("MISSED", "PLATFORM_DOWN"), ("COMMANDED", ""), ("WAITING", ""),
    ]  # fmt: skip


def test_the_plan_of_an_override_that_was_refused_goes_on():
    plant, version = running_plan()
    row = override(plant, at("10:40"), now=at("10:05"))
    Command.objects.filter(pk=row.command_id).update(state="REJECTED", state_at=at("10:06"))

    tick(at("10:06"))

    assert Override.objects.get().end_cause == "REFUSED"
    assert asked_of(plant)[-1] == (1.0, "09:06:00", "09:15:30", "NORMAL")
    assert runs_of(version)[:2] == [("PREEMPTED", "OVERRIDDEN"), ("COMMANDED", "")]
