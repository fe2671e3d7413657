"""What the broker said about a window, written down: the messages' outcomes and the commands' next states."""

from datetime import timedelta

import pytest

from dispatch.models import CommandEvent, Outcome
from dispatch.services.confirms import Word, forget_attempts, note_nacked, record
from dispatch.services.life import advance
from dispatch.services.site_config import publish_changed
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    last_event,
    message_of,
    messages_of,
    mode,
    setpoint,
    state_of,
    stop_now,
    words_of,
)
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(seconds=2)


def claimed_command(payload=None, plant=None):
    plant = plant or factories.plant()
    command = ask(plant, payload or mode())
    return command, claims(plant.connection)


def test_a_confirmed_and_routed_message_makes_its_command_sent_and_starts_the_ack_deadline():
    command, claimed = claimed_command()

    broker_says(Outcome.CONFIRMED, *claimed, at=LATER)

    message = message_of(command)
    assert state_of(command) == State.SENT
    assert command.ack_due_at == LATER + factories.policy().ack_timeout
    assert (message.outcome, message.outcome_at) == (Outcome.CONFIRMED, LATER)
    assert last_event(command).outbound == message


@pytest.mark.parametrize(("outcome", "state"), [(Outcome.RETURNED, "RETURNED"), (Outcome.REFUSED, "REFUSED")])
def test_what_the_broker_did_not_take_ends_the_command_with_the_brokers_reason(outcome, state):
    command, claimed = claimed_command()

    broker_says(outcome, *claimed, detail="no queue" * 100)

    assert state_of(command) == state
    assert command.cause == f"BROKER_{state}"
    assert message_of(command).detail == ("no queue" * 100)[:400]
    assert last_event(command).detail == {"broker": ("no queue" * 100)[:400]}


@pytest.mark.parametrize("payload", [mode(), stop_now()], ids=["command", "emergency"])
def test_a_text_of_the_broker_that_no_database_takes_is_kept_as_far_as_it_goes(payload):
    """A row that the database refuses would be recorded never, and its message sent again and again."""
    command, claimed = claimed_command(payload)

    broker_says(Outcome.RETURNED, *claimed, detail="no\0route \ud800")

    assert message_of(command).detail == "no\N{SYMBOL FOR NULL}route ?"


def test_each_message_of_a_window_gets_its_own_word():
    link = factories.connection()
    commands = [ask(factories.plant(on=link), setpoint()) for _ in range(4)]
    one, two, three, _ = claims(link)

    record(
        words=[
            Word(outbound_id=one.outbound_id, outcome=Outcome.CONFIRMED),
            Word(outbound_id=two.outbound_id, outcome=Outcome.RETURNED, detail="312 NO_ROUTE"),
            Word(outbound_id=three.outbound_id, outcome=Outcome.REFUSED, detail="403"),
        ],
        at=LATER,
        policy=factories.policy(),
    )

    assert [state_of(command) for command in commands] == ["SENT", "RETURNED", "REFUSED", "QUEUED"]
    assert [message_of(command).detail for command in commands] == ["", "312 NO_ROUTE", "403", ""]


def test_a_message_without_a_settling_word_stays_pending():
    command, claimed = claimed_command()

    record(
        words=[Word(outbound_id=claimed[0].outbound_id, outcome=None)], at=LATER, policy=factories.policy()
    )

    assert message_of(command).outcome == Outcome.PENDING
    assert state_of(command) == State.QUEUED


def test_site_config_has_no_command_to_move():
    plant = factories.plant()
    publish_changed(at=AT, policy=factories.policy())

    for _ in ("topology", "constraints", "fallback"):
        broker_says(Outcome.CONFIRMED, *claims(plant.connection))

    assert not CommandEvent.objects.exists()
    assert claims(plant.connection) == []


def test_a_confirm_that_comes_after_the_answer_is_an_event_and_moves_nothing():
    """The reply overtakes our own bookkeeping: COMPLETED while QUEUED, then the broker's confirm."""
    command, claimed = claimed_command()
    advance(command_id=command.pk, to=State.COMPLETED, at=AT, cause="EXECUTION_COMPLETED")

    broker_says(Outcome.CONFIRMED, *claimed, at=LATER)

    assert state_of(command) == State.COMPLETED
    assert words_of(command)[-1] == ("SENT", "STALE")
    assert message_of(command).outcome == Outcome.CONFIRMED


@pytest.mark.parametrize("outcome", [Outcome.RETURNED, Outcome.REFUSED])
def test_a_late_word_of_voke_corrects_what_the_broker_said_of_a_repeated_attempt(outcome):
    """The first attempt had arrived and its confirm was lost: the command was called refused, and it ran."""
    command, _ = claimed_command()
    again = claims(command.connection, at=LATER)
    broker_says(outcome, *again, at=LATER)

    advance(command_id=command.pk, to=State.COMPLETED, at=LATER, cause="EXECUTION_COMPLETED")

    assert state_of(command) == State.COMPLETED


