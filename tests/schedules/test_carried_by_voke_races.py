"""Two at once: ticks, Voke's words beside withdrawal, looks beside ticks; on PostgreSQL with its row locks."""

from datetime import timedelta

import pytest

from dispatch.models import Command, Kind
from dispatch.states import State
from schedules.models import PlanEvent, VokeSchedule
from schedules.services.reconcile import LOOKS_APART
from tests.schedules.at_voke import (
    NOON,
    SECOND,
    cancelled,
    four_slots,
    in_force,
    only,
    plant_at_voke,
    published,
    schedules_of,
    send,
    turns,
    voke_says,
)
from tests.schedules.test_reconcile import FIRST, look
from tests.threads import together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]


def test_two_ticks_at_once_make_a_lost_create_anew_once():
    plants = [plant_at_voke() for _ in range(5)]
    versions = [published(plant, four_slots()) for plant in plants]
    Command.objects.filter(kind=Kind.SCHEDULE_CREATE).update(state=State.EXPIRED)
    now = NOON + timedelta(minutes=1)

    answers = together(*[lambda: turns(now)] * 3)

    assert not [one for one in answers if isinstance(one, Exception)]
    assert [len(schedules_of(version)) for version in versions] == [2] * 5


def test_two_ticks_at_once_cancel_once():
    plant = plant_at_voke()
    version = in_force(plant)
    cancelled(version)
    Command.objects.filter(kind=Kind.SCHEDULE_CANCEL).update(state=State.RETURNED)
    now = NOON + timedelta(minutes=1)

    together(*[lambda: turns(now)] * 3)

    assert only(version).cancels == 2
    assert Command.objects.filter(kind=Kind.SCHEDULE_CANCEL).count() == 2


def test_two_looks_and_a_tick_at_once_make_a_lost_schedule_anew_once():
    plant = plant_at_voke()
    version = in_force(plant)
    look(plant)
    now = FIRST + LOOKS_APART

    together(lambda: look(plant, now=now), lambda: look(plant, now=now), lambda: turns(now))

    assert len(schedules_of(version)) == 2
    assert PlanEvent.objects.filter(version=version, word="RECONCILED").count() == 1


def test_what_voke_says_while_a_plan_is_replaced_and_cancelled_ends_in_one_state_without_deadlock():
    for number in range(4):
        plant = plant_at_voke()
        old = in_force(plant)
        new = published(plant, four_slots(kw=5 + number))
        send(plant)
        rows = [only(old), only(new)]

        answers = together(
            lambda row=rows[0]: voke_says(row, "ACTIVE"),
            lambda row=rows[1]: voke_says(row, "ACCEPTED"),
            lambda version=new: cancelled(version),
            lambda: turns(NOON + 2 * SECOND),
        )

        assert not [one for one in answers if isinstance(one, Exception)], answers
        assert only(new).accepted_at == NOON
        assert all(row.unwanted_at is not None for row in VokeSchedule.objects.filter(plant=plant))
        turns(NOON + 30 * SECOND)
        cancels = Command.objects.filter(plant=plant, kind=Kind.SCHEDULE_CANCEL)
        assert sorted(one.payload["scheduleId"] for one in cancels) == sorted(
            str(row.schedule_id) for row in rows
        )


def test_an_acceptance_that_arrives_twice_at_once_is_one():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)
    row = only(version)

    answers = together(lambda: voke_says(row, "ACCEPTED"), lambda: voke_says(row, "ACTIVE"))

    assert not [one for one in answers if isinstance(one, Exception)]
    assert only(version).create_command.state == State.EXECUTING
    assert only(version).accepted_at == NOON
