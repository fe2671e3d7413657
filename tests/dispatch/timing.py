"""Small steps that the tests of timed commands share."""

from datetime import timedelta

import pytest

from dispatch.models import Command, TimedCommand
from dispatch.services.timed import run_timed, submit_timed
from dispatch.timed_policy import TimedPolicy
from plants.errors import DomainError
from tests import factories
from tests.dispatch.helpers import (
    batch,
    deliver,
    request_for,
)
from tests.factories import AT, OPERATOR

END = AT + timedelta(minutes=30)
RULES = TimedPolicy(longest=timedelta(hours=24), first_pause=timedelta(seconds=8), most_attempts=3)


def start(plant, payload=None, *, at=AT, stop_at=END, duration=None, **changes):
    return submit_timed(
        organisation_id=plant.organisation_id,
        request=request_for(plant, payload or batch(), **changes),
        actor=OPERATOR,
        at=at,
        policy=factories.policy(),
        timed=RULES,
        stop_at=stop_at,
        duration=duration,
    ).command


def started(plant, payload=None, **changes):
    command = start(plant, payload, **changes)
    deliver(plant.connection)
    return command


def tick(at=END):
    return run_timed(at=at, policy=factories.policy(), timed=RULES, chance=lambda: 1.0)


def row_of(command):
    return TimedCommand.objects.select_related("stop").get(pk=command.pk)


def voke_moves(command, to, at=END, **changes):
    Command.objects.filter(pk=command.pk).update(state=to, state_at=at, **changes)


def refused(*args, **changes) -> str:
    with pytest.raises(DomainError) as caught:
        start(*args, **changes)
    return caught.value.code