def test_a_second_confirm_of_the_same_bytes_changes_nothing():
    command, claimed = claimed_command()
    broker_says(Outcome.CONFIRMED, *claimed, at=AT)

    broker_says(Outcome.CONFIRMED, *claimed, at=LATER)

    assert message_of(command).outcome_at == AT
    assert words_of(command)[-1] == ("SENT", "DUPLICATE")
    assert state_of(command) == State.SENT
    assert command.ack_due_at == AT + factories.policy().ack_timeout


def test_a_confirm_for_a_message_that_an_emergency_abandoned_replaces_that_outcome():
    plant = factories.plant()
    command, claimed = claimed_command(plant=plant)
    ask(plant, stop_now())

    broker_says(Outcome.CONFIRMED, *claimed, at=LATER)

    assert message_of(command).outcome == Outcome.CONFIRMED
    assert state_of(command) == State.UNCONFIRMED


@pytest.mark.parametrize("outcome", [Outcome.RETURNED, Outcome.REFUSED])
def test_an_emergency_that_the_broker_did_not_take_stays_queued_with_a_note(outcome):
    command, claimed = claimed_command(stop_now())

    broker_says(outcome, *claimed, detail="why")

    assert state_of(command) == State.QUEUED
    assert message_of(command).outcome == outcome
    event = last_event(command)
    assert (event.word, event.verdict, event.detail) == (outcome.value, "NOTE", {"broker": "why"})


def test_a_confirmed_emergency_takes_back_what_was_issued_meanwhile():
    """Its first message was given up as unconfirmed and a second one stored; then the confirm arrived after all."""
    plant = factories.plant()
    command, claimed = claimed_command(stop_now(), plant)
    claims(plant.connection, at=AT + timedelta(seconds=240))
    forget_attempts(outbound_ids=[messages_of(command)[1].pk])

    broker_says(Outcome.CONFIRMED, *claimed, at=AT + timedelta(seconds=241))

    assert [one.outcome for one in messages_of(command)] == [Outcome.CONFIRMED, Outcome.WITHDRAWN]
    assert state_of(command) == State.SENT


# --- nothing was sent -------------------------------------------------------------------------------------------------


def test_a_nack_is_noted_and_leaves_the_message_pending():
    command, claimed = claimed_command()

    note_nacked(outbound_ids=[claimed[0].outbound_id], at=LATER)

    assert words_of(command)[-1] == ("NACKED", "NOTE")
    assert message_of(command).outcome == Outcome.PENDING
    assert message_of(command).not_before_at > LATER


def test_what_the_link_never_sent_counts_as_never_attempted():
    command, claimed = claimed_command()

    forget_attempts(outbound_ids=[claimed[0].outbound_id])

    message = message_of(command)
    assert (message.attempted_at, message.attempts) == (None, 0)


def test_an_attempt_before_the_one_that_did_not_happen_still_counts():
    """A crashed relay may have sent it: only the last attempt is known to have sent nothing."""
    command, claimed = claimed_command()
    claims(command.connection, at=LATER)

    forget_attempts(outbound_ids=[claimed[0].outbound_id])

    assert message_of(command).attempted_at == AT


def test_an_attempt_of_a_message_that_is_settled_is_not_forgotten():
    command, claimed = claimed_command()
    broker_says(Outcome.CONFIRMED, *claimed)

    forget_attempts(outbound_ids=[claimed[0].outbound_id])

    assert message_of(command).attempted_at == AT


# --- how much it costs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.CONFIRMED, Outcome.RETURNED])
@pytest.mark.parametrize("payload", [setpoint(), stop_now()], ids=["commands", "emergencies"])
def test_recording_many_takes_as_many_queries_as_recording_a_few(outcome, payload):
    link = factories.connection()
    for _ in range(22):
        ask(factories.plant(on=link, assets=[]), payload)

    def recorded(count):
        window = claims(link, window=count)
        return queries_of(lambda: broker_says(outcome, *window))

    assert recorded(2) == recorded(20)


def test_noting_many_nacks_takes_as_many_queries_as_noting_a_few():
    link = factories.connection()
    for _ in range(22):
        ask(factories.plant(on=link, assets=[]), setpoint())
    claimed = [one.outbound_id for one in claims(link)]

    few = queries_of(lambda: note_nacked(outbound_ids=claimed[:2], at=AT))
    many = queries_of(lambda: note_nacked(outbound_ids=claimed[2:], at=AT))

    assert few == many


def test_a_refusal_is_not_the_end_of_the_next_command():
    plant = factories.plant()
    _, claimed = claimed_command(plant=plant)
    broker_says(Outcome.REFUSED, *claimed)

    command = ask(plant, mode())

    assert [one.outbound_id for one in claims(plant.connection)] == [message_of(command).pk]
