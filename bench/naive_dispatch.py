"""Due setpoints the way one writes it first: command by command, with the ORM and one confirmed publish each.

The same libraries, rows, events, signature, TLS link and quorum queue as the platform's own way. A message is stored as
attempted before it is published, since after a crash nobody would know of it otherwise.
"""

import uuid
from time import perf_counter
from typing import Any

from django.db import transaction

from bench.dispatching import Fleet, check_sent, plan
from bench.floor_dispatch import amqp_message, open_channel
from dispatch.messages import Signer, build, signer_of
from dispatch.models import Command, CommandEvent, OutboundMessage, Outcome
from dispatch.states import State
from esm import clock
from plants.models import Connection
from vcp import EXCHANGE, Family


def send_each(fleet: Fleet, count: int) -> float:
    """Send `count` due setpoints one after the other; commands per second."""
    fleet.empty()
    plan(fleet, count)
    connection = Connection.objects.get(pk=fleet.side.connection.pk)
    with open_channel(fleet, confirm_each=True) as channel:
        began = perf_counter()
        signer = signer_of(connection)
        due = Command.objects.filter(state=State.SCHEDULED, due_at__lte=clock.now())
        for command in due.select_related("plant").order_by("due_at", "pk"):
            message = _store(command, signer, connection)
            _publish(channel, message)
            _settle(command, message)
        took_s = perf_counter() - began
    check_sent(fleet, count)
    return count / took_s


def _store(command: Command, signer: Signer, connection: Connection) -> OutboundMessage:
    at = clock.now()
    draft = build(
        signer=signer,
        plant=command.plant,
        family=Family.COMMAND_SITE_SETPOINT,
        payload=command.payload,
        at=at,
        new_id=uuid.uuid4,
    )
    with transaction.atomic():
        message = OutboundMessage.objects.create(
            connection=connection,
            plant=command.plant,
            command=command,
            family=draft.family.value,
            routing_key=draft.routing_key,
            message_id=draft.message_id,
            correlation_id=draft.correlation_id,
            body=draft.body,
            signed=draft.signed,
            made_at=at,
            deliver_by_at=command.deliver_by_at,
            attempted_at=at,
            attempts=1,
        )
        _move(command, State.QUEUED, "DUE", message)
    return message


def _publish(channel: Any, message: OutboundMessage) -> None:
    words = amqp_message(
        bytes(message.body), message_id=str(message.message_id), correlation_id=str(message.correlation_id)
    )
    channel.basic_publish_confirm(words, EXCHANGE, message.routing_key, mandatory=True, confirm_timeout=10)


def _settle(command: Command, message: OutboundMessage) -> None:
    message.outcome, message.outcome_at = Outcome.CONFIRMED, clock.now()
    with transaction.atomic():
        message.save(update_fields=["outcome", "outcome_at"])
        _move(command, State.SENT, "CONFIRMED", message)


def _move(command: Command, to: State, cause: str, message: OutboundMessage) -> None:
    command.state, command.state_at, command.cause = to, clock.now(), cause
    command.save(update_fields=["state", "state_at", "cause"])
    CommandEvent.objects.create(
        command=command, at=command.state_at, word=to, verdict="APPLIED", cause=cause, outbound=message
    )
