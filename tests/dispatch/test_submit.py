"""Asking for a command: what is stored when it is taken, and how a repeated request finds what it made before."""

from datetime import timedelta

import pytest

from dispatch.models import Command, CommandEvent, OutboundMessage
from dispatch.services.commands import check, submit
from dispatch.states import State
from plants.errors import Conflict, DomainError
from plants.models import Connection, ConnectionMode
from plants.services.organisations import set_installation_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    batch,
    envelope_of,
    message_of,
    mode,
    request_for,
    setpoint,
    stop_now,
    words_of,
)
from tests.factories import AT, OPERATOR, SIGNING_KEY
from tests.threads import together
from vcp import KeyDecoding, verify

pytestmark = pytest.mark.django_db


def submit_as(plant, payload, **changes):
    return submit(
        organisation_id=plant.organisation_id,
        request=request_for(plant, payload, **changes),
        actor=OPERATOR,
        at=AT,
        policy=factories.policy(),
    )


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_a_command_that_is_due_now_is_signed_and_stored_in_one_step():
    plant = factories.plant()

    command = ask(plant, mode())

    message = message_of(command)
    envelope = envelope_of(message)
    assert command.state == State.QUEUED
    assert envelope["siteId"] == str(plant.voke_uuid)
    assert envelope["correlationId"] == str(message.correlation_id)
    assert envelope["messageId"] == str(message.message_id)
    assert envelope["timestamp"] == "2026-01-02T03:00:00.000Z"
    assert verify(envelope, SIGNING_KEY)
    assert message.signed
    assert message.routing_key == "acme.command.mode"
    assert words_of(command) == [("SCHEDULED", "APPLIED"), ("QUEUED", "APPLIED")]


def test_a_command_keeps_who_asked_why_and_how_long_it_may_wait():
    plant = factories.plant()

    command = ask(plant, mode(), reason="peak tonight", batch_ref="plan-7", automatic=True)

    assert (command.requested_by_name, command.reason, command.batch_ref, command.automatic) == (
        "operator", "peak tonight", "plan-7", True,
    )  # fmt: skip
    assert command.deliver_by_at == AT + timedelta(seconds=60)
    assert CommandEvent.objects.filter(command=command)[0].detail == {"reason": "peak tonight"}
    assert b"plan-7" not in bytes(message_of(command).body)


def test_a_setpoint_may_be_delivered_until_it_ends_and_an_endless_one_for_the_time_of_the_policy():
    plant = factories.plant()

    ending = ask(plant, setpoint(valid_until=AT + timedelta(minutes=7)))
    endless = ask(plant, setpoint(valid_until=None))

    assert ending.deliver_by_at == AT + timedelta(minutes=7)
    assert endless.deliver_by_at == AT + factories.policy().setpoint_deliver_by


def test_a_setpoint_is_sent_unsigned_because_voke_does_not_ask_for_it():
    command = ask(factories.plant(), setpoint())

    envelope = envelope_of(message_of(command))

    assert not message_of(command).signed
    assert "signature" not in envelope
    assert "signatureAlgo" not in envelope


@pytest.mark.parametrize(
    ("family", "payload"),
    [("command.device", batch()), ("command.mode", mode()), ("command.emergency", stop_now())],
    ids=["device", "mode", "emergency"],
)
def test_a_family_is_signed_exactly_when_the_connection_lists_it(family, payload):
    signing = factories.plant(on=factories.connection(signed_families=[family]))
    plain = factories.plant(on=factories.connection(signed_families=[]))

    signed, unsigned = message_of(ask(signing, payload)), message_of(ask(plain, payload))

    assert verify(envelope_of(signed), SIGNING_KEY)
    assert "signature" not in envelope_of(unsigned)


def test_the_legacy_kind_of_site_id_is_sent_when_the_connection_asks_for_it():
    plant = factories.plant(on=factories.connection(site_id_kind="EXTERNAL"))

    assert envelope_of(message_of(ask(plant, mode())))["siteId"] == plant.external_plant_id


def test_a_plant_whose_uuid_is_not_known_yet_is_addressed_by_its_external_id():
    plant = factories.plant(voke_uuid=None)

    assert envelope_of(message_of(ask(plant, mode())))["siteId"] == plant.external_plant_id


def test_the_key_id_is_inside_the_signed_text_when_the_connection_has_one():
    plant = factories.plant(on=factories.connection(signature_kid="k7"))

    envelope = envelope_of(message_of(ask(plant, mode())))

    assert envelope["signatureKid"] == "k7"
    assert verify(envelope, SIGNING_KEY)
    assert not verify(envelope | {"signatureKid": "k8"}, SIGNING_KEY)


def test_a_signing_key_can_be_taken_as_its_text_instead_of_its_hex_digits():
    plant = factories.plant(on=factories.connection(key_decoding=KeyDecoding.UTF8.value))

    envelope = envelope_of(message_of(ask(plant, mode())))

    assert verify(envelope, SIGNING_KEY, decoding=KeyDecoding.UTF8)
    assert not verify(envelope, SIGNING_KEY)


def test_a_command_for_later_is_not_built_before_it_is_due():
    plant = factories.plant()

    command = ask(plant, mode(), due_at=AT + timedelta(minutes=5))

    assert command.state == State.SCHEDULED
    assert not OutboundMessage.objects.exists()
    assert command.deliver_by_at == AT + timedelta(minutes=5, seconds=60)


