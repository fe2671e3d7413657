"""Emergencies: past everything else, latched until a person releases them, HOLD and STOP in the right order."""

from datetime import timedelta

import pytest

from dispatch.models import Command, EmergencyLatch, Outcome
from dispatch.selectors import open_latch
from dispatch.services.commands import check
from dispatch.services.due import queue_due
from dispatch.services.emergency import send_emergency
from dispatch.states import State
from plants.errors import Conflict, Invalid, NotFound
from plants.models import Connection, ConnectionMode, Plant
from plants.services.connections import set_connection_dispatch
from plants.services.organisations import set_installation_dispatch
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    envelope_of,
    hold_now,
    last_event,
    message_of,
    messages_of,
    mode,
    release,
    request_for,
    setpoint,
    state_of,
    stop_now,
)
from tests.factories import AT, OPERATOR
from tests.threads import together
from vcp.commands import utf16_length

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(seconds=5)


def test_an_emergency_latches_the_plant_and_is_urgent_signed_and_without_a_last_moment():
    plant = factories.plant()

    command = ask(plant, stop_now("smoke"))

    latch = open_latch(plant_id=plant.pk)
    message = message_of(command)
    assert (latch.type, latch.command, latch.set_by_name, latch.set_at) == ("STOP", command, "operator", AT)
    assert (message.urgent, message.signed, message.deliver_by_at) == (True, True, None)
    assert envelope_of(message)["payload"] == {"type": "STOP", "reason": "smoke"}
    assert (command.state, command.deliver_by_at) == (State.QUEUED, None)


def test_everything_unsent_is_taken_back_and_names_the_emergency_that_won():
    plant = factories.plant()
    queued, planned = ask(plant, mode()), ask(plant, setpoint(), due_at=LATER)

    stop = ask(plant, stop_now())

    assert (state_of(queued), state_of(planned)) == (State.SUPERSEDED, State.SUPERSEDED)
    assert last_event(queued).detail == last_event(planned).detail == {"winner": stop.pk}
    assert message_of(queued).outcome == Outcome.WITHDRAWN
    assert queue_due(at=LATER) == 0


def test_an_attempted_command_is_unconfirmed_and_not_sent_again():
    plant = factories.plant()
    command = ask(plant, mode())
    claims(plant.connection)

    stop = ask(plant, stop_now())

    assert state_of(command) == State.UNCONFIRMED
    assert last_event(command).detail == {"winner": stop.pk}
    assert message_of(command).outcome == Outcome.ABANDONED
    assert [one.outbound_id for one in claims(plant.connection, at=LATER)] == [message_of(stop).pk]


def test_what_was_sent_already_is_left_to_voke():
    plant = factories.plant()
    command = ask(plant, mode())
    deliver(plant.connection)

    ask(plant, stop_now())

    assert state_of(command) == State.SENT


def test_other_plants_keep_their_commands():
    link = factories.connection()
    quiet = ask(factories.plant(on=link), mode())

    ask(factories.plant(on=link), stop_now())

    assert state_of(quiet) == State.QUEUED


def test_the_same_key_makes_one_emergency():
    plant = factories.plant()
    facts = {
        "organisation_id": plant.organisation_id,
        "actor": OPERATOR,
        "at": AT,
        "policy": factories.policy(),
    }
    request = request_for(plant, stop_now(), idempotency_key="k1")

    first, again = (send_emergency(request=request, **facts) for _ in range(2))

    assert (first.created, again.created) == (True, False)
    assert Command.objects.count() == EmergencyLatch.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_callers_with_one_key_at_once_make_one_emergency():
    plant = factories.plant()
    facts = {
        "organisation_id": plant.organisation_id,
        "actor": OPERATOR,
        "at": AT,
        "policy": factories.policy(),
    }
    request = request_for(plant, stop_now(), idempotency_key="k1")

    answers = together(*[lambda: send_emergency(request=request, **facts)] * 2)

    assert sorted(one.created for one in answers) == [False, True]
    assert Command.objects.count() == EmergencyLatch.objects.count() == 1


