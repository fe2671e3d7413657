"""Schedules at Voke that are cancelled: at once, against what crosses on the wire, again where the word was lost."""

from datetime import timedelta
from itertools import pairwise

import pytest

from dispatch.models import Command, Kind
from dispatch.states import State
from plants.models import Alarm
from schedules.services import voke_turns
from tests.dispatch.helpers import ask, claims, release, stop_now
from tests.schedules.at_voke import (
    NOON,
    SECOND,
    cancelled,
    commands,
    four_slots,
    in_force,
    only,
    plant_at_voke,
    published,
    send,
    turns,
    voke_says,
)

pytestmark = pytest.mark.django_db


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_a_cancelled_plan_is_cancelled_at_voke_at_once():
    plant = plant_at_voke()
    version = in_force(plant)

    cancelled(version)

    assert only(version).cancel_command.kind == Kind.SCHEDULE_CANCEL
    assert only(version).cancel_command.messages.get().signed


def test_a_plan_that_was_never_sent_is_taken_back_without_a_word_to_voke():
    plant = plant_at_voke()
    version = published(plant, four_slots())

    cancelled(version)

    assert only(version).create_command.state == State.CANCELLED
    assert commands(plant, Kind.SCHEDULE_CANCEL) == []


def test_a_create_that_a_relay_has_already_is_cancelled_and_not_taken_back():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    claims(plant.connection, at=NOON)

    cancelled(version)

    assert only(version).create_command.state == State.QUEUED
    assert only(version).cancel_command is not None


def test_a_cancellation_that_crosses_the_acceptance_on_the_wire_ends_well():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)
    cancelled(version)
    send(plant, now=NOON + SECOND)
    row = only(version)

    voke_says(row, "ACCEPTED", now=NOON + SECOND)
    voke_says(row, "CANCELLED", about=row.cancel_command, now=NOON + 2 * SECOND)

    assert only(version).cause == "SCHEDULE_CANCELLED"
    assert (only(version).create_command.state, only(version).cancel_command.state) == (
        State.COMPLETED,
        State.COMPLETED,
    )


def test_a_refused_cancellation_means_that_voke_knows_no_such_schedule():
    plant = plant_at_voke()
    version = in_force(plant)
    cancelled(version)
    send(plant)
    row = only(version)

    voke_says(row, "REJECTED", about=row.cancel_command, reason="no such schedule")

    assert only(version).cause == "CANCEL_REJECTED"
    assert (only(version).create_command.state, only(version).cancel_command.state) == (
        State.ACCEPTED,
        State.REJECTED,
    )
    assert not Alarm.objects.exists()


@pytest.mark.parametrize("end", [State.EXPIRED, State.RETURNED, State.REFUSED, State.UNCONFIRMED])
def test_a_lost_cancellation_is_said_again_with_backoff_and_at_last_told_to_the_operator(end):
    plant = plant_at_voke()
    version = published(plant, four_slots(first="18:00"))
    send(plant)
    voke_says(only(version), "ACCEPTED")
    cancelled(version)
    now, times = NOON, []
    while now < NOON + timedelta(minutes=34):
        row = only(version)
        now = max(now + 5 * SECOND, row.due_at or now)  # a tick before that finds nothing due
        if row.cancel_command is not None and row.cancel_command.state == State.QUEUED:
            Command.objects.filter(pk=row.cancel_command_id).update(state=end)
            times.append(now)
        turns(now)

    assert len(commands(plant, Kind.SCHEDULE_CANCEL)) == voke_turns.MOST_CANCELS
    waits = [later - before for before, later in pairwise(times)]
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]
    assert Alarm.objects.get(plant=plant).code == "SCHEDULE_NOT_CANCELLED"


def test_a_cancellation_waits_for_a_latch_and_is_not_counted_as_lost():
    plant = plant_at_voke()
    version = in_force(plant)
    ask(plant, stop_now(), at=NOON)
    cancelled(version)
    for minute in range(1, 20):
        turns(NOON + timedelta(minutes=minute))
    assert (only(version).cancels, only(version).cause) == (0, "PLANT_LATCHED")

    release(plant, at=NOON + timedelta(minutes=20))
    turns(NOON + timedelta(minutes=26))

    assert only(version).cancels == 1


def test_a_schedule_that_voke_cancels_by_itself_stays_cancelled_and_is_told():
    plant = plant_at_voke()
    version = in_force(plant)

    voke_says(only(version), "CANCELLED", reason="grid operator")
    turns(NOON + SECOND)

    row = only(version)
    assert (row.create_command.state, row.create_command.cause) == (State.FAILED, "CANCELLED_BY_VOKE")
    assert row.gone_at is not None
    assert Alarm.objects.get(plant=plant).code == "PLAN_NOT_CARRIED_OUT"
    turns(NOON + timedelta(minutes=5))
    assert len(commands(plant)) == 1
