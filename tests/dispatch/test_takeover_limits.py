"""Takeovers: what is refused, one plant alone, and several at once."""

import pytest

from dispatch.models import OutboundMessage, Outcome
from dispatch.services.takeover import follow_moved, take_over
from plants.errors import Conflict
from plants.models import Connection, ConnectionMode, Plant
from plants.services.connections import attach_plants
from tests import factories
from tests.dispatch.helpers import (
    ask,
    claims,
    deliver,
    lease,
    message_of,
    messages_of,
    mode,
    setpoint,
    stop_now,
)
from tests.dispatch.takeovers import LATER, ids, successor, taken_over
from tests.factories import AT
from tests.threads import together

pytestmark = pytest.mark.django_db


# --- refused ----------------------------------------------------------------------------------------------------------


def observing_pair(**changes):
    old = factories.connection()
    return old, successor(old, **changes)


def chained():
    old, new = observing_pair()
    taken_over(old, new)
    return old, successor(old)


def into_the_past():
    old, new = observing_pair()
    taken_over(old, new)
    return successor(old), old


def same_uuid():
    old, new = observing_pair()
    factories.plant(on=new, voke_uuid=factories.plant(on=old).voke_uuid)
    return old, new


def undecryptable():
    old, new = observing_pair()
    factories.make_undecryptable(new)
    return old, Connection.objects.defer("signing_key").get(pk=new.pk)


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        (lambda: [factories.connection()] * 2, "TAKEOVER_OF_ITSELF"),
        (lambda: (factories.connection(), factories.connection()), "ANOTHER_ORGANISATION"),
        (chained, "CONNECTION_SUCCEEDED"),
        (into_the_past, "CONNECTION_SUCCEEDED"),
        (lambda: observing_pair(signing_key=""), "SIGNING_KEY_MISSING"),
        (lambda: observing_pair(signing_key="no hex"), "INVALID_SIGNING_KEY"),
        (lambda: observing_pair(key_decoding="rot"), "INVALID_SIGNING_KEY"),
        (undecryptable, "SECRET_UNREADABLE"),
        (same_uuid, "VOKE_UUID_TAKEN"),
    ],
    ids=[
        "itself",
        "stranger",
        "twice",
        "into the past",
        "no key",
        "bad key",
        "decoding",
        "undecryptable",
        "uuid",
    ],
)
def test_a_connection_that_cannot_take_over_is_refused_and_nothing_changes(pair, code):
    old, new = pair()
    plants = list(Plant.objects.order_by("pk").values("pk", "connection", "site_revision"))
    before = list(Connection.objects.order_by("pk").values("pk", "mode", "succeeded_by"))

    with pytest.raises(Conflict) as caught:
        taken_over(old, new)

    assert caught.value.code == code
    assert list(Plant.objects.order_by("pk").values("pk", "connection", "site_revision")) == plants
    assert list(Connection.objects.order_by("pk").values("pk", "mode", "succeeded_by")) == before


def test_a_takeover_does_not_decide_whether_anything_is_published():
    observing = factories.connection(mode=ConnectionMode.OBSERVE)
    off = factories.connection(dispatch_enabled=False)
    one, other = successor(observing), successor(off)

    answers = [taken_over(observing, one).activated, taken_over(off, other).activated]

    one.refresh_from_db()
    other.refresh_from_db()
    assert answers == [False, True]
    assert (one.mode, other.mode, other.dispatch_enabled) == ("OBSERVE", "ACTIVE", False)


# --- one plant alone --------------------------------------------------------------------------------------------------


def test_a_single_plant_that_is_attached_elsewhere_takes_what_is_unsent_along():
    plant = factories.plant()
    old = plant.connection
    stays = factories.plant(on=old)
    new = successor(old, mode=ConnectionMode.ACTIVE)
    moved, kept = ask(plant, mode()), ask(stays, mode())
    attach_plants(connection=new, external_plant_ids=[plant.external_plant_id])
    plant.refresh_from_db()
    younger = ask(plant, setpoint(), at=LATER)

    between = [ids(claims(link, at=LATER)) for link in (old, new)]
    follow_moved(at=LATER, policy=factories.policy())

    assert between == [[message_of(kept).pk], []]
    assert ids(deliver(new, at=LATER)) == [messages_of(moved)[1].pk, message_of(younger).pk]


def test_a_plant_that_moves_takes_its_undelivered_emergency_along():
    plant = factories.plant()
    old = plant.connection
    new = successor(old, mode=ConnectionMode.ACTIVE)
    stop = ask(plant, stop_now())
    claims(old)
    attach_plants(connection=new, external_plant_ids=[plant.external_plant_id])

    follow_moved(at=LATER, policy=factories.policy())

    assert claims(old, at=LATER) == []
    assert ids(claims(new, at=LATER)) == [messages_of(stop)[1].pk]


def test_when_nothing_moved_the_tick_finds_nothing():
    plant = factories.plant()
    ask(plant, mode())

    assert follow_moved(at=AT, policy=factories.policy()) == 0


# --- at once with others ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_takeover_and_a_claim_at_once_send_no_message_twice_and_lose_none():
    old = factories.connection()
    new = successor(old)
    commands = [ask(factories.plant(on=old, assets=[]), mode()) for _ in range(12)]
    lease(old)

    claimed, done = together(
        lambda: claims(old, at=LATER, window=6),
        lambda: take_over(old=old, new=new, at=LATER, policy=factories.policy()),
    )

    draining = set(ids(claimed))
    replaced = set(OutboundMessage.objects.filter(outcome=Outcome.REPLACED).values_list("pk", flat=True))
    assert not draining & replaced
    assert len(draining) + len(replaced) == len(commands)
    assert done.followed.replaced == len(replaced)
    assert {one.outbound_id for one in claims(new, at=LATER)} == set(
        OutboundMessage.objects.filter(connection=new).values_list("pk", flat=True)
    )


@pytest.mark.django_db(transaction=True)
def test_two_takeovers_at_once_make_one():
    old = factories.connection()
    one, other = successor(old), successor(old)
    factories.plant(on=old)

    answers = together(lambda: taken_over(old, one), lambda: taken_over(old, other))

    refusals = [answer for answer in answers if isinstance(answer, Conflict)]
    assert [error.code for error in refusals] == ["CONNECTION_SUCCEEDED"]
    old.refresh_from_db()
    assert Plant.objects.get().connection_id == old.succeeded_by_id
