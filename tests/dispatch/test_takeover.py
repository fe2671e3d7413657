"""A second bundle takes over: plants move, the old connection drains, the rest is signed anew in its old place."""

from datetime import timedelta

import pytest

from dispatch.models import Command, Outcome
from dispatch.services.takeover import take_over
from plants.models import ConnectionMode, Plant
from tests import factories
from tests.dispatch.helpers import (
    ask,
    claims,
    deliver,
    envelope_of,
    messages_of,
    mode,
    setpoint,
    words_of,
)
from tests.factories import AT
from vcp import verify

pytestmark = pytest.mark.django_db
NEW_KEY = "ffeeddccbbaa99887766554433221100" * 2
LATER = AT + timedelta(seconds=2)
GRACE = timedelta(days=1)


def successor(old, **changes):
    """A second connection of the organisation, as a fresh import leaves it."""
    facts = {"mode": ConnectionMode.OBSERVE, "signing_key": NEW_KEY, "routing_prefix": "acme-new"}
    return factories.connection(owner=old.organisation, **(facts | changes))


def taken_over(old, new, at=LATER):
    return take_over(old=old, new=new, at=at, policy=factories.policy())


def ids(claimed):
    return [one.outbound_id for one in claimed]


def test_every_plant_moves_and_the_old_connection_knows_its_successor():
    old = factories.connection()
    plants = [factories.plant(on=old) for _ in range(2)]
    new = successor(old)

    done = taken_over(old, new)

    moved = list(Plant.objects.filter(connection=new).order_by("pk"))
    old.refresh_from_db()
    new.refresh_from_db()
    assert (done.plants, done.activated, new.mode) == (2, True, "ACTIVE")
    assert [one.site_revision for one in moved] == [one.site_revision + 1 for one in plants]
    assert (old.succeeded_by, old.handed_over_at, old.retired_at) == (new, LATER, None)


def test_what_was_never_attempted_is_signed_anew_with_the_new_key_in_the_same_order():
    plant = factories.plant()
    old = plant.connection
    new = successor(old)
    commands = [ask(plant, mode()), ask(plant, setpoint()), ask(plant, mode())]

    done = taken_over(old, new)

    pairs = [messages_of(one) for one in commands]
    assert done.followed.replaced == 3
    assert [[one.outcome for one in pair] for pair in pairs] == [[Outcome.REPLACED, Outcome.PENDING]] * 3
    assert all(verify(envelope_of(pair[1]), NEW_KEY) for pair in (pairs[0], pairs[2]))
    assert {pair[0].message_id != pair[1].message_id for pair in pairs} == {True}
    assert {Command.objects.get(pk=one.pk).connection_id for one in commands} == {new.pk}
    assert words_of(commands[0])[-1] == ("REISSUED", "NOTE")
    assert claims(old, at=LATER) == []
    assert ids(deliver(new, at=LATER)) == [pair[1].pk for pair in pairs]
