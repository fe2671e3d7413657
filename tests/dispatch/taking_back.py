"""Small steps that the tests of taking back share."""

from datetime import timedelta

import pytest

from dispatch.models import Command
from dispatch.services.retracting import retract, send_due
from dispatch.services.voke_words import Told, apply_words
from plants.errors import DomainError
from tests import factories
from tests.dispatch.helpers import (
    ask,
    deliver,
    message_of,
)
from tests.factories import AT, OPERATOR
from vcp import (
    CommandAck,
)

LATER = AT + timedelta(minutes=1)
END = AT + timedelta(minutes=15)  # of `setpoint()`


def take_back(command, *, at=LATER, reason="replanned", **changes):
    return retract(
        command_id=command.pk, actor=OPERATOR, reason=reason, at=at, policy=factories.policy(), **changes
    )


def sent(plant, payload, *, at=AT, **changes):
    command = ask(plant, payload, at=at, **changes)
    deliver(plant.connection, at=at)
    return command


def refused(command, **changes) -> str:
    with pytest.raises(DomainError) as caught:
        take_back(command, **changes)
    return caught.value.code


def voke_moves(command, to):
    Command.objects.filter(pk=command.pk).update(state=to)


def due(at):
    return send_due(at=at, policy=factories.policy())


def voke_says(plant, command, word):
    correlation = str(message_of(command).correlation_id)
    told = Told(inbound_id=None, correlation_id=correlation, told_at=LATER, word=word)
    apply_words(connection_id=plant.connection_id, told=[told], at=LATER)


def acknowledged(plant, command, status):
    voke_says(plant, command, CommandAck(status=status, command_type="site-setpoint"))
