"""Schedules at Voke that a newer plan replaces: the old one goes when the new one is there."""

import pytest

from dispatch.models import Command
from dispatch.states import State
from plants.models import Alarm, ScheduleCarrier
from schedules.models import PlanState, RunState, SlotRun
from tests.schedules.at_voke import (
    NOON,
    SECOND,
    four_slots,
    history,
    in_force,
    only,
    plant_at_voke,
    published,
    schedules_of,
    send,
    turns,
    voke_says,
)
from tests.schedules.plans import slot
from vcp import Priority

pytestmark = pytest.mark.django_db


# --- replacing --------------------------------------------------------------------------------------------------------


def test_the_old_schedule_is_cancelled_only_when_the_new_one_is_accepted():
    plant = plant_at_voke()
    old = in_force(plant)
    new = published(plant, four_slots(kw=5))
    send(plant)
    turns(NOON + 5 * SECOND)
    assert only(old).cancel_command is None

    voke_says(only(new), "ACCEPTED", now=NOON + 6 * SECOND)
    turns(NOON + 7 * SECOND)

    row = only(old)
    assert row.cancel_command.payload["scheduleId"] == str(row.schedule_id)
    send(plant, now=NOON + 7 * SECOND)
    voke_says(row, "CANCELLED", about=row.cancel_command, now=NOON + 8 * SECOND)
    assert (only(old).cause, only(old).create_command.state) == ("SCHEDULE_CANCELLED", State.COMPLETED)
    assert only(old).create_command.cause == "SCHEDULE_CANCELLED"
    assert only(old).cancel_command.state == State.COMPLETED


def test_the_old_schedule_waits_for_every_schedule_of_its_successor():
    plant = plant_at_voke()
    old = in_force(plant)
    new = published(plant, [*four_slots(kw=5)[:3], slot("12:45", 3, priority=Priority.HIGH)])
    send(plant)
    first, second = schedules_of(new)
    voke_says(first, "ACCEPTED")
    turns(NOON + 5 * SECOND)
    assert only(old).cancel_command is None

    voke_says(second, "ACCEPTED")
    turns(NOON + 10 * SECOND)

    assert only(old).cancel_command is not None


def test_a_version_that_was_not_sent_is_taken_back_and_the_one_before_waits_for_the_third():
    plant = plant_at_voke()
    first = in_force(plant)
    second = published(plant, four_slots(kw=5))
    third = published(plant, four_slots(kw=6))

    assert (only(second).cause, only(second).create_command.state) == ("TAKEN_BACK", State.CANCELLED)
    assert only(first).successor_id == third.pk
    send(plant)
    voke_says(only(third), "ACCEPTED")
    turns(NOON + 5 * SECOND)
    assert only(first).cancel_command is not None


def test_a_refused_successor_leaves_the_old_plan_in_force_and_tells_the_operator():
    plant = plant_at_voke()
    old = in_force(plant)
    new = published(plant, [*four_slots(kw=5)[:3], slot("12:45", 3, priority=Priority.HIGH)])
    send(plant)
    normal = next(row for row in schedules_of(new) if row.priority == "NORMAL")
    voke_says(normal, "REJECTED", reason="slot 0: 5 kW is beyond maxExportKw")

    turns(NOON + 5 * SECOND)

    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.state, new.state) == (PlanState.PUBLISHED, PlanState.CANCELLED)
    assert (only(old).unwanted_at, only(old).cancel_command) == (None, None)
    assert history(old)[-1] == "RESTORED"
    assert history(new)[-1] == "REFUSED"
    alarm = Alarm.objects.get(plant=plant)
    assert (alarm.code, alarm.cleared_at) == ("PLAN_NOT_CARRIED_OUT", None)
    assert "maxExportKw" in alarm.message
    turns(NOON + 30 * SECOND)
    high = next(row for row in schedules_of(new) if row.priority == "HIGH")
    assert high.cancel_command is not None


def test_a_refused_first_plan_ends_with_an_alarm():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)

    voke_says(only(version), "REJECTED", reason="no")
    turns(NOON)

    version.refresh_from_db()
    assert version.state == PlanState.CANCELLED
    assert Alarm.objects.filter(plant=plant, code="PLAN_NOT_CARRIED_OUT").count() == 1


def our_run(version, state, *, command=None):
    return SlotRun.objects.create(
        plant_id=version.plan.plant_id,
        slot=version.slots.get(start_at=NOON),
        due_at=NOON,
        state=state,
        command=command,
    )


@pytest.mark.parametrize("answer", [State.ACCEPTED, State.QUEUED_BY_VOKE, State.REJECTED, State.EXPIRED])
def test_a_successor_that_we_carry_lets_the_schedule_go_when_its_setpoint_is_answered(answer):
    plant = plant_at_voke()
    old = in_force(plant)
    new = published(plant, four_slots(kw=5), carrier=ScheduleCarrier.DISPATCHER)
    setpoint = only(old).create_command
    run = our_run(new, RunState.WAITING)
    turns(NOON + SECOND)
    assert only(old).cancel_command is None
    Command.objects.filter(pk=setpoint.pk).update(state=State.SENT)
    SlotRun.objects.filter(pk=run.pk).update(state=RunState.COMMANDED, command=setpoint)
    turns(NOON + 5 * SECOND)
    assert only(old).cancel_command is None

    Command.objects.filter(pk=setpoint.pk).update(state=answer)
    turns(NOON + 10 * SECOND)

    assert only(old).cancel_command is not None


def test_a_successor_that_we_carry_is_not_waited_for_longer_than_the_ack_of_a_setpoint(settings):
    settings.ACK_TIMEOUTS_S = settings.ACK_TIMEOUTS_S | {"SETPOINT": 20}
    plant = plant_at_voke()
    old = in_force(plant)
    our_run(published(plant, four_slots(kw=5), carrier=ScheduleCarrier.DISPATCHER), RunState.WAITING)

    turns(NOON + 19 * SECOND)
    within = only(old).cancel_command
    turns(NOON + 20 * SECOND)

    assert within is None
    assert only(old).cancel_command is not None


def test_a_successor_that_wants_nothing_now_ends_the_schedule_at_once():
    plant = plant_at_voke()
    old = in_force(plant)
    published(plant, four_slots(first="18:00"), carrier=ScheduleCarrier.DISPATCHER)

    turns(NOON)

    assert only(old).cancel_command is not None
