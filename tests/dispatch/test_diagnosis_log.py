"""Looks at Voke's command log: claimed, bounded, dropped when they come too late, and safe with two ticks at once."""

from datetime import timedelta

import pytest
from django.db import transaction

from dispatch.diagnosis import Check, Finding, Result
from dispatch.models import CommandEvent, Diagnosis, DiagnosisStage
from dispatch.services.diagnosis import (
    LogTold,
    claim_looks,
    connections_to_ask,
    diagnose,
    record_looks,
)
from dispatch.services.life import advance
from dispatch.services.overdue import mark_ack_overdue
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import ask, deliver, message_of, setpoint, state_of
from tests.dispatch.silences import LATER, RULES, explained, finding, reports, silent_command, speaks
from tests.factories import AT
from tests.queries import queries_of
from tests.threads import Aside, together, until_blocked
from vcp.said import said

pytestmark = pytest.mark.django_db
SOON = timedelta(seconds=1)


def unexplained():
    """A command of which our own evidence tells nothing: Voke's log is to be asked."""
    command = silent_command()
    row = explained(command)
    assert (row.stage, row.made_at, row.cause) == (DiagnosisStage.LOG, None, "")
    return command


def looks(command, *, at=LATER, **options):
    return claim_looks(connection_id=command.connection_id, at=at, rules=RULES, **options)


def told(look, code="KNOWN", result=Result.FINE, word="ACCEPTED", again=False, more=()):
    found = Finding(check=Check.LOG, result=result, code=code, saw=said("as told"), word=word)
    return LogTold(look=look, findings=(found, *more), again=again)


def failed(look):
    return told(look, code="REST_TIMEOUT", result=Result.OPEN, word="", again=True)


def row_of(command):
    return Diagnosis.objects.get(command=command)


def test_a_look_names_the_messages_of_the_command_and_its_site():
    command = unexplained()

    [look] = looks(command)

    message = message_of(command)
    assert look.message_ids == {str(message.message_id), str(message.correlation_id)}
    assert (look.site_id, look.sent_at, look.lists_it) == (command.plant.voke_uuid, AT, True)


def test_a_claimed_look_is_somebodys_own_until_its_lease_ends():
    command = unexplained()
    looks(command)

    assert connections_to_ask(at=LATER + SOON) == []
    assert looks(command, at=LATER + SOON) == []
    assert len(looks(command, at=LATER + RULES.lease)) == 1
    assert row_of(command).attempts == 2


def test_a_process_that_dies_with_its_looks_does_not_have_the_log_asked_for_ever():
    command = unexplained()
    at = LATER
    for _ in range(RULES.looks):
        assert len(looks(command, at=at)) == 1
        at += RULES.lease

    assert looks(command, at=at) == []
    row = row_of(command)
    assert (row.stage, row.cause, finding(row, "LOG")["code"]) == ("DONE", "UNDECIDED", "NO_ANSWER")


def test_what_the_log_tells_names_the_cause_and_leaves_the_state():
    command = unexplained()
    [look] = looks(command)

    assert record_looks(told=[told(look)], at=LATER + SOON, rules=RULES) == 1

    row = row_of(command)
    assert (row.cause, row.confidence, row.stage) == ("KNOWN_TO_VOKE", "CERTAIN", DiagnosisStage.DONE)
    assert state_of(command) == State.UNCONFIRMED
    event = CommandEvent.objects.get(command=command, word="DIAGNOSED")
    assert (event.cause, event.detail["log"]) == ("KNOWN_TO_VOKE", "ACCEPTED")


def test_a_better_witness_of_the_clock_replaces_the_streams():
    command = silent_command()
    command.connection.streams.update(skew_ms=400_000)
    assert explained(command).cause == "CLOCK_SKEW"
    [look] = looks(command)
    agrees = Finding(check=Check.CLOCK, result=Result.FINE, code="AGREE", saw=said("by REST"))

    unlisted = told(look, code="UNKNOWN", result=Result.WRONG, word="", more=[agrees])
    record_looks(told=[unlisted], at=LATER, rules=RULES)

    assert row_of(command).cause == "UNKNOWN_TO_VOKE"


