"""Plans that Voke's own schedules carry: created, replaced without a gap, cancelled, made anew where they failed."""

from datetime import timedelta
from itertools import pairwise

import pytest

from dispatch.models import Command, Kind
from dispatch.services.overdue import flag_execution_overdue, mark_ack_overdue
from dispatch.states import State
from plants.models import Alarm, Plant, ScheduleCarrier
from schedules.models import PlanState, RunState, SlotRun, VokeSchedule
from schedules.services import voke_turns
from schedules.services.voke_alarms import clear_settled_alarms
from tests import factories
from tests.dispatch.helpers import ask, claims, release, state_of, stop_now
from tests.queries import queries_of
from tests.schedules.at_voke import (
    NOON,
    SECOND,
    cancelled,
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


def commands(plant, kind=Kind.SCHEDULE_CREATE):
    return list(Command.objects.filter(plant=plant, kind=kind).order_by("pk"))


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
    for _ in range(400):
        now += 5 * SECOND
        row = only(version)
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
    for _ in range(300):
        now += 5 * SECOND
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


# --- alarms -----------------------------------------------------------------------------------------------------------


def open_alarms(plant):
    return list(Alarm.objects.filter(plant=plant, cleared_at=None).values_list("code", flat=True))


def test_the_alarm_of_a_refused_plan_stands_until_a_newer_one_is_accepted():
    plant = plant_at_voke()
    in_force(plant)
    refused = published(plant, four_slots(kw=5))
    send(plant)
    voke_says(only(refused), "REJECTED")
    turns(NOON + SECOND)
    clear_settled_alarms(at=NOON + 2 * SECOND)
    assert open_alarms(plant) == ["PLAN_NOT_CARRIED_OUT"]
    third = published(plant, four_slots(kw=6))
    send(plant)
    clear_settled_alarms(at=NOON + 3 * SECOND)
    assert open_alarms(plant) == ["PLAN_NOT_CARRIED_OUT"]

    voke_says(only(third), "ACCEPTED")
    clear_settled_alarms(at=NOON + 4 * SECOND)

    assert open_alarms(plant) == []


def test_the_alarm_of_a_plan_is_cleared_when_we_carry_it_or_when_it_is_over():
    ours, over = plant_at_voke(), plant_at_voke()
    for plant in (ours, over):
        voke_says(only(in_force(plant)), "CANCELLED")
    turns(NOON)
    assert (open_alarms(ours), open_alarms(over)) == (["PLAN_NOT_CARRIED_OUT"],) * 2

    published(ours, four_slots(kw=5), carrier=ScheduleCarrier.DISPATCHER)
    clear_settled_alarms(at=NOON + SECOND)
    assert (open_alarms(ours), open_alarms(over)) == ([], ["PLAN_NOT_CARRIED_OUT"])
    clear_settled_alarms(at=at("13:00"))

    assert open_alarms(over) == []


def test_many_alarms_that_stand_are_told_apart_by_as_many_statements_as_few():
    def refused():
        voke_says(only(in_force(plant_at_voke())), "CANCELLED")

    refused()
    turns(NOON)
    few = queries_of(lambda: clear_settled_alarms(at=NOON))
    for _ in range(4):
        refused()
    turns(NOON)

    assert Alarm.objects.filter(cleared_at=None).count() == 5
    assert queries_of(lambda: clear_settled_alarms(at=NOON)) == few
    assert Alarm.objects.filter(cleared_at=None).count() == 5


def test_the_alarm_of_a_schedule_that_could_not_be_cancelled_is_cleared_when_it_is_gone():
    plant = plant_at_voke()
    version = in_force(plant)
    cancelled(version)
    VokeSchedule.objects.update(cancels=voke_turns.MOST_CANCELS, due_at=NOON)
    Command.objects.filter(kind=Kind.SCHEDULE_CANCEL).update(state=State.RETURNED)
    turns(NOON)
    clear_settled_alarms(at=NOON)
    assert open_alarms(plant) == ["SCHEDULE_NOT_CANCELLED"]

    voke_says(only(version), "COMPLETED", now=at("13:00"))
    clear_settled_alarms(at=at("13:00"))

    assert open_alarms(plant) == []
