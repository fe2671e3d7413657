"""Plans that Voke's own schedules carry: created, replaced without a gap, cancelled, made anew where they failed."""

from datetime import timedelta

import pytest

from dispatch.models import Command, Kind
from dispatch.services.overdue import flag_execution_overdue, mark_ack_overdue
from dispatch.states import State
from plants.models import Alarm, Plant
from schedules.models import PlanState
from schedules.services import voke_turns
from tests import factories
from tests.dispatch.helpers import ask, release, state_of, stop_now
from tests.queries import queries_of
from tests.schedules.at_voke import (
    NOON,
    SECOND,
    commands,
    four_slots,
    history,
    in_force,
    only,
    plant_at_voke,
    policy,
    published,
    schedules_of,
    send,
    turns,
    voke_says,
)
from tests.schedules.plans import at, slot
from vcp import Priority, SetpointType, format_timestamp

pytestmark = pytest.mark.django_db


# --- publishing -------------------------------------------------------------------------------------------------------


def test_publishing_creates_one_signed_schedule_for_each_priority():
    plant = plant_at_voke()
    slots = four_slots()
    slots[1] = slot("12:15", 30, priority=Priority.HIGH)

    version = published(plant, slots)

    high, normal = sorted(schedules_of(version), key=lambda row: row.priority)
    assert (high.priority, normal.priority) == ("HIGH", "NORMAL")
    assert [len(one.create_command.payload["slots"]) for one in (high, normal)] == [1, 3]
    assert all(one.create_command.messages.get().signed for one in (high, normal))
    assert high.create_command.payload["scheduleId"] == str(high.schedule_id)


def test_only_slots_that_are_not_over_are_created_and_the_running_one_from_now_on():
    plant = plant_at_voke()
    now = NOON + timedelta(minutes=20)
    slots = four_slots()
    slots[1] = slot("12:15", 4.0, type=SetpointType.ENERGY)

    payload = only(published(plant, slots, now=now)).create_command.payload

    assert [one["from"] for one in payload["slots"]] == [
        format_timestamp(now),
        format_timestamp(at("12:30")),
        format_timestamp(at("12:45")),
    ]
    assert payload["slots"][0]["targetValueKwh"] == pytest.approx(4.0 * 10 / 15)


def test_a_schedule_may_be_sent_until_its_last_slot_and_is_awaited_at_its_first():
    plant = plant_at_voke()

    command = only(published(plant, four_slots(first="18:00"))).create_command

    assert command.deliver_by_at == at("19:00")
    assert command.execution_due_at == at("18:00") + factories.policy().execution_timeout


def test_what_cannot_be_sent_while_the_plant_is_latched_is_sent_after_the_release():
    plant = plant_at_voke()
    ask(plant, stop_now(), at=NOON)
    version = published(plant, four_slots())
    assert (only(version).create_command, only(version).cause) == (None, "PLANT_LATCHED")
    later = NOON + timedelta(minutes=16)
    turns(NOON + timedelta(minutes=1))
    release(plant, at=later)

    turns(later + timedelta(minutes=1))

    assert len(only(version).create_command.payload["slots"]) == 3
    assert history(version).count("NOT_SENT") == 1


def test_a_plan_that_never_could_be_sent_ends_with_its_last_slot():
    plant = plant_at_voke()
    Plant.objects.filter(pk=plant.pk).update(dispatch_enabled=False)
    version = published(plant, four_slots())

    turns(at("13:00"))

    assert (only(version).cause, only(version).gone_at) == ("OVER", at("13:00"))
    assert commands(plant) == []


# --- what Voke says ---------------------------------------------------------------------------------------------------


def test_events_move_the_command_from_accepted_to_completed_and_stand_in_the_plans_history():
    plant = plant_at_voke()
    version = in_force(plant)
    row = only(version)
    assert state_of(row.create_command) == State.ACCEPTED

    voke_says(row, "ACTIVE")
    assert state_of(row.create_command) == State.EXECUTING
    voke_says(row, "COMPLETED", now=at("13:00"))

    assert state_of(row.create_command) == State.COMPLETED
    assert history(version)[-3:] == ["VOKE_ACCEPTED", "VOKE_ACTIVE", "VOKE_COMPLETED"]
    assert (only(version).told, only(version).gone_at) == ("COMPLETED", at("13:00"))


def test_an_event_without_a_correlation_is_known_by_its_schedule_id():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)

    voke_says(only(version), "ACCEPTED", nameless=True)

    assert only(version).create_command.state == State.ACCEPTED
    assert only(version).accepted_at == NOON


def test_a_schedule_of_another_plant_is_not_known_by_its_id():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)
    row = only(version)
    row.plant = plant_at_voke(on=plant.connection)

    voke_says(row, "ACCEPTED", nameless=True)

    assert only(version).accepted_at is None
    assert only(version).create_command.state == State.SENT


def test_an_ack_alone_is_enough_to_know_that_voke_has_the_schedule():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)
    Command.objects.filter(pk=only(version).create_command_id).update(state=State.ACCEPTED)

    turns(NOON + timedelta(seconds=30))

    assert only(version).accepted_at == NOON + timedelta(seconds=30)


