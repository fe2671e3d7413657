"""Asking for commands: what is refused before anything is stored, and what is stored when it is taken."""

import json
from datetime import timedelta

import pytest

from dispatch.models import Command, CommandEvent, OutboundMessage
from dispatch.requests import CommandRequest
from dispatch.services.commands import cancel, queue_due, submit
from dispatch.services.outbox import claim, record, take_lease, Word
from dispatch.models import Outcome
from dispatch.states import State
from plants.errors import Conflict, DomainError, Several
from tests import factories
from tests.factories import AT, OPERATOR, SIGNING_KEY
from vcp import Direction, Mode, OperatingMode, Priority, SetpointType, SiteSetpoint, verify

pytestmark = pytest.mark.django_db


def setpoint(kw=10.0, **changes):
    return SiteSetpoint(
        **(
            dict(
                type=SetpointType.POWER,
                target_value_kw=kw,
                direction=Direction.EXPORT,
                include_consumption=True,
                priority=Priority.NORMAL,
                valid_from=AT,
                valid_until=AT + timedelta(minutes=15),
            )
            | changes
        )
    )


def ask(plant, payload, **changes):
    request = CommandRequest(external_plant_id=plant.external_plant_id, payload=payload, **changes)
    return submit(
        organisation_id=plant.organisation_id, request=request, actor=OPERATOR, at=AT, policy=factories.policy()
    )


def test_a_command_that_is_due_now_is_signed_and_stored_in_one_step():
    plant = factories.plant()

    command = ask(plant, Mode(mode=OperatingMode.PEAK_SHAVING)).command

    message = OutboundMessage.objects.get(command=command)
    envelope = json.loads(bytes(message.body))
    assert command.state == State.QUEUED
    assert envelope["siteId"] == str(plant.voke_uuid)
    assert envelope["correlationId"] == str(message.correlation_id)
    assert verify(envelope, SIGNING_KEY)
    assert [event.word for event in CommandEvent.objects.filter(command=command)] == ["SCHEDULED", "QUEUED"]


def test_a_setpoint_over_the_sites_limit_is_refused_with_its_field_and_stores_nothing():
    plant = factories.plant()

    with pytest.raises(Several) as caught:
        ask(plant, setpoint(kw=51.0))

    assert (caught.value.code, caught.value.path) == ("CONSTRAINT_VIOLATION", "payload.targetValueKw")
    assert not Command.objects.exists()


def test_a_confirmed_message_makes_its_command_sent_and_starts_the_ack_deadline():
    plant = factories.plant()
    command = ask(plant, setpoint()).command
    link = plant.connection
    take_lease(connection_id=link.pk, holder="r1", at=AT, ttl=timedelta(seconds=15))

    claimed = claim(connection=link, holder="r1", window=10, at=AT, policy=factories.policy())
    record(
        words=[Word(outbound_id=claimed[0].outbound_id, outcome=Outcome.CONFIRMED)], at=AT, policy=factories.policy()
    )

    command.refresh_from_db()
    assert command.state == State.SENT
    assert command.ack_due_at == AT + factories.policy().ack_timeout
