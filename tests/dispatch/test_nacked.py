"""A message that the broker did not take now: it goes again as the same bytes, after a moment that grows."""

from datetime import timedelta

import pytest

from dispatch.models import OutboundMessage, Outcome
from dispatch.services.confirms import note_nacked
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    message_of,
    messages_of,
    mode,
    setpoint,
    state_of,
    stop_now,
)
from tests.factories import AT

pytestmark = pytest.mark.django_db


def ids(claimed):
    return [one.outbound_id for one in claimed]


def nack(*claimed, at=AT, chance=0.5):
    note_nacked(outbound_ids=ids(claimed), at=at, chance=lambda: chance)


def test_a_nacked_message_stays_queued_and_goes_again_as_the_same_bytes_after_a_moment():
    plant = factories.plant()
    command = ask(plant, mode())
    first = claims(plant.connection)
    nack(*first)

    at_once = claims(plant.connection)
    later = claims(plant.connection, at=AT + timedelta(seconds=1))

    assert at_once == []
    assert [one.body for one in later] == [first[0].body]
    assert state_of(command) == State.QUEUED


def test_the_wait_after_a_nack_grows_and_has_an_end():
    plant = factories.plant()
    command = ask(plant, setpoint())
    waits, at = [], AT
    for _ in range(8):
        nack(*claims(plant.connection, at=at), at=at, chance=0.999)
        due = message_of(command).not_before_at
        waits.append((due - at).total_seconds())
        at = due

    assert waits == sorted(waits)
    assert waits[0] <= 0.5
    assert 7.9 < waits[-1] <= 8.0


def test_a_nacked_emergency_waits_at_most_a_second():
    plant = factories.plant()
    command = ask(plant, stop_now())
    at = AT
    for _ in range(8):
        nack(*claims(plant.connection, at=at), at=at, chance=0.999)
        at, before = message_of(command).not_before_at, at

    assert at - before <= timedelta(seconds=1)


def test_later_messages_of_the_plant_wait_behind_a_nacked_one_and_those_of_others_do_not():
    link = factories.connection()
    plant, other = factories.plant(on=link), factories.plant(on=link)
    ask(plant, setpoint(1.0))
    nack(*claims(link))
    ask(plant, setpoint(2.0))
    elsewhere = message_of(ask(other, setpoint()))

    at_once = claims(link)
    broker_says(Outcome.CONFIRMED, *at_once)
    later = deliver(link, at=AT + timedelta(seconds=1))

    assert ids(at_once) == [elsewhere.pk]
    assert ids(later) == [
        message.pk for message in OutboundMessage.objects.filter(plant=plant).order_by("pk")
    ]


def test_an_emergency_does_not_wait_behind_a_nacked_message():
    plant = factories.plant()
    ask(plant, mode())
    nack(*claims(plant.connection))

    stop = message_of(ask(plant, stop_now()))

    assert ids(claims(plant.connection)) == [stop.pk]


def test_a_nack_that_comes_after_the_message_was_taken_back_changes_nothing():
    plant = factories.plant()
    command = ask(plant, mode())
    claimed = claims(plant.connection)
    ask(plant, stop_now())

    nack(*claimed)

    assert [(one.outcome, one.not_before_at) for one in messages_of(command)] == [(Outcome.ABANDONED, None)]


def test_an_older_setpoint_that_was_nacked_never_goes_after_a_newer_one():
    """Both went in one window: the broker took the newer one, and the older one followed it a moment later."""
    plant = factories.plant()
    older, newer = (message_of(ask(plant, setpoint(kw))) for kw in (1.0, 2.0))
    went, at = [], AT
    for turn in range(4):
        window = claims(plant.connection, at=at)
        went += ids(window)
        if turn == 0:
            nack(*[one for one in window if one.outbound_id == older.pk])
            window = [one for one in window if one.outbound_id != older.pk]
        broker_says(Outcome.CONFIRMED, *window, at=at)
        at += timedelta(seconds=1)

    assert went == [older.pk, older.pk, newer.pk]