def test_a_schedule_that_began_is_not_overdue_before_its_last_slot_is_over():
    plant = plant_at_voke()
    row = only(in_force(plant))
    voke_says(row, "ACTIVE")
    timeout = factories.policy().execution_timeout

    flag_execution_overdue(at=at("13:00") + timeout - SECOND)

    row.create_command.refresh_from_db()
    assert row.create_command.execution_due_at == at("13:00") + timeout
    assert not row.create_command.execution_overdue


def test_an_accepted_schedule_that_does_not_begin_is_overdue():
    plant = plant_at_voke()
    row = only(in_force(plant))

    flag_execution_overdue(at=NOON + factories.policy().execution_timeout)

    row.create_command.refresh_from_db()
    assert row.create_command.execution_overdue


def test_a_schedule_whose_completion_was_lost_is_gone_some_time_after_its_end():
    plant = plant_at_voke()
    version = in_force(plant)

    turns(at("13:04"))
    assert only(version).gone_at is None
    turns(at("13:05"))

    assert only(version).cause == "OVER"


def test_a_word_that_is_not_known_is_kept_and_moves_nothing():
    plant = plant_at_voke()
    version = in_force(plant)

    voke_says(only(version), "POSTPONED")

    assert (only(version).told, only(version).create_command.state) == ("POSTPONED", State.ACCEPTED)


# --- creates that came to nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [State.EXPIRED, State.RETURNED, State.REFUSED])
def test_a_create_that_came_to_nothing_is_made_anew_with_the_slots_left_and_a_new_id(end):
    plant = plant_at_voke()
    version = published(plant, four_slots())
    Command.objects.filter(pk=only(version).create_command_id).update(state=end, cause="X")

    turns(NOON + timedelta(minutes=16))
    turns(NOON + timedelta(minutes=16))

    lost, new = schedules_of(version)
    assert (lost.cause, new.turn, new.takes_place_of_id) == ("X", 2, lost.pk)
    assert new.schedule_id != lost.schedule_id
    assert len(new.create_command.payload["slots"]) == 3


def test_a_create_that_an_emergency_took_back_is_made_anew_after_the_release():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    ask(plant, stop_now(), at=NOON)
    assert only(version).create_command.state == State.SUPERSEDED
    turns(NOON + 30 * SECOND)

    release(plant, at=NOON + timedelta(minutes=1))
    turns(NOON + timedelta(minutes=3))

    assert schedules_of(version)[-1].create_command.state == State.QUEUED
    assert len(schedules_of(version)) == 2


def test_a_create_is_made_anew_only_so_often_and_then_the_plan_ends_with_an_alarm():
    plant = plant_at_voke()
    version = published(plant, four_slots(first="18:00"))
    now = NOON
    while now < NOON + timedelta(minutes=25):
        due = [one.due_at for one in schedules_of(version) if one.gone_at is None and one.due_at]
        now = max([now + 5 * SECOND, *due]) if due else NOON + timedelta(minutes=25)
        Command.objects.filter(plant=plant, state=State.QUEUED).update(state=State.RETURNED)
        turns(now)

    version.refresh_from_db()
    assert len(schedules_of(version)) == policy().most_turns
    assert version.state == PlanState.CANCELLED
    assert Alarm.objects.get(plant=plant).code == "PLAN_NOT_CARRIED_OUT"


def test_a_create_that_met_silence_is_never_sent_again_by_the_tick():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)
    mark_ack_overdue(at=NOON + factories.policy().ack_timeout)
    assert only(version).create_command.state == State.UNCONFIRMED

    for minute in range(2, 59):
        turns(NOON + timedelta(minutes=minute))

    assert len(commands(plant)) == 1
    assert only(version).create_command.messages.count() == 1


# --- the tick ---------------------------------------------------------------------------------------------------------


def test_a_tick_that_finds_nothing_asks_once():
    in_force(plant_at_voke())

    assert queries_of(lambda: turns(NOON + timedelta(minutes=5))) == 1


def test_what_is_wrong_with_one_schedule_stops_no_other(monkeypatch):
    first, second = plant_at_voke(), plant_at_voke()
    bad, good = published(first, four_slots()), published(second, four_slots())
    Command.objects.filter(kind=Kind.SCHEDULE_CREATE).update(state=State.EXPIRED)
    real = voke_turns.make_anew

    def broken(row, *args, **named):
        if row.version_id == bad.pk:
            raise ValueError("broken")
        return real(row, *args, **named)

    monkeypatch.setattr(voke_turns, "make_anew", broken)

    with pytest.raises(ExceptionGroup):
        turns(NOON + timedelta(minutes=1))

    assert len(schedules_of(good)) == 2
    assert len(schedules_of(bad)) == 1


def test_a_crash_between_the_new_row_and_its_command_leaves_nothing_half_done(monkeypatch):
    plant = plant_at_voke()
    version = published(plant, four_slots())
    Command.objects.filter(kind=Kind.SCHEDULE_CREATE).update(state=State.EXPIRED)

    def crash(*_args, **_named):
        raise RuntimeError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(voke_turns, "send_create", crash)
        with pytest.raises(ExceptionGroup):
            turns(NOON + timedelta(minutes=1))
    assert only(version).gone_at is None

    turns(NOON + timedelta(minutes=1))

    assert len(schedules_of(version)) == 2