# --- idempotency ------------------------------------------------------------------------------------------------------


def test_the_same_key_and_request_find_the_command_that_was_made_first():
    plant = factories.plant()
    first = submit_as(plant, mode(), idempotency_key="k1")

    again = submit_as(plant, mode(), idempotency_key="k1")

    assert (first.created, again.created) == (True, False)
    assert again.command == first.command
    assert Command.objects.count() == 1


def test_the_same_key_finds_its_command_even_when_nothing_new_would_be_taken():
    plant = factories.plant()
    first = submit_as(plant, mode(), idempotency_key="k1")
    ask(plant, stop_now())

    again = submit_as(plant, mode(), idempotency_key="k1")

    assert again.command == first.command


@pytest.mark.parametrize(
    "changes",
    [{"payload": mode(reason="other")}, {"due_at": AT + timedelta(minutes=1)}, {"payload": setpoint()}],
    ids=["payload", "due", "kind"],
)
def test_the_same_key_with_another_request_is_refused(changes):
    plant = factories.plant()
    submit_as(plant, mode(), idempotency_key="k1")
    payload = changes.pop("payload", mode())

    with pytest.raises(Conflict) as caught:
        submit_as(plant, payload, idempotency_key="k1", **changes)

    assert (caught.value.code, caught.value.path) == ("IDEMPOTENCY_KEY_REUSED", "idempotencyKey")
    assert Command.objects.count() == 1


def test_the_same_key_for_another_plant_is_refused():
    plant = factories.plant()
    other = factories.plant(on=plant.connection)
    submit_as(plant, mode(), idempotency_key="k1")

    with pytest.raises(Conflict) as caught:
        submit_as(other, mode(), idempotency_key="k1")

    assert caught.value.code == "IDEMPOTENCY_KEY_REUSED"


def test_two_organisations_may_use_the_same_key():
    first = submit_as(factories.plant(), mode(), idempotency_key="k1")
    second = submit_as(factories.plant(), mode(), idempotency_key="k1")

    assert first.created
    assert second.created


def test_commands_without_a_key_are_all_made():
    plant = factories.plant()

    made = {ask(plant, mode()).pk for _ in range(2)}

    assert len(made) == 2


@pytest.mark.django_db(transaction=True)
def test_two_callers_with_one_key_at_once_make_one_command():
    plant = factories.plant()

    answers = together(*[lambda: submit_as(plant, mode(), idempotency_key="k1")] * 2)

    assert sorted(one.created for one in answers) == [False, True]
    assert answers[0].command == answers[1].command
    assert Command.objects.count() == OutboundMessage.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_callers_with_one_key_and_different_requests_at_once_make_one_command_and_one_refusal():
    plant = factories.plant()

    answers = together(
        lambda: submit_as(plant, mode(), idempotency_key="k1"),
        lambda: submit_as(plant, setpoint(), idempotency_key="k1"),
    )

    refused = [one for one in answers if isinstance(one, Conflict)]
    assert [one.code for one in refused] == ["IDEMPOTENCY_KEY_REUSED"]
    assert Command.objects.count() == 1


# --- dry run ----------------------------------------------------------------------------------------------------------


def dry_run(plant, payload, **changes):
    check(
        organisation_id=plant.organisation_id,
        request=request_for(plant, payload, **changes),
        at=AT,
        policy=factories.policy(),
    )


def test_a_dry_run_of_something_possible_stores_nothing():
    plant = factories.plant()

    dry_run(plant, setpoint())
    dry_run(plant, stop_now())

    assert not Command.objects.exists()
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize(
    ("spoil", "payload", "code"),
    [
        (lambda plant: None, setpoint(51.0), "CONSTRAINT_VIOLATION"),
        (lambda plant: ask(plant, stop_now()), mode(), "PLANT_LATCHED"),
        (lambda plant: set_installation_dispatch(enabled=False), mode(), "DISPATCH_OFF"),
        (lambda plant: ask(plant, setpoint(), idempotency_key="k1"), mode(), "IDEMPOTENCY_KEY_REUSED"),
        (lambda plant: Connection.objects.update(mode=ConnectionMode.OBSERVE), stop_now(), "CONNECTION_OBSERVES"),
    ],
    ids=["limit", "latch", "switch", "key", "observe"],
)  # fmt: skip
def test_a_dry_run_raises_what_sending_would_raise(spoil, payload, code):
    plant = factories.plant()
    spoil(plant)
    known = Command.objects.count()

    with pytest.raises(DomainError) as caught:
        dry_run(plant, payload, idempotency_key="k1")

    assert caught.value.code == code
    assert Command.objects.count() == known


def test_a_dry_run_of_a_planned_emergency_says_that_it_can_not_be_planned():
    with pytest.raises(DomainError) as caught:
        dry_run(factories.plant(), stop_now(), due_at=AT + timedelta(minutes=1))

    assert caught.value.path == "dueAt"


def test_a_dry_run_under_a_known_key_fits_like_sending_it_again_does():
    plant = factories.plant()
    ask(plant, mode(), idempotency_key="k1")
    ask(plant, stop_now())

    dry_run(plant, mode(), idempotency_key="k1")

    assert Command.objects.count() == 2
