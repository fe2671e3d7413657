"""Stops of timed commands that come to nothing, emergencies and cancels in between, ticks at once."""

from datetime import timedelta

import pytest

from dispatch.models import Command, Kind, TimedCommand
from dispatch.services import timed as service
from dispatch.services.not_stopped import not_stopped_alarm_id
from dispatch.services.retracting import retract
from dispatch.states import State
from plants.models import Alarm
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    batch,
    claims,
    deliver,
    device,
    hold_now,
    message_of,
    release,
    stop_now,
)
from tests.dispatch.timing import END, RULES, row_of, start, started, tick, voke_moves
from tests.factories import AT, OPERATOR
from tests.queries import queries_of
from tests.threads import together

pytestmark = pytest.mark.django_db


# --- a stop that comes to nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [State.EXPIRED, State.RETURNED, State.REFUSED, State.REJECTED, State.FAILED])
def test_a_stop_that_came_to_nothing_is_made_again_after_a_pause(word):
    command = started(factories.plant())
    tick()
    first = row_of(command).stop
    voke_moves(first, word)

    tick(END + timedelta(seconds=10))
    tick(END + timedelta(seconds=17))
    before_the_pause_is_over = row_of(command).stop
    tick(END + timedelta(seconds=18))

    row = row_of(command)
    assert before_the_pause_is_over is None
    assert (row.attempts, row.stop.pk != first.pk, row.stop.state) == (1, True, State.QUEUED)


def test_a_stop_that_could_not_be_sent_is_recorded_and_made_again():
    plant = factories.plant()
    command = started(plant)
    set_plant_dispatch(plant_id=plant.pk, enabled=False)
    tick()
    first = row_of(command).stop
    set_plant_dispatch(plant_id=plant.pk, enabled=True)

    tick(END + timedelta(seconds=1))
    tick(END + timedelta(seconds=9))

    assert (first.state, first.cause) == (State.CANCELLED, "DISPATCH_OFF")
    assert row_of(command).stop.state == State.QUEUED


def fail_all_stops(command):
    """Every stop is refused, until it is left to people; the instant after."""
    at = END
    for _ in range(12):
        tick(at)
        stop = row_of(command).stop
        if stop is not None:
            voke_moves(stop, State.REJECTED)
        at += timedelta(seconds=30)
    return at


def test_after_a_bounded_number_of_stops_only_the_alarm_stands():
    command = started(factories.plant())

    fail_all_stops(command)

    alarm = Alarm.objects.get(alarm_id=not_stopped_alarm_id(command.pk))
    assert Command.objects.exclude(pk=command.pk).count() == RULES.most_attempts
    assert (alarm.code, alarm.severity, alarm.cleared_at) == ("TIMED_STOP_NOT_DONE", "CRITICAL", None)
    assert "it is not tried again" in alarm.message
    assert row_of(command).ended_at is None


def test_a_person_who_takes_the_start_back_has_the_stop_made_once_more_and_the_alarm_ends_with_it():
    command = started(factories.plant())
    at = fail_all_stops(command)

    row = retract(command_id=command.pk, actor=OPERATOR, reason="stop it", at=at, policy=factories.policy())
    voke_moves(row.by_command, State.ACCEPTED)
    tick(at + timedelta(seconds=2))

    assert row_of(command).end_cause == "STOPPED"
    assert Alarm.objects.get().cleared_at == at + timedelta(seconds=2)


def test_the_alarm_ends_when_the_device_is_commanded_anew():
    plant = factories.plant()
    command = started(plant)
    at = fail_all_stops(command)
    ask(plant, batch(device(power_kw=1.0)), at=at)

    for seconds in (60, 120, 180):
        tick(at + timedelta(seconds=seconds))

    assert row_of(command).end_cause == "REPLACED"
    assert Alarm.objects.get().cleared_at is not None


def test_a_newer_command_that_nobody_confirmed_spares_no_device_its_stop():
    plant = factories.plant()
    command = started(plant)
    newer = ask(plant, batch(device(power_kw=1.0)), at=END - timedelta(minutes=1))
    voke_moves(newer, State.UNCONFIRMED, cause="NEVER_CONFIRMED")

    tick()

    assert row_of(command).stop is not None
    assert row_of(command).ended_at is None


