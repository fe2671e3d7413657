"""Taking back under an emergency, where nothing can be sent, and while words about the command are on the wire."""

import itertools
from datetime import timedelta

import pytest
from django.db import transaction

from dispatch.models import Command, CommandEvent, Outcome, Retraction
from dispatch.services import retracting as service
from dispatch.services.confirms import note_nacked
from dispatch.states import State
from plants.models import Connection, ConnectionMode, Plant
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    batch,
    broker_says,
    claims,
    hold_now,
    lease,
    message_of,
    mode,
    release,
    setpoint,
    state_of,
    stop_now,
    words_of,
)
from tests.dispatch.taking_back import (
    LATER,
    acknowledged,
    sent,
    take_back,
    voke_says,
)
from tests.factories import AT
from tests.threads import Aside, together, until_blocked
from vcp import (
    Execution,
)

pytestmark = pytest.mark.django_db


# --- under a latch, and where nothing can be sent ---------------------------------------------------------------------


@pytest.mark.parametrize("emergency", [stop_now(), hold_now()])
@pytest.mark.parametrize("payload", [setpoint(), batch(), mode()], ids=["setpoint", "devices", "mode"])
def test_under_a_latch_nothing_is_sent_and_the_emergency_is_named(emergency, payload):
    plant = factories.plant()
    command = sent(plant, payload)
    latched = ask(plant, emergency)

    row = take_back(command)

    assert (row.how, row.by_command) == ("FOLLOWED", latched)
    assert Command.objects.count() == 2


def test_after_a_release_the_base_mode_that_it_sent_is_enough():
    plant = factories.plant()
    command = sent(plant, setpoint())
    ask(plant, stop_now())
    released = release(plant, at=AT + timedelta(seconds=30))

    row = take_back(command)

    assert (row.how, row.by_command) == ("FOLLOWED", released)


def dispatch_off(plant):
    set_plant_dispatch(plant_id=plant.pk, enabled=False)


def observes(_plant):
    Connection.objects.update(mode=ConnectionMode.OBSERVE)


def detached(plant):
    Plant.objects.filter(pk=plant.pk).update(connection=None)


def asset_gone(plant):
    plant.assets.all().delete()


@pytest.mark.parametrize(
    ("payload", "spoil", "cause"),
    [
        (setpoint(), dispatch_off, "DISPATCH_OFF"),
        (setpoint(), observes, "CONNECTION_OBSERVES"),
        (setpoint(), detached, "NOT_CONNECTED"),
        (batch(), asset_gone, "UNKNOWN_ASSET"),
    ],
)
def test_what_undoes_it_and_can_not_be_sent_is_recorded_with_the_reason(payload, spoil, cause):
    plant = factories.plant()
    command = sent(plant, payload)
    spoil(plant)

    by_command = take_back(command).by_command

    assert (by_command.state, by_command.cause) == (State.CANCELLED, cause)


def test_asked_again_what_could_not_be_sent_is_made_anew():
    plant = factories.plant()
    command = sent(plant, setpoint())
    dispatch_off(plant)
    first = take_back(command).by_command
    set_plant_dispatch(plant_id=plant.pk, enabled=True)

    again = take_back(command)

    assert again.by_command != first
    assert state_of(again.by_command) == State.QUEUED
    assert Retraction.objects.count() == 1


def test_asked_again_what_was_sent_stays_as_it_is():
    command = sent(factories.plant(), setpoint())
    first = take_back(command)

    again = take_back(command, reason="once more")

    assert (again.pk, again.by_command, again.reason) == (first.pk, first.by_command, "replanned")
    assert Command.objects.count() == 2


# --- on the wire at the same time -------------------------------------------------------------------------------------


def test_an_attempted_command_counts_as_sent_and_is_not_handed_out_again():
    plant = factories.plant()
    command = ask(plant, setpoint())
    claims(plant.connection)

    row = take_back(command)

    assert row.how == "BASE_MODE"
    assert (state_of(command), command.cause) == (State.UNCONFIRMED, "TAKEN_BACK")
    assert message_of(command).outcome == Outcome.ABANDONED
    assert [one.outbound_id for one in claims(plant.connection, at=LATER)] == [message_of(row.by_command).pk]


