"""When it is asked why there is silence, and what ends the question."""

from datetime import timedelta

import pytest
from django.db import DatabaseError

from dispatch.diagnosis import Silence
from dispatch.models import (
    Diagnosis,
    DiagnosisStage,
    Outcome,
)
from dispatch.services import life
from dispatch.services.diagnosis import diagnose
from dispatch.services.due import queue_due
from dispatch.services.emergency import care_for_undelivered
from dispatch.services.late import settle_late
from dispatch.services.life import advance
from dispatch.services.overdue import flag_execution_overdue, mark_ack_overdue
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    mode,
    state_of,
    stop_now,
    words_of,
)
from tests.dispatch.silences import (
    LATER,
    RULES,
    explained,
    no_rest,
    silent_command,
)
from tests.factories import AT

pytestmark = pytest.mark.django_db


AGAIN = timedelta(seconds=15)


# --- when it is asked why ---------------------------------------------------------------------------------------------


def test_a_missing_ack_asks_why_in_the_same_transaction(monkeypatch):
    command = ask(factories.plant(), mode())
    deliver(command.connection)

    def dies(**_facts):
        raise DatabaseError("killed between the state and the question")

    with monkeypatch.context() as patched:
        patched.setattr(life, "ask_why", dies)
        with pytest.raises(DatabaseError):
            mark_ack_overdue(at=LATER)

    assert (state_of(command), Diagnosis.objects.count()) == (State.SENT, 0)
    mark_ack_overdue(at=LATER)
    row = Diagnosis.objects.get()
    assert (state_of(command), row.silence, row.stage, row.look_at) == (
        State.UNCONFIRMED, Silence.NO_ACK, DiagnosisStage.LOCAL, LATER,
    )  # fmt: skip
    assert row.organisation_id == command.organisation_id


@pytest.mark.parametrize("outcome", [Outcome.RETURNED, Outcome.REFUSED])
def test_what_the_broker_does_not_take_asks_why(outcome):
    command = ask(factories.plant(), mode())

    broker_says(outcome, *claims(command.connection), detail="312 NO_ROUTE")

    assert Diagnosis.objects.get(command=command).silence == outcome.value


@pytest.mark.parametrize("outcome", [Outcome.RETURNED, Outcome.REFUSED])
def test_an_emergency_that_the_broker_does_not_take_is_explained_once_and_until_it_arrives(outcome):
    plant = no_rest()
    emergency = ask(plant, stop_now())
    broker_says(outcome, *claims(plant.connection), detail="312 NO_ROUTE")
    care_for_undelivered(at=AT + AGAIN, policy=factories.policy())
    issued_again = claims(plant.connection, at=AT + AGAIN)
    diagnose(at=AT + AGAIN, rules=RULES)  # while the next issue of it is on its way
    broker_says(outcome, *issued_again, at=AT + AGAIN, detail="312 NO_ROUTE")
    diagnose(at=AT + 2 * AGAIN, rules=RULES)
    open_yet = Diagnosis.objects.get(command=emergency)

    care_for_undelivered(at=AT + 3 * AGAIN, policy=factories.policy())
    deliver(plant.connection, at=AT + 3 * AGAIN)

    row = Diagnosis.objects.get(command=emergency)
    assert (open_yet.silence, open_yet.cause, open_yet.confidence) == (outcome, outcome, "CERTAIN")
    assert (open_yet.asked_at, open_yet.ended_at) == (AT, None)
    assert (row.cause, row.ended_at, row.ended_by) == (outcome, AT + 3 * AGAIN, "SENT")
    assert words_of(emergency).count(("DIAGNOSED", "NOTE")) == 1


def test_a_word_of_voke_ends_the_silence_of_an_emergency_that_the_broker_gave_back():
    """An attempt before the one that came back had arrived."""
    plant = no_rest()
    emergency = ask(plant, stop_now())
    broker_says(Outcome.RETURNED, *claims(plant.connection))

    advance(command_id=emergency.pk, to=State.ACCEPTED, at=AT + AGAIN, cause="VOKE_ACCEPTED")

    assert Diagnosis.objects.get(command=emergency).ended_by == "ACCEPTED"


def test_what_was_never_confirmed_or_never_sent_asks_why():
    plant = factories.plant()
    attempted, untried = ask(plant, mode()), ask(factories.plant(), mode())
    claims(plant.connection)

    settle_late(at=AT + timedelta(hours=1), policy=factories.policy())

    silences = dict(Diagnosis.objects.values_list("command_id", "silence"))
    assert silences == {attempted.pk: Silence.NOT_CONFIRMED, untried.pk: Silence.EXPIRED}


def test_a_scheduled_command_that_expires_asks_why():
    command = ask(factories.plant(), mode(), due_at=AT + timedelta(minutes=1))

    queue_due(at=AT + timedelta(hours=2))

    assert Diagnosis.objects.get(command=command).silence == Silence.EXPIRED


def test_an_overdue_execution_asks_why_and_its_report_ends_the_question():
    command = ask(factories.plant(), mode())
    deliver(command.connection)
    advance(command_id=command.pk, to=State.ACCEPTED, at=AT, cause="")
    flag_execution_overdue(at=AT + timedelta(hours=1))
    asked = Diagnosis.objects.get(command=command)

    advance(command_id=command.pk, to=State.COMPLETED, at=AT + timedelta(hours=2), cause="")

    ended = Diagnosis.objects.get(command=command)
    assert (asked.silence, asked.ended_at) == (Silence.NO_EXECUTION, None)
    assert (ended.ended_by, ended.stage, ended.look_at) == (State.COMPLETED, DiagnosisStage.DONE, None)


def test_a_second_silence_takes_the_row_over_and_the_first_stays_in_the_events():
    command = silent_command(plant=no_rest())
    first = explained(command)
    advance(command_id=command.pk, to=State.ACCEPTED, at=LATER, cause="")

    flag_execution_overdue(at=LATER + timedelta(hours=1))

    row = Diagnosis.objects.get(command=command)
    assert first.cause == "UNDECIDED"
    assert (row.silence, row.stage, row.cause, row.ended_at) == ("NO_EXECUTION", "LOCAL", "", None)
    assert ("DIAGNOSED", "NOTE") in words_of(command)


def test_a_late_ack_ends_the_silence_and_keeps_what_was_found():
    command = silent_command(plant=no_rest())
    explained(command)

    advance(command_id=command.pk, to=State.ACCEPTED, at=LATER + timedelta(minutes=1), cause="ACK_ACCEPTED")

    row = Diagnosis.objects.get(command=command)
    assert (row.cause, row.ended_by) == ("UNDECIDED", State.ACCEPTED)
    assert row.ended_at == LATER + timedelta(minutes=1)
    assert row.look_at is None


def test_an_ordinary_answer_asks_nothing_of_the_diagnoses():
    command = ask(factories.plant(), mode())
    deliver(command.connection)

    advance(command_id=command.pk, to=State.ACCEPTED, at=AT, cause="")

    assert not Diagnosis.objects.exists()