# --- HOLD and STOP ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivered", [True, False])
def test_a_hold_is_refused_while_a_stop_is_in_force(delivered):
    """It was published after the STOP, and took its place at Voke."""
    plant = factories.plant()
    stop = ask(plant, stop_now())
    if delivered:
        deliver(plant.connection)

    with pytest.raises(Conflict) as caught:
        ask(plant, hold_now())

    latch = open_latch(plant_id=plant.pk)
    assert caught.value.code == "STOP_IN_FORCE"
    assert (latch.type, latch.command) == ("STOP", stop)
    assert Command.objects.count() == 1


def test_a_dry_run_of_a_hold_says_that_a_stop_is_in_force():
    plant = factories.plant()
    ask(plant, stop_now())

    with pytest.raises(Conflict) as caught:
        check(
            organisation_id=plant.organisation_id,
            request=request_for(plant, hold_now()),
            at=AT,
            policy=factories.policy(),
        )

    assert caught.value.code == "STOP_IN_FORCE"


def test_a_second_hold_is_sent_and_leaves_the_latch():
    plant = factories.plant()
    holds = [ask(plant, hold_now()) for _ in range(2)]

    assert len(claims(plant.connection)) == 2
    assert open_latch(plant_id=plant.pk).command == holds[1]


def test_a_stop_after_a_hold_takes_over_the_latch():
    plant = factories.plant()
    ask(plant, hold_now())

    stop = ask(plant, stop_now())

    latch = open_latch(plant_id=plant.pk)
    assert (latch.type, latch.command) == ("STOP", stop)
    assert EmergencyLatch.objects.count() == 1


def test_a_hold_that_was_not_delivered_is_taken_back_by_a_stop():
    """Issued again later it would reach Voke after the STOP."""
    plant = factories.plant()
    hold = ask(plant, hold_now())

    stop = ask(plant, stop_now())

    assert state_of(hold) == State.SUPERSEDED
    assert [one.outbound_id for one in claims(plant.connection)] == [message_of(stop).pk]


def test_a_hold_that_was_attempted_is_not_issued_again_after_a_stop():
    plant = factories.plant()
    hold = ask(plant, hold_now())
    claims(plant.connection)

    ask(plant, stop_now())
    claims(plant.connection, at=AT + timedelta(seconds=240))

    assert state_of(hold) == State.UNCONFIRMED
    assert [one.outcome for one in messages_of(hold)] == [Outcome.ABANDONED]


def test_a_second_stop_leaves_the_first_one_on_its_way():
    plant = factories.plant()
    stops = [ask(plant, stop_now()) for _ in range(2)]

    assert len(claims(plant.connection)) == 2
    assert [state_of(one) for one in stops] == [State.QUEUED, State.QUEUED]
    assert open_latch(plant_id=plant.pk).command == stops[0]


# --- release ----------------------------------------------------------------------------------------------------------


def test_a_release_opens_the_latch_with_its_reason_and_sends_the_base_mode():
    plant = factories.plant(base_mode="PEAK_SHAVING")
    ask(plant, stop_now())
    deliver(plant.connection)

    command = release(plant, at=LATER, reason="smoke was steam")

    latch = EmergencyLatch.objects.get()
    assert (latch.released_at, latch.released_by_name, latch.release_reason) == (
        LATER,
        "operator",
        "smoke was steam",
    )
    assert envelope_of(message_of(command))["payload"] == {
        "mode": "PEAK_SHAVING", "reason": "Emergency released: smoke was steam",
    }  # fmt: skip
    assert [one.outbound_id for one in claims(plant.connection, at=LATER)] == [message_of(command).pk]


@pytest.mark.parametrize("reason", ["", "   \n"])
def test_a_release_needs_a_reason(reason):
    plant = factories.plant()
    ask(plant, stop_now())

    with pytest.raises(Invalid) as caught:
        release(plant, reason=reason)

    assert (caught.value.code, caught.value.path) == ("REASON_REQUIRED", "reason")
    assert open_latch(plant_id=plant.pk)


def test_without_an_emergency_there_is_nothing_to_release():
    with pytest.raises(Conflict) as caught:
        release(factories.plant())

    assert caught.value.code == "NOT_LATCHED"