STEPS = ("confirm", "ack", "cancel")


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)), ids="-".join)
@pytest.mark.parametrize("answer", ["ACCEPTED", "REJECTED"])
def test_confirm_acknowledgement_and_cancel_may_cross_in_any_order(order, answer):
    plant = factories.plant()
    command = ask(plant, setpoint())
    claimed = claims(plant.connection)
    steps = {
        "confirm": lambda: broker_says(Outcome.CONFIRMED, *claimed, at=LATER),
        "ack": lambda: acknowledged(plant, command, answer),
        "cancel": lambda: take_back(command),
    }

    for name in order:
        steps[name]()

    row = Retraction.objects.get(pk=command.pk)
    rejected_first = answer == "REJECTED" and order.index("ack") < order.index("cancel")
    assert state_of(command) == answer
    assert message_of(command).outcome == Outcome.CONFIRMED
    assert row.how == ("OVER" if rejected_first else "BASE_MODE")
    assert Command.objects.count() == (1 if rejected_first else 2)


@pytest.mark.parametrize("word", ["EXECUTING", "COMPLETED", "DEVIATED", "FAILED"])
def test_an_execution_that_comes_after_the_cancel_applies_to_the_command(word):
    plant = factories.plant()
    command = ask(plant, setpoint())
    claims(plant.connection)
    take_back(command)

    voke_says(plant, command, Execution(status=word, command_type="site-setpoint"))

    assert state_of(command) == word


def test_a_nack_after_the_cancel_sends_nothing_again():
    plant = factories.plant()
    command = ask(plant, setpoint())
    claimed = claims(plant.connection)
    take_back(command)

    note_nacked(outbound_ids=[one.outbound_id for one in claimed], at=LATER)
    again = claims(plant.connection, at=LATER)

    assert claimed[0].outbound_id not in [one.outbound_id for one in again]


@pytest.mark.django_db(transaction=True)
def test_two_cancels_at_once_make_one_retraction_and_one_base_mode():
    command = sent(factories.plant(), setpoint())

    answers = together(lambda: take_back(command), lambda: take_back(command))

    assert [one.pk for one in answers] == [command.pk] * 2
    assert Command.objects.filter(kind="mode").count() == 1
    assert CommandEvent.objects.filter(word="TAKEN_BACK").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_cancels_of_an_unsent_command_at_once_cancel_it_once():
    command = ask(factories.plant(), setpoint())

    answers = together(lambda: take_back(command), lambda: take_back(command))

    assert answers == [None, None]
    assert words_of(command).count(("CANCELLED", "APPLIED")) == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_claim_that_comes_first_makes_the_cancel_send_what_undoes_it():
    plant = factories.plant()
    command = ask(plant, setpoint())
    lease(plant.connection)

    with transaction.atomic():
        claims(plant.connection)
        person = Aside(lambda: take_back(command))
        until_blocked()

    assert person.answer().how == "BASE_MODE"
    assert state_of(command) == State.UNCONFIRMED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("emergency_first", [True, False])
def test_a_cancel_and_an_emergency_at_once_never_send_a_base_mode_after_the_emergency(emergency_first):
    plant = factories.plant()
    command = sent(plant, setpoint())
    work = [lambda: ask(plant, stop_now(), at=LATER), lambda: take_back(command)]

    answers = together(*(work if emergency_first else reversed(work)))

    assert not [one for one in answers if isinstance(one, Exception)]
    assert not Command.objects.filter(kind="mode", state=State.QUEUED).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("killed_at", ["store_or_record", "_write_down", "append_notes"])
def test_a_crash_at_any_step_leaves_all_or_nothing(monkeypatch, killed_at):
    plant = factories.plant()
    command = ask(plant, setpoint())
    claims(plant.connection)

    def crash(*_args, **_more):
        raise RuntimeError("killed")

    monkeypatch.setattr(service, killed_at, crash)
    with pytest.raises(RuntimeError):
        take_back(command)
    monkeypatch.undo()

    assert (state_of(command), message_of(command).outcome) == (State.QUEUED, Outcome.PENDING)
    assert not Retraction.objects.exists()
    assert take_back(command).how == "BASE_MODE"
