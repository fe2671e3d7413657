"""Events about plants whose connection was taken over: either connection may bring them, and each counts once."""

import pytest

from plants.models import Alarm, ConnectionMode
from tests import factories
from tests.dispatch.takeovers import LATER, successor, taken_over
from tests.factories import AT
from tests.link.helpers import alarm, hear, seconds

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant():
    return factories.plant(on=factories.connection(mode=ConnectionMode.ACTIVE))


def take_over(plant):
    old = plant.connection
    new = successor(old, routing_prefix="acme")
    taken_over(old, new)
    return old, new


@pytest.mark.parametrize("by", ["old", "new"])
def test_an_alarm_raised_before_the_takeover_is_cleared_over_either_connection(plant, by):
    hear(plant.connection, alarm(plant))
    links = dict(zip(("old", "new"), take_over(plant), strict=True))

    hear(links[by], alarm(plant, cleared=LATER), at=LATER)

    found = Alarm.objects.get()
    assert (found.connection, found.cleared_at) == (links["new"], LATER)


def test_an_alarm_that_both_connections_bring_is_one(plant):
    old, new = take_over(plant)

    for link in (old, new):
        hear(link, alarm(plant, raised=LATER), at=LATER)

    assert Alarm.objects.get().connection == new


def test_an_alarm_that_was_over_before_the_takeover_stays_where_it_was(plant):
    old = plant.connection
    hear(old, alarm(plant), alarm(plant, cleared=AT + seconds(1)))

    take_over(plant)

    assert Alarm.objects.get().connection == old