@pytest.mark.parametrize("halt_s", [61, 120, 7200])
def test_a_stop_whose_sender_was_killed_is_made_again_when_its_time_has_passed_and_goes_out(halt_s):
    plant = factories.plant()
    command = started(plant)
    tick()
    first = row_of(command).stop
    claims(plant.connection, at=END)
    restart = END + timedelta(seconds=halt_s)

    deliver(plant.connection, at=restart)
    tick(restart)
    tick(restart + timedelta(seconds=8))
    sent = deliver(plant.connection, at=restart + timedelta(seconds=8))

    row = row_of(command)
    first.refresh_from_db()
    assert (first.state, first.cause) == (State.UNCONFIRMED, "NEVER_CONFIRMED")
    assert [one.outbound_id for one in sent] == [message_of(row.stop).pk]
    assert (row.stop.state, row.stop.payload, row.attempts) == (State.SENT, first.payload, 1)


def test_a_stop_whose_sender_was_killed_is_the_same_bytes_once_more_while_its_time_lasts():
    plant = factories.plant()
    command = started(plant)
    tick()
    (before,) = claims(plant.connection, at=END)
    restart = END + timedelta(seconds=30)

    tick(restart)
    (again,) = deliver(plant.connection, at=restart)

    assert (again.outbound_id, again.body) == (before.outbound_id, before.body)
    assert Command.objects.exclude(pk=command.pk).count() == 1


def test_a_stop_that_was_never_confirmed_spares_a_device_that_was_commanded_anew_meanwhile():
    plant = factories.plant()
    command = started(plant)
    tick()
    claims(plant.connection, at=END)
    restart = END + timedelta(seconds=120)
    deliver(plant.connection, at=restart)
    ask(plant, batch(device(power_kw=1.0)), at=restart)

    tick(restart)
    tick(restart + timedelta(seconds=8))

    assert row_of(command).end_cause == "REPLACED"


def test_silence_after_a_stop_that_the_broker_has_raises_the_alarm_and_sends_nothing_again():
    command = started(factories.plant())
    tick()
    voke_moves(row_of(command).stop, State.UNCONFIRMED, cause="ACK_OVERDUE")

    for minutes in range(1, 5):
        tick(END + timedelta(minutes=minutes))

    assert Command.objects.exclude(pk=command.pk).count() == 1
    assert "was not answered" in Alarm.objects.get().message


def test_a_late_word_after_silence_ends_it_and_the_alarm():
    command = started(factories.plant())
    tick()
    voke_moves(row_of(command).stop, State.UNCONFIRMED)
    tick(END + timedelta(seconds=61))
    voke_moves(row_of(command).stop, State.ACCEPTED)

    tick(END + timedelta(seconds=62))

    assert row_of(command).end_cause == "STOPPED"
    assert Alarm.objects.get().cleared_at == END + timedelta(seconds=62)


# --- emergencies ------------------------------------------------------------------------------------------------------


def test_under_a_stop_the_emergency_has_done_it():
    plant = factories.plant()
    command = started(plant)
    ask(plant, stop_now(), at=AT + timedelta(minutes=1))

    tick()

    assert (row_of(command).end_cause, row_of(command).stop) == ("EMERGENCY", None)


def test_after_a_stop_was_released_nothing_is_stopped_any_more():
    plant = factories.plant()
    command = started(plant)
    ask(plant, stop_now(), at=AT + timedelta(minutes=1))
    deliver(plant.connection, at=AT + timedelta(minutes=1))
    release(plant, at=AT + timedelta(minutes=2))

    tick()

    assert row_of(command).end_cause == "EMERGENCY"