def test_a_look_that_failed_is_made_again_after_pauses_that_grow_and_then_no_more():
    command = unexplained()
    at, pauses = LATER, []
    while row_of(command).stage == DiagnosisStage.LOG:
        [look] = looks(command, at=at)
        record_looks(told=[failed(look)], at=at, rules=RULES)
        row = row_of(command)
        pauses.append(row.look_at and row.look_at - at)
        at = row.look_at or at

    assert pauses == [RULES.look_again, 2 * RULES.look_again, None]
    assert (row.cause, row.made_at, finding(row, "LOG")["code"]) == ("UNDECIDED", at, "REST_TIMEOUT")


def test_a_likely_cause_stands_although_the_log_could_not_be_read():
    command = silent_command()
    command.connection.streams.update(skew_ms=400_000)
    explained(command)
    [look] = looks(command)

    record_looks(told=[told(look, code="REST_FORBIDDEN", result=Result.OPEN, word="")], at=LATER, rules=RULES)

    row = row_of(command)
    assert (row.cause, row.confidence, row.stage) == ("CLOCK_SKEW", "LIKELY", DiagnosisStage.DONE)


def test_an_answer_that_comes_after_the_silence_ended_is_dropped():
    command = unexplained()
    [look] = looks(command)
    advance(command_id=command.pk, to=State.ACCEPTED, at=LATER, cause="")

    assert record_looks(told=[told(look)], at=LATER + SOON, rules=RULES) == 0
    assert (row_of(command).cause, row_of(command).ended_by) == ("", State.ACCEPTED)


def test_an_answer_about_an_earlier_silence_is_dropped():
    command = unexplained()
    [look] = looks(command)
    Diagnosis.objects.update(asked_at=LATER + SOON)

    assert record_looks(told=[told(look)], at=LATER + SOON, rules=RULES) == 0


def test_the_number_of_queries_does_not_grow_with_the_number_of_looks():
    plant = factories.plant()

    def asked(count):
        for _ in range(count):
            ask(plant, setpoint())
        deliver(plant.connection)
        speaks(plant.connection)
        reports(plant)
        mark_ack_overdue(at=LATER)
        diagnose(at=LATER, rules=RULES)

        def turn():
            claimed = claim_looks(connection_id=plant.connection_id, at=LATER, rules=RULES)
            assert len(claimed) == count
            record_looks(told=[told(look) for look in claimed], at=LATER, rules=RULES)

        return queries_of(turn)

    assert asked(2) == asked(20)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_explain_each_silence_once():
    commands = [silent_command() for _ in range(8)]
    for command in commands[:4]:
        command.connection.rest_base_url = ""
        command.connection.save(update_fields=["rest_base_url"])

    answers = together(*[lambda: diagnose(at=LATER, rules=RULES, limit=3)] * 4)
    diagnose(at=LATER, rules=RULES)  # what one skipped because another held it

    assert all(isinstance(answer, int) for answer in answers), answers
    assert CommandEvent.objects.filter(word="DIAGNOSED").count() == 4
    assert Diagnosis.objects.filter(stage=DiagnosisStage.LOG).count() == 4


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_readers_at_once_never_claim_the_same_look():
    command = unexplained()
    for _ in range(5):
        other = silent_command(plant=command.plant)
        explained(other)

    claimed = together(*[lambda: looks(command, limit=2)] * 3)

    ids = [look.command_id for answer in claimed for look in answer]
    assert len(ids) == len(set(ids))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_late_ack_and_the_tick_wait_for_each_other_and_not_in_a_circle():
    command = silent_command(plant=factories.plant(on=factories.connection(rest_base_url="")))

    with transaction.atomic():
        advance(command_id=command.pk, to=State.ACCEPTED, at=LATER, cause="")
        assert Aside(lambda: diagnose(at=LATER, rules=RULES)).answer() == 0  # skips what is locked
    row = row_of(command)
    assert (row.ended_by, row.stage) == (State.ACCEPTED, DiagnosisStage.DONE)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_look_that_ends_while_an_ack_is_stored_waits_for_it_and_is_dropped():
    command = unexplained()
    [look] = looks(command)

    with transaction.atomic():
        advance(command_id=command.pk, to=State.ACCEPTED, at=LATER, cause="")
        recording = Aside(lambda: record_looks(told=[told(look)], at=LATER, rules=RULES))
        until_blocked()

    assert recording.answer() == 0
    assert row_of(command).ended_by == State.ACCEPTED
