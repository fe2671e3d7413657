"""Second turns of slots, and what a replaced or cancelled plan leaves to be sent."""

from datetime import timedelta

import pytest

from dispatch.models import Command
from dispatch.services.commands import cancel as cancel_command
from plants.models import Plant
from schedules.models import SlotRun
from tests.dispatch.helpers import ask, lease, mode, setpoint
from tests.dispatch.taking_back import take_back
from tests.factories import OPERATOR
from tests.schedules.carrying import (
    asked_of,
    cancel,
    plain_plant,
    put_in_force,
    runs_of,
    sent,
    tick,
)
from tests.schedules.plans import at, slot
from vcp import Priority

pytestmark = pytest.mark.django_db
S = timedelta(seconds=1)


# --- after a command that came to nothing -----------------------------------------------------------------------------


def move_to(state, cause="", when=None):
    Command.objects.filter(state="QUEUED").update(state=state, cause=cause, state_at=when or at("10:01"))


@pytest.mark.parametrize("state", ["RETURNED", "REFUSED", "EXPIRED"])
def test_a_command_that_came_to_nothing_gives_its_slot_another_turn_after_a_pause(state):
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))
    tick(at("10:00"))
    move_to(state)

    tick(at("10:01"))
    paused = runs_of(version)
    tick(at("10:02"))

    assert paused == [("MISSED", state), ("WAITING", "")]
    assert runs_of(version) == [("MISSED", state), ("COMMANDED", "")]
    assert [begins for _, begins, _, _ in asked_of(plant)] == ["09:00:00", "09:02:00"]


def test_the_turns_of_a_slot_have_an_end():
    plant = plain_plant(slot_minutes=60)
    version = put_in_force(plant, slot("10:00", 5, minutes=60))
    now = at("10:00")

    for _ in range(30):
        tick(now)
        move_to("RETURNED", when=now)
        now += timedelta(minutes=1)

    assert runs_of(version) == [("MISSED", "RETURNED")] * 5


@pytest.mark.parametrize(
    ("state", "cause"),
    [("REJECTED", "UNSUPPORTED"), ("UNCONFIRMED", "ACK_OVERDUE"), ("FAILED", ""), ("ACCEPTED", "")],
)
def test_what_voke_answered_or_nobody_knows_is_never_sent_again(state, cause):
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))
    tick(at("10:00"))
    move_to(state, cause)

    for minute in range(1, 15):
        tick(at("10:00") + timedelta(minutes=minute))

    assert runs_of(version) == [("COMMANDED", "")]
    assert Command.objects.count() == 1


def test_a_command_that_a_person_took_back_is_not_sent_again():
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))
    tick(at("10:00"))
    cancel_command(
        organisation_id=plant.organisation_id,
        command_id=Command.objects.get().pk,
        actor=OPERATOR,
        reason="no",
        at=at("10:01"),
    )

    tick(at("10:02"))
    tick(at("10:03"))

    assert runs_of(version) == [("MISSED", "TAKEN_BACK")]


# --- under a base mode that took something else back ------------------------------------------------------------------


def test_a_slot_that_the_base_mode_of_another_taking_back_ended_has_another_turn_after_it():
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))
    lease(plant.connection)
    tick(at("10:00"))
    by_hand = ask(plant, setpoint(9.0, valid_from=at("10:02"), valid_until=at("10:15")), at=at("10:02"))
    sent(plant, at("10:02"))

    base_mode = take_back(by_hand, at=at("10:05")).by_command
    tick(at("10:05") + S)
    tick(at("10:05") + 2 * S)

    assert runs_of(version) == [("PREEMPTED", "BASE_MODE"), ("COMMANDED", "")]
    assert SlotRun.objects.get(state="PREEMPTED").winner == f"base mode #{base_mode.pk}"
    again = Command.objects.latest("pk")
    assert again.pk > base_mode.pk
    assert again.payload["targetValueKw"] == 5


def test_a_mode_that_a_person_sent_for_its_own_sake_stands_until_the_next_slot():
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))
    lease(plant.connection)
    tick(at("10:00"))
    ask(plant, mode(), at=at("10:05"))

    tick(at("10:05") + S)

    assert runs_of(version) == [("COMMANDED", "")]


