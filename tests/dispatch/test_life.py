"""The one writer of a command's state: guarded updates, an event for every word, no deadlock, no lost race."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import transaction

from dispatch.models import Command, CommandEvent
from dispatch.services import life
from dispatch.services.life import LostRace, Move, Note, advance, advance_many, append_notes, lock_states
from dispatch.states import State, Verdict, judge
from tests import factories
from tests.dispatch.helpers import ask, deliver, last_event, mode, state_of, words_of
from tests.factories import AT
from tests.queries import queries_of
from tests.threads import Aside, together, until_blocked

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(seconds=5)


def sent_command(plant=None):
    command = ask(plant or factories.plant(), mode())
    deliver(command.connection)
    return command


def moves(*words, command, **changes):
    return [Move(command_id=command.pk, to=word, **changes) for word in words]


def test_a_word_that_moves_the_command_changes_state_time_and_cause_and_adds_an_event():
    command = sent_command()

    verdict = advance(command_id=command.pk, to=State.ACCEPTED, at=LATER, cause="ACK_ACCEPTED", actor="Voke")

    command.refresh_from_db()
    assert verdict is Verdict.APPLIED
    assert (command.state, command.state_at, command.cause) == ("ACCEPTED", LATER, "ACK_ACCEPTED")
    event = last_event(command)
    assert (event.word, event.verdict, event.actor, event.at) == ("ACCEPTED", "APPLIED", "Voke", LATER)


@pytest.mark.parametrize(
    ("word", "verdict"), [(State.COMPLETED, Verdict.DUPLICATE), (State.ACCEPTED, Verdict.STALE)]
)
def test_a_repeated_or_late_word_adds_an_event_and_leaves_the_state(word, verdict):
    command = sent_command()
    advance(command_id=command.pk, to=State.COMPLETED, at=AT, cause="first")

    answer = advance(command_id=command.pk, to=word, at=LATER, cause="again")

    command.refresh_from_db()
    assert answer is verdict
    assert (command.state, command.state_at, command.cause) == ("COMPLETED", AT, "first")
    assert words_of(command)[-1] == (word, verdict)


def test_several_words_about_one_command_in_one_batch_are_judged_one_after_the_other():
    command = sent_command()
    words = (State.EXECUTING, State.ACCEPTED, State.COMPLETED, State.COMPLETED, State.FAILED)

    verdicts = advance_many(moves=moves(*words, command=command), at=LATER)

    assert verdicts == ["APPLIED", "STALE", "APPLIED", "DUPLICATE", "STALE"]
    assert state_of(command) == State.COMPLETED
    assert [word for word, _ in words_of(command)][-5:] == list(words)


def test_each_command_of_a_batch_is_judged_by_its_own_state():
    plant = factories.plant()
    queued = ask(plant, mode())
    done = sent_command(factories.plant())
    advance(command_id=done.pk, to=State.FAILED, at=AT, cause="")

    verdicts = advance_many(
        moves=[Move(command_id=one.pk, to=State.ACCEPTED) for one in (done, queued)], at=LATER
    )

    assert verdicts == ["STALE", "APPLIED"]
    assert (state_of(queued), state_of(done)) == ("ACCEPTED", "FAILED")


def test_a_word_without_its_command_is_an_error_and_changes_nothing():
    command = sent_command()

    with pytest.raises(Command.DoesNotExist):
        advance_many(
            moves=[*moves(State.ACCEPTED, command=command), Move(command_id=0, to=State.ACCEPTED)], at=LATER
        )

    assert state_of(command) == State.SENT


def test_the_ack_deadline_is_written_with_the_state():
    command = ask(factories.plant(), mode())

    advance_many(moves=moves(State.SENT, command=command, ack_due_at=LATER), at=AT)

    command.refresh_from_db()
    assert command.ack_due_at == LATER


def test_notes_are_appended_and_move_nothing():
    command = sent_command()

    append_notes(notes=[Note(command_id=command.pk, word="NACKED", detail={"broker": "full"})], at=LATER)

    event = last_event(command)
    assert (event.word, event.verdict, event.detail) == ("NACKED", "NOTE", {"broker": "full"})
    assert state_of(command) == State.SENT


def test_no_words_need_no_transaction_of_their_own():
    assert advance_many(moves=[], at=AT) == []
    assert not CommandEvent.objects.exists()


def test_a_row_that_was_changed_around_the_lock_is_a_lost_race_and_nothing_is_recorded():
    """A writer that does not lock changes the row after we judged it: our update names the state that it expects."""
    command = sent_command()
    known = CommandEvent.objects.count()

    def judged_and_overtaken(current, to):
        Command.objects.filter(pk=command.pk).update(state=State.COMPLETED)
        return judge(current, to)

    with (
        mock.patch.object(life, "judge", autospec=True, side_effect=judged_and_overtaken),
        pytest.raises(LostRace, match="SENT -> ACCEPTED"),
        transaction.atomic(),
    ):
        advance(command_id=command.pk, to=State.ACCEPTED, at=LATER, cause="")

    assert state_of(command) == State.SENT
    assert CommandEvent.objects.count() == known


@pytest.mark.django_db(transaction=True)
def test_two_writers_with_the_same_commands_in_opposite_order_do_not_deadlock():
    plant = factories.plant()
    commands = [ask(plant, mode()) for _ in range(20)]
    deliver(plant.connection)
    there = [Move(command_id=one.pk, to=State.ACCEPTED) for one in commands]
    back = [Move(command_id=one.pk, to=State.EXECUTING) for one in reversed(commands)]

    answers = together(
        lambda: advance_many(moves=there, at=LATER), lambda: advance_many(moves=back, at=LATER)
    )

    assert not [one for one in answers if isinstance(one, Exception)]
    assert answers[1] == ["APPLIED"] * 20
    assert {one.state for one in Command.objects.all()} == {"EXECUTING"}


@pytest.mark.django_db(transaction=True)
def test_a_word_that_waited_for_another_writer_is_judged_by_what_that_one_left():
    command = sent_command()

    with transaction.atomic():
        advance(command_id=command.pk, to=State.COMPLETED, at=AT, cause="first")
        waiting = Aside(lambda: advance(command_id=command.pk, to=State.ACCEPTED, at=LATER, cause="second"))
        until_blocked()

    assert waiting.answer() is Verdict.STALE
    assert state_of(command) == State.COMPLETED


def test_the_number_of_queries_does_not_grow_with_the_number_of_commands():
    plant = factories.plant()
    some = [Move(command_id=ask(plant, mode()).pk, to=State.SENT) for _ in range(2)]
    many = [Move(command_id=ask(plant, mode()).pk, to=State.SENT) for _ in range(20)]

    counts = [queries_of(lambda batch=batch: advance_many(moves=batch, at=LATER)) for batch in (some, many)]

    assert counts == [5, 5]  # savepoint, lock, update, events, release


def test_commands_that_the_caller_has_locked_are_moved_without_a_savepoint():
    """PostgreSQL would keep a list of lockers for each row that was locked before a savepoint and changed behind it."""
    commands = [ask(factories.plant(), mode()) for _ in range(2)]
    moves = [Move(command_id=command.pk, to=State.SENT) for command in commands]
    locked = lock_states([command.pk for command in commands])

    used = queries_of(lambda: advance_many(moves=moves, at=LATER, locked=locked))

    assert used == 2  # update, events
    assert [state_of(command) for command in commands] == [State.SENT, State.SENT]
