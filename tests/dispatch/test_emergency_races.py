"""An emergency against everything that may happen at the same moment: nothing that it should stop survives it."""

from datetime import timedelta

import pytest
from django.db import transaction

from dispatch.models import Command, EmergencyLatch, OutboundMessage, Outcome
from dispatch.services.due import queue_due
from dispatch.states import State
from plants.errors import Conflict
from tests import factories
from tests.dispatch.helpers import ask, claims, hold_now, lease, message_of, mode, release, state_of, stop_now
from tests.factories import AT
from tests.threads import Aside, together, until_blocked

pytestmark = pytest.mark.django_db(transaction=True)
SOON = AT + timedelta(seconds=5)


def survivors():
    """Commands of the latched plant that could still be sent."""
    return list(
        Command.objects.exclude(kind="emergency")
        .filter(state__in=["SCHEDULED", "QUEUED"])
        .values_list("pk", flat=True)
    )


def test_a_submit_that_waits_for_an_emergency_is_refused_by_its_latch():
    plant = factories.plant()

    with transaction.atomic():
        ask(plant, stop_now())
        person = Aside(lambda: ask(plant, mode()))
        until_blocked()

    assert isinstance(person.answer(), Conflict)
    assert person.answer().code == "PLANT_LATCHED"
    assert survivors() == []


@pytest.mark.parametrize("due_in", [timedelta(0), timedelta(minutes=5)], ids=["now", "later"])
def test_an_emergency_that_waits_for_a_submit_takes_its_command_back(due_in):
    plant = factories.plant()

    with transaction.atomic():
        command = ask(plant, mode(), due_at=AT + due_in)
        person = Aside(lambda: ask(plant, stop_now()))
        until_blocked()

    stop = person.answer()
    assert state_of(command) == State.SUPERSEDED
    assert state_of(stop) == State.QUEUED
    assert survivors() == []


def test_whoever_is_first_of_many_submits_and_an_emergency_no_command_survives():
    plant = factories.plant()

    answers = together(
        *[lambda: ask(plant, mode())] * 3, lambda: ask(plant, stop_now()), *[lambda: ask(plant, mode())] * 3
    )

    assert isinstance(answers[3], Command)
    assert survivors() == []
    assert OutboundMessage.objects.filter(outcome=Outcome.PENDING, urgent=False).count() == 0


def test_an_emergency_that_waits_for_the_tick_takes_back_what_the_tick_built():
    plant = factories.plant()
    command = ask(plant, mode(), due_at=SOON)

    with transaction.atomic():
        queue_due(at=SOON)
        person = Aside(lambda: ask(plant, stop_now(), at=SOON))
        until_blocked()

    person.answer()
    assert state_of(command) == State.SUPERSEDED
    assert message_of(command).outcome == Outcome.WITHDRAWN


def test_a_claim_that_waits_for_an_emergency_finds_only_the_emergency():
    plant = factories.plant()
    command = ask(plant, mode())
    lease(plant.connection)

    with transaction.atomic():
        stop = ask(plant, stop_now())
        relay = Aside(lambda: claims(plant.connection))
        until_blocked()

    relay.answer()
    assert message_of(command).attempted_at is None
    assert [one.outbound_id for one in claims(plant.connection, at=SOON)] == [message_of(stop).pk]


def test_an_emergency_that_waits_for_a_claim_leaves_its_command_unconfirmed():
    plant = factories.plant()
    command = ask(plant, mode())
    lease(plant.connection)

    with transaction.atomic():
        claims(plant.connection)
        person = Aside(lambda: ask(plant, stop_now()))
        until_blocked()

    person.answer()
    assert state_of(command) == State.UNCONFIRMED
    assert message_of(command).outcome == Outcome.ABANDONED


def test_two_emergencies_at_once_make_one_latch_and_a_stop_is_never_lost():
    plant = factories.plant()

    answers = together(lambda: ask(plant, hold_now()), lambda: ask(plant, stop_now()))

    hold, stop = answers
    # The one that came second either takes the HOLD back or is the HOLD, which a STOP in force refuses.
    assert hold.code == "STOP_IN_FORCE" if isinstance(hold, Conflict) else state_of(hold) == State.SUPERSEDED
    assert [latch.type for latch in EmergencyLatch.objects.all()] == ["STOP"]
    assert state_of(stop) == State.QUEUED


def test_of_two_releases_at_once_one_is_refused():
    plant = factories.plant()
    ask(plant, stop_now())

    answers = together(lambda: release(plant), lambda: release(plant))

    refused = [one for one in answers if isinstance(one, Conflict)]
    assert [one.code for one in refused] == ["NOT_LATCHED"]
    assert Command.objects.filter(kind="mode").count() == 1
