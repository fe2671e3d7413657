"""Taking a command back: only while no byte of it may have left, whoever comes first."""

from datetime import timedelta

import pytest
from django.db import transaction

from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.services.commands import cancel
from dispatch.services.confirms import forget_attempts
from dispatch.states import State
from plants.errors import Conflict, DomainError, NotFound
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    last_event,
    lease,
    message_of,
    mode,
    state_of,
    stop_now,
)
from tests.factories import AT, OPERATOR
from tests.threads import Aside, until_blocked

pytestmark = pytest.mark.django_db


def take_back(command, organisation_id=None):
    return cancel(
        organisation_id=organisation_id or command.organisation_id,
        command_id=command.pk,
        actor=OPERATOR,
        reason="changed my mind",
        at=AT,
    )


def refused(command, **changes) -> str:
    with pytest.raises(DomainError) as caught:
        take_back(command, **changes)
    return caught.value.code


@pytest.mark.parametrize("due_in", [timedelta(0), timedelta(minutes=5)], ids=["queued", "scheduled"])
def test_a_command_of_which_nothing_was_sent_can_be_taken_back(due_in):
    plant = factories.plant()
    command = ask(plant, mode(), due_at=AT + due_in)

    answer = take_back(command)

    assert answer.state == State.CANCELLED
    assert claims(plant.connection, at=AT + due_in) == []
    event = last_event(command)
    assert (event.word, event.actor, event.detail) == ("CANCELLED", "operator", {"reason": "changed my mind"})
    assert {one.outcome for one in OutboundMessage.objects.all()} <= {Outcome.WITHDRAWN}


def test_a_claimed_command_can_not_be_taken_back_and_nothing_of_the_attempt_is_undone():
    plant = factories.plant()
    command = ask(plant, mode())
    claims(plant.connection)

    assert refused(command) == "ALREADY_SENT"
    assert state_of(command) == State.QUEUED
    assert message_of(command).outcome == Outcome.PENDING


def test_a_sent_command_can_not_be_taken_back():
    plant = factories.plant()
    command = ask(plant, mode())
    deliver(plant.connection)

    assert refused(command) == "ALREADY_SENT"


def test_a_command_whose_only_attempt_did_not_happen_can_be_taken_back():
    plant = factories.plant()
    command = ask(plant, mode())
    forget_attempts(outbound_ids=[one.outbound_id for one in claims(plant.connection)])

    assert take_back(command).state == State.CANCELLED


def test_a_command_that_has_ended_is_said_to_have_ended_and_not_to_have_been_sent():
    command = ask(factories.plant(), mode())
    take_back(command)

    assert refused(command) == "ALREADY_FINAL"


def test_a_returned_command_has_ended_too():
    plant = factories.plant()
    command = ask(plant, mode())
    broker_says(Outcome.RETURNED, *claims(plant.connection))

    assert refused(command) == "ALREADY_FINAL"


def test_an_emergency_is_released_and_not_cancelled():
    assert refused(ask(factories.plant(), stop_now())) == "RELEASE_INSTEAD"


def test_another_organisations_command_is_as_unknown_as_one_that_does_not_exist():
    command = ask(factories.plant(), mode())

    with pytest.raises(NotFound):
        take_back(command, organisation_id=factories.organisation().pk)

    assert state_of(command) == State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_a_cancel_that_comes_first_leaves_nothing_to_claim():
    plant = factories.plant()
    command = ask(plant, mode())
    lease(plant.connection)

    with transaction.atomic():
        take_back(command)
        relay = Aside(lambda: claims(plant.connection))
        until_blocked()

    assert relay.answer() == []
    assert state_of(command) == State.CANCELLED
    assert message_of(command).attempted_at is None


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_comes_first_makes_the_cancel_fail():
    plant = factories.plant()
    command = ask(plant, mode())
    lease(plant.connection)

    with transaction.atomic():
        claimed = claims(plant.connection)
        person = Aside(lambda: take_back(command))
        until_blocked()

    assert isinstance(person.answer(), Conflict)
    assert [one.outbound_id for one in claimed] == [message_of(command).pk]
    assert state_of(command) == State.QUEUED


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_claim_waits_for_a_command_before_it_holds_any_message():
    """Command before message, in every service: a cancel and a claim in two orders would deadlock."""
    plant = factories.plant()
    command = ask(plant, mode())
    lease(plant.connection)

    with transaction.atomic():
        list(Command.objects.select_for_update().filter(pk=command.pk))
        relay = Aside(lambda: claims(plant.connection))
        until_blocked()
        free = list(OutboundMessage.objects.select_for_update(nowait=True).filter(command=command))

    assert len(free) == 1
    assert len(relay.answer()) == 1
