"""An old connection retires when nothing is due there any more and its queues are proven to be read to the end."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dispatch.models import Outcome
from dispatch.services.life import advance
from dispatch.states import State
from plants.advice import ADVICE
from plants.models import Alarm, AlarmChange, Connection, Plant
from tests import factories
from tests.dispatch.helpers import ask, broker_says, claims, deliver, mode, setpoint
from tests.dispatch.takeovers import LATER, RULES, reader, retired, successor, taken_over
from tests.factories import AT

pytestmark = pytest.mark.django_db
PERIOD = timedelta(seconds=10)  # between two messages, while nothing is learnt
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
GRACE_OVER = LATER + RULES.grace


def handed_over(**facts):
    """An old connection without plants, that was taken over at LATER."""
    old = factories.connection(**facts)
    taken_over(old, successor(old))
    return old


def told(old):
    old.refresh_from_db()
    return old.draining_code, old.draining_note


# --- proofs -----------------------------------------------------------------------------------------------------------


def test_it_retires_at_the_moment_that_is_proven_and_not_at_that_of_the_tick():
    old = handed_over()
    until = LATER + PERIOD
    reader(old, seen_at=until + 3 * SECOND, since=LATER, until=until)

    assert retired(until + 4 * SECOND) == 1

    old.refresh_from_db()
    assert (old.retired_at, old.draining_code) == (until, "")
    assert retired(until + 5 * SECOND) == 0


def test_while_messages_wait_it_does_not_retire_and_says_how_many():
    old = handed_over()
    reader(old, seen_at=LATER + MINUTE, unread=7)

    assert retired(LATER + MINUTE) == 0

    assert told(old) == ("DRAINING_UNREAD", "7 at the last look")


@pytest.mark.parametrize("seen_at", [None, LATER], ids=["none", "gone"])
def test_without_a_consumer_it_does_not_retire_and_says_so(seen_at):
    old = handed_over()
    if seen_at is not None:
        reader(old, seen_at=seen_at, since=AT, until=seen_at)

    assert retired(LATER + MINUTE) == 0

    assert told(old)[0] == "DRAINING_NOT_READ"


def test_a_consumer_that_is_not_connected_reads_nothing():
    old = handed_over()
    reader(old, seen_at=LATER + MINUTE, state="REFUSED")

    assert retired(LATER + MINUTE) == 0

    assert told(old)[0] == "DRAINING_NOT_READ"


@pytest.mark.parametrize(
    ("since", "until"),
    [(AT - MINUTE, LATER + PERIOD - SECOND), (LATER + SECOND, LATER + PERIOD)],
    ids=["mostly before the takeover", "for less than a period"],
)
def test_queues_that_were_empty_for_less_than_a_period_since_the_takeover_are_looked_at_again(since, until):
    old = handed_over()
    reader(old, seen_at=until, since=since, until=until)

    assert retired(until) == 0

    assert told(old)[0] == "DRAINING_LAST_LOOK"


def test_the_period_that_was_set_on_the_connection_counts():
    old = handed_over(realtime_period_s=2)
    until = LATER + 2 * SECOND
    reader(old, seen_at=until, since=LATER, until=until)

    assert retired(until) == 1


# --- several consumers ------------------------------------------------------------------------------------------------


def test_what_one_consumer_holds_another_can_not_prove():
    old = handed_over()
    until = LATER + MINUTE
    reader(old, seen_at=until, since=LATER, until=until)
    reader(old, seen_at=until, unread=200, holder="consume-2")

    assert retired(until) == 0

    assert told(old) == ("DRAINING_UNREAD", "200 at the last look")


def test_the_proven_moment_is_that_of_the_slower_consumer():
    old = handed_over()
    slow, fast = LATER + 2 * PERIOD, LATER + 3 * PERIOD
    reader(old, seen_at=fast, since=LATER, until=fast)
    reader(old, seen_at=fast, since=LATER + SECOND, until=slow, holder="consume-2")

    assert retired(fast) == 1

    old.refresh_from_db()
    assert old.retired_at == slow


def test_proofs_that_do_not_overlap_prove_nothing_together():
    """What the first gave back when its link broke may be with the second one."""
    old = handed_over()
    at = LATER + MINUTE
    reader(old, seen_at=at, since=LATER, until=LATER + PERIOD)
    reader(old, seen_at=at, since=LATER + PERIOD + SECOND, until=at, holder="consume-2")

    assert retired(at) == 0


@pytest.mark.parametrize(("after", "expected"), [(-SECOND, 0), (SECOND, 1)], ids=["before", "after"])
def test_a_proof_counts_once_the_broker_has_taken_back_what_a_consumer_that_is_gone_held(after, expected):
    old = handed_over()
    gone_at = LATER + SECOND
    until = gone_at + RULES.gone_after + after
    reader(old, seen_at=gone_at, since=LATER, until=gone_at, holder="consume-2")
    reader(old, seen_at=until, since=LATER, until=until)

    assert retired(until + 2 * SECOND) == expected


# --- what else is waited for ------------------------------------------------------------------------------------------


def test_nothing_pending_and_every_deadline_over_and_only_then_the_proof():
    plant = factories.plant()
    old = plant.connection
    command = ask(plant, mode())
    window = claims(old)
    taken_over(old, successor(old))
    reader(old, seen_at=LATER + 2 * PERIOD, since=LATER, until=LATER + 2 * PERIOD)
    seen = [(retired(LATER + 2 * PERIOD), told(old))]
    broker_says(Outcome.CONFIRMED, *window, at=LATER)
    command.refresh_from_db()
    due = command.ack_due_at

    for until in (due - SECOND, due):
        reader(old, seen_at=due, since=LATER, until=until)
        seen += [(retired(until), told(old))]

    assert [answer for answer, _ in seen] == [0, 0, 1]
    assert [code for _, (code, _) in seen] == ["DRAINING_PENDING", "DRAINING_AWAITS_WORDS", ""]
    assert old.retired_at == due


def test_an_answer_that_may_stand_in_the_queue_since_its_deadline_passed_is_looked_for():
    plant = factories.plant()
    old = plant.connection
    command = ask(plant, mode())
    deliver(old)
    taken_over(old, successor(old))
    command.refresh_from_db()
    due = command.ack_due_at
    advance(command_id=command.pk, to=State.UNCONFIRMED, at=due, cause="ACK_OVERDUE")
    reader(old, seen_at=due + SECOND, since=LATER, until=due - SECOND)

    assert retired(due + SECOND) == 0

    assert told(old)[0] == "DRAINING_LAST_LOOK"


def test_it_drains_for_the_least_time_and_is_proven_to_be_read_after_that():
    old = handed_over()
    rules = replace(RULES, least=MINUTE)
    answers = []
    for until in (LATER + MINUTE - SECOND, LATER + MINUTE):
        reader(old, seen_at=until, since=LATER, until=until)
        answers.append((retired(until, rules), told(old)[0]))
        answers.append((retired(until + SECOND, rules), told(old)[0]))

    assert answers == [(0, "DRAINING_MINIMUM"), (0, "DRAINING_LAST_LOOK"), (1, ""), (0, "")]


def test_a_plant_that_reached_the_old_connection_during_the_takeover_is_moved_on():
    old = factories.connection()
    new = successor(old)
    taken_over(old, new)
    stray = factories.plant(on=new)
    Plant.objects.filter(pk=stray.pk).update(connection=old)

    retired(LATER)

    assert Plant.objects.get().connection == new


def test_a_stray_plant_that_cannot_be_moved_on_keeps_no_other_connection_from_retiring():
    old = factories.connection()
    new = successor(old)
    taken_over(old, new)
    elsewhere = factories.plant(
        on=factories.connection(owner=old.organisation), voke_uuid=factories.plant(on=new).voke_uuid
    )
    Plant.objects.filter(pk=elsewhere.pk).update(connection=old)
    later = factories.connection(owner=old.organisation)
    taken_over(later, successor(later))
    reader(later, seen_at=LATER + PERIOD, since=LATER, until=LATER + PERIOD)

    assert retired(LATER + PERIOD) == 1

    assert told(old)[0] == "DRAINING_STRAY"
    assert Connection.objects.get(pk=later.pk).retired_at == LATER + PERIOD


def test_a_connection_that_nobody_took_over_never_retires():
    factories.connection()

    assert retired(AT + 10 * RULES.grace) == 0


# --- when the grace is over -------------------------------------------------------------------------------------------


def test_a_long_execution_is_waited_for_until_the_grace_is_over():
    plant = factories.plant()
    old = plant.connection
    start = AT + 3 * RULES.grace
    command = ask(plant, setpoint(valid_from=start, valid_until=start + timedelta(hours=1)))
    deliver(old)
    advance(command_id=command.pk, to=State.ACCEPTED, at=AT, cause="ACK_ACCEPTED")
    taken_over(old, successor(old))
    reader(old, seen_at=GRACE_OVER, since=LATER, until=GRACE_OVER - SECOND)

    assert [retired(GRACE_OVER - SECOND), retired(GRACE_OVER)] == [0, 1]

    old.refresh_from_db()
    assert old.retired_at == GRACE_OVER - SECOND
    assert not Alarm.objects.exists()


@pytest.mark.parametrize(
    ("unread", "left"),
    [(12, "12 messages at the last look"), (None, "how many messages wait is not known")],
)
def test_a_connection_that_is_not_read_to_the_end_retires_with_the_grace_and_an_alarm_says_what_is_left(
    unread, left
):
    old = handed_over()
    reader(old, seen_at=GRACE_OVER, unread=unread)

    assert [retired(GRACE_OVER - SECOND), retired(GRACE_OVER)] == [0, 1]

    alarm = Alarm.objects.get()
    assert told(old) == ("TAKEOVER_UNREAD", left)
    assert old.retired_at == GRACE_OVER
    assert (alarm.connection, alarm.code, alarm.severity) == (old, "TAKEOVER_UNREAD", "ERROR")
    assert left in alarm.message


def test_a_connection_that_nobody_reads_retires_with_the_grace_and_says_so():
    handed_over()

    assert [retired(GRACE_OVER - SECOND), retired(GRACE_OVER)] == [0, 1]

    assert "no consumer read them" in Alarm.objects.get().message


def test_the_alarm_stands_for_a_day():
    handed_over()
    retired(GRACE_OVER)
    day = timedelta(days=1)

    retired(GRACE_OVER + day - SECOND)
    stands = Alarm.objects.get().cleared_at is None
    retired(GRACE_OVER + day)

    assert stands
    assert Alarm.objects.get().cleared_at == GRACE_OVER + day
    assert AlarmChange.objects.count() == 2


def test_what_is_pending_outlasts_the_grace():
    plant = factories.plant()
    old = plant.connection
    ask(plant, mode())
    claims(old)
    taken_over(old, successor(old))

    assert retired(GRACE_OVER) == 0

    assert told(old) == ("DRAINING_PENDING", "1 waiting or on their way")


def test_every_reason_has_its_words():
    assert {code for code in ADVICE if code.startswith("DRAINING_")} == {
        "DRAINING_PENDING", "DRAINING_AWAITS_WORDS", "DRAINING_MINIMUM", "DRAINING_UNREAD", "DRAINING_LAST_LOOK",
        "DRAINING_NOT_READ", "DRAINING_STRAY",
    }  # fmt: skip