def test_a_slot_whose_own_command_a_person_took_back_is_not_said_again():
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))
    lease(plant.connection)
    tick(at("10:00"))
    sent(plant, at("10:00"))
    take_back(Command.objects.get(), at=at("10:05"))

    tick(at("10:05") + S)
    tick(at("10:05") + 2 * S)

    assert runs_of(version) == [("COMMANDED", "")]


# --- publishing, replacing, cancelling --------------------------------------------------------------------------------


def test_a_cancelled_plan_sends_nothing_more():
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5), slot("10:15", 6))
    tick(at("10:00"))
    cancel(version, at("10:05"))

    tick(at("10:15"))

    assert runs_of(version) == [("WITHDRAWN", "PLAN_ENDED")] * 2
    assert [kw for kw, *_ in asked_of(plant)] == [5.0]


def test_replaced_in_mid_day_only_what_differs_is_sent_anew():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5), slot("10:15", 6), slot("10:30", 7))
    tick(at("10:00"))
    lease(plant.connection)
    sent(plant, at("10:00"))
    version = put_in_force(
        plant, slot("10:00", 5), slot("10:15", 9), slot("10:30", 7), now=at("10:05"), seen=None
    )

    tick(at("10:05"))
    kept = runs_of(version)
    tick(at("10:15"))

    assert kept == [("COMMANDED", "KEPT"), ("WAITING", ""), ("WAITING", "")]
    assert [kw for kw, *_ in asked_of(plant)] == [5.0, 9.0]


def test_a_running_slot_that_differs_is_sent_at_once_and_nothing_in_between():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5))
    tick(at("10:00"))
    lease(plant.connection)
    sent(plant, at("10:00"))
    put_in_force(plant, slot("10:00", 8), now=at("10:05"))

    tick(at("10:05"))

    assert asked_of(plant) == [
        (5.0, "09:00:00", "09:15:00", "NORMAL"),
        (8.0, "09:05:00", "09:15:00", "NORMAL"),
    ]
    assert not Command.objects.filter(kind="mode").exists()


def test_a_strong_slot_is_replaced_by_a_strong_setpoint_until_the_old_one_would_have_ended():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5, priority=Priority.HIGH))
    tick(at("10:00"))
    lease(plant.connection)
    sent(plant, at("10:00"))
    put_in_force(plant, slot("10:00", 8), slot("10:15", 9), now=at("10:05"))

    tick(at("10:05"))
    tick(at("10:15"))

    assert [(kw, priority) for kw, _, _, priority in asked_of(plant)] == [
        (5.0, "HIGH"), (8.0, "HIGH"), (9.0, "NORMAL"),
    ]  # fmt: skip


def test_a_new_slot_over_one_that_was_sent_ahead_is_said_again_when_that_begins():
    plant = plain_plant()
    put_in_force(plant, slot("10:15", 5))
    tick(at("10:14") + 45 * S)
    lease(plant.connection)
    sent(plant, at("10:14") + 45 * S)
    Plant.objects.filter(pk=plant.pk).update(slot_minutes=30)
    version = put_in_force(plant, slot("10:00", 8, minutes=30), now=at("10:14") + 50 * S)

    tick(at("10:14") + 50 * S)
    tick(at("10:15"))

    assert [(kw, begins) for kw, begins, _, _ in asked_of(plant)] == [
        (5.0, "09:15:00"), (8.0, "09:14:50"), (8.0, "09:15:00"),
    ]  # fmt: skip
    assert runs_of(version) == [("COMMANDED", "")] * 2


def test_a_slot_whose_command_came_to_nothing_begins_anew_when_it_is_published_again():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5))
    tick(at("10:00"))
    move_to("REJECTED")
    version = put_in_force(plant, slot("10:00", 5), note="again", now=at("10:05"))

    tick(at("10:05"))

    assert runs_of(version) == [("COMMANDED", "")]
    assert Command.objects.filter(state="QUEUED").count() == 1