def no_scope(plant):
    Connection.objects.filter(pk=plant.connection_id).update(scopes=["vcp:write:setpoint"])


def no_key(plant):
    Connection.objects.filter(pk=plant.connection_id).update(signing_key="")


def no_connection(plant):
    Plant.objects.filter(pk=plant.pk).update(connection=None)


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda plant: set_installation_dispatch(enabled=False), "DISPATCH_OFF"),
        (
            lambda plant: set_connection_dispatch(connection_id=plant.connection_id, enabled=False),
            "DISPATCH_OFF",
        ),
        (lambda plant: set_plant_dispatch(plant_id=plant.pk, enabled=False), "DISPATCH_OFF"),
        (lambda plant: Connection.objects.update(mode=ConnectionMode.OBSERVE), "CONNECTION_OBSERVES"),
        (no_scope, "SCOPE_MISSING"),
        (no_key, "SIGNING_KEY_MISSING"),
        (lambda plant: factories.make_undecryptable(plant.connection), "CANNOT_BUILD"),
        (no_connection, "NOT_CONNECTED"),
    ],
    ids=[
        "installation off",
        "connection off",
        "plant off",
        "observes",
        "no scope",
        "no key",
        "unreadable",
        "detached",
    ],
)
def test_a_latch_can_always_be_released_and_the_base_mode_that_is_not_sent_says_why(spoil, cause):
    plant = factories.plant()
    ask(plant, stop_now())
    deliver(plant.connection)
    spoil(plant)

    command = release(plant, at=LATER)

    assert (command.state, command.cause, command.payload["mode"]) == (State.CANCELLED, cause, "STANDARD")
    assert last_event(command).detail["error"]
    assert messages_of(command) == []
    assert open_latch(plant_id=plant.pk) is None


def test_nobody_can_release_another_organisations_plant():
    plant = factories.plant()
    ask(plant, stop_now())
    stranger = Plant(organisation=factories.organisation(), external_plant_id=plant.external_plant_id)

    with pytest.raises(NotFound):
        release(stranger)

    assert open_latch(plant_id=plant.pk)


@pytest.mark.parametrize("letter", ["x", "ř", "🔥"])
def test_a_long_reason_of_any_alphabet_is_cut_to_what_voke_takes(letter):
    """Voke counts UTF-16 units; a reason of 500 emoji once made the release impossible."""
    plant = factories.plant()
    ask(plant, stop_now())

    command = release(plant, reason=letter * 500)

    reason = envelope_of(message_of(command))["payload"]["reason"]
    assert 499 <= utf16_length(reason) <= 500
    assert reason.endswith(letter)


def test_after_the_release_commands_are_taken_again():
    plant = factories.plant()
    ask(plant, stop_now())
    release(plant)

    assert ask(plant, setpoint()).state == State.QUEUED


def test_an_emergency_that_nobody_attempted_is_withdrawn_by_the_release():
    plant = factories.plant()
    stop = ask(plant, stop_now())

    command = release(plant)

    assert state_of(stop) == State.CANCELLED
    assert message_of(stop).outcome == Outcome.WITHDRAWN
    assert [one.outbound_id for one in claims(plant.connection)] == [message_of(command).pk]


def test_an_emergency_that_was_attempted_is_not_sent_again_after_the_release():
    plant = factories.plant()
    stop = ask(plant, stop_now())
    claims(plant.connection)

    release(plant)
    claimed = claims(plant.connection, at=LATER)

    assert state_of(stop) == State.UNCONFIRMED
    assert message_of(stop).outcome == Outcome.ABANDONED
    assert message_of(stop).pk not in [one.outbound_id for one in claimed]


def test_a_released_emergency_that_was_returned_before_is_not_issued_again():
    plant = factories.plant()
    stop = ask(plant, stop_now())
    broker_says(Outcome.RETURNED, *claims(plant.connection))

    release(plant)

    assert state_of(stop) == State.UNCONFIRMED


def test_a_plant_can_be_latched_again_after_a_release():
    plant = factories.plant()
    ask(plant, stop_now())
    release(plant)

    again = ask(plant, hold_now())

    assert open_latch(plant_id=plant.pk).command == again
    assert EmergencyLatch.objects.count() == 2
