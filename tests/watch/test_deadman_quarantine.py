"""A wrong clock is told by name: the alarm about dead letters says which plant and why, and stays while more comes."""

from datetime import timedelta

import pytest

from plants.services.dead_letters import Letter, store_dead_letters
from tests import factories
from tests.factories import AT
from tests.watch.worlds import LIMITS
from watch.deadman import dead_letters_growing
from watch.facts import Facts
from watch.selectors import _letters

pytestmark = pytest.mark.django_db


def arrive(plant, count, *, at=AT, reason="FROM_THE_FUTURE", of_plant=True, per_plant=5):
    letters = [
        Letter(
            queue="q",
            routing_key="k",
            headers={},
            body=f"{reason} {plant.pk} {n} {at}".encode(),
            reason=reason,
            path="",
            detail="",
            plant_id=plant.pk if of_plant else None,
        )
        for n in range(count)
    ]
    store_dead_letters(connection_id=plant.connection_id, letters=letters, at=at, per_plant=per_plant)


def alarm(at=AT):
    facts = Facts(letters=_letters(at, LIMITS))
    return next(dead_letters_growing(facts, at, LIMITS), None)


def test_the_alarm_names_the_plant_and_the_reason_of_most_letters():
    plant = factories.plant()
    arrive(plant, 30)
    arrive(plant, 3, reason="UNKNOWN_SITE", of_plant=False)

    assert f"could not be used, mostly FROM_THE_FUTURE of {plant.name}." in alarm().message


def test_where_many_plants_are_wrong_the_reason_alone_is_named():
    link = factories.connection()
    for _ in range(4):
        arrive(factories.plant(on=link), 4)

    assert "mostly FROM_THE_FUTURE. The dead letters" in alarm().message


def test_where_nothing_stands_out_nothing_is_named():
    plant = factories.plant()
    for reason in ("A", "B", "C"):
        arrive(plant, 5, reason=reason, of_plant=False)

    assert "could not be used. The dead letters" in alarm().message


def test_a_full_quarantine_that_more_comes_for_stays_an_alarm():
    plant = factories.plant()
    arrive(plant, 30)
    later = AT + timedelta(days=1)

    arrive(plant, 1, at=later)

    assert alarm(later).raises
    assert alarm(later + timedelta(days=1)) is None