def test_under_a_hold_the_stop_waits_for_the_release_whose_base_mode_ends_the_order():
    plant = factories.plant()
    command = started(plant)
    ask(plant, hold_now(), at=AT + timedelta(minutes=1))
    tick()
    held = row_of(command)
    release(plant, at=END + timedelta(minutes=5))

    tick(END + timedelta(minutes=5, seconds=1))

    assert (held.ended_at, held.stop) == (None, None)
    assert row_of(command).end_cause == "EMERGENCY"


def test_after_a_hold_whose_release_could_not_send_the_base_mode_the_stop_is_sent():
    plant = factories.plant()
    command = started(plant)
    ask(plant, hold_now(), at=AT + timedelta(minutes=1))
    set_plant_dispatch(plant_id=plant.pk, enabled=False)
    release(plant, at=END + timedelta(minutes=5))
    set_plant_dispatch(plant_id=plant.pk, enabled=True)

    tick(END + timedelta(minutes=5, seconds=1))

    assert row_of(command).stop.kind == Kind.DEVICE


# --- taking the start back --------------------------------------------------------------------------------------------


def take_back(command, at):
    return retract(command_id=command.pk, actor=OPERATOR, reason="enough", at=at, policy=factories.policy())


def test_a_cancel_sends_the_stop_at_once_and_the_tick_sends_none():
    plant = factories.plant()
    command = started(plant)
    early = AT + timedelta(minutes=5)

    row = take_back(command, early)
    tick()

    assert (row.how, row.by_command) == ("STOP", row_of(command).stop)
    assert row_of(command).stop_at == early
    assert Command.objects.count() == 2


def test_the_stop_of_a_cancel_that_comes_to_nothing_is_made_again_too():
    command = started(factories.plant())
    row = take_back(command, AT + timedelta(minutes=5))
    voke_moves(row.by_command, State.EXPIRED)

    tick(AT + timedelta(minutes=6))
    tick(AT + timedelta(minutes=7))

    assert row_of(command).stop.pk != row.by_command_id
    assert row_of(command).stop.state == State.QUEUED


def test_a_cancel_of_an_unsent_start_ends_it_with_nothing_to_stop():
    command = start(factories.plant())

    assert take_back(command, AT) is None

    assert row_of(command).end_cause == "NOTHING_SENT"


def test_a_cancel_after_the_stop_went_out_sends_no_second_one():
    command = started(factories.plant())
    tick()

    row = take_back(command, END + timedelta(seconds=1))

    assert (row.how, row.by_command) == ("FOLLOWED", row_of(command).stop)
    assert Command.objects.count() == 2


# --- at once, and in bulk ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_ticks_and_a_cancel_at_once_make_one_stop():
    command = started(factories.plant())

    answers = together(tick, tick, lambda: take_back(command, END))

    assert not [one for one in answers if isinstance(one, Exception)]
    assert Command.objects.exclude(pk=command.pk).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_crash_while_the_stop_is_made_leaves_all_or_nothing(monkeypatch):
    command = started(factories.plant())

    def crash(*_args, **_more):
        raise RuntimeError("killed")

    monkeypatch.setattr(service, "adopt_stop", crash)
    with pytest.raises(RuntimeError):
        tick()
    left = Command.objects.exclude(pk=command.pk).count()
    monkeypatch.undo()
    tick(END + timedelta(seconds=1))

    assert left == 0
    assert Command.objects.exclude(pk=command.pk).count() == 1


def test_stops_that_were_accepted_end_by_the_same_few_statements_however_many():
    link = factories.connection()

    def accepted(count):
        plants = [factories.plant(on=link) for _ in range(count)]
        commands = [start(plant) for plant in plants]
        deliver(link)
        tick()
        for command in commands:
            voke_moves(row_of(command).stop, State.ACCEPTED)

    accepted(2)
    few = queries_of(lambda: tick(END + timedelta(seconds=1)))
    accepted(9)
    many = queries_of(lambda: tick(END + timedelta(seconds=2)))

    assert few == many
    assert not TimedCommand.objects.filter(ended_at__isnull=True).exists()


def test_a_tick_that_finds_nothing_asks_three_questions():
    statements = queries_of(tick)

    assert statements == 3 + 2 * 2  # two of them each within a savepoint
