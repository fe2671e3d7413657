"""The lease: one relay at a time publishes a connection's outbox, and another takes over when it is gone."""

from datetime import timedelta

import pytest

from dispatch.models import OutboxLease
from dispatch.services.claim import claim, drop_lease
from tests import factories
from tests.dispatch.helpers import ask, lease, mode
from tests.factories import AT
from tests.threads import together

pytestmark = pytest.mark.django_db
TTL = timedelta(seconds=15)


def after(seconds):
    return AT + timedelta(seconds=seconds)


def claimed_by(holder, link, at):
    """(end of the lease, what was claimed)."""
    return claim(connection=link, holder=holder, ttl=TTL, window=10, at=at, policy=factories.policy())


def test_the_first_relay_gets_the_lease_and_a_second_one_does_not():
    link = factories.connection()

    first = lease(link, holder="a", ttl=TTL)
    second = lease(link, holder="b", ttl=TTL, at=after(14.9))

    assert (first, second) == (after(15), None)


def test_the_holder_renews_its_lease():
    link = factories.connection()
    lease(link, holder="a", ttl=TTL)

    renewed = lease(link, holder="a", ttl=TTL, at=after(10))

    assert renewed == after(25)
    assert lease(link, holder="b", ttl=TTL, at=after(20)) is None


def test_another_relay_takes_over_when_the_lease_ran_out():
    link = factories.connection()
    lease(link, holder="a", ttl=TTL)

    taken = lease(link, holder="b", ttl=TTL, at=after(15))

    assert taken == after(30)
    assert lease(link, holder="a", ttl=TTL, at=after(16)) is None


def test_a_dropped_lease_is_free_at_once():
    link = factories.connection()
    lease(link, holder="a", ttl=TTL)

    drop_lease(connection_id=link.pk, holder="a", at=after(1))

    assert lease(link, holder="b", ttl=TTL, at=after(1)) == after(16)


def test_nobody_can_drop_the_lease_of_another():
    link = factories.connection()
    lease(link, holder="a", ttl=TTL)

    drop_lease(connection_id=link.pk, holder="b", at=after(1))

    assert lease(link, holder="b", ttl=TTL, at=after(1)) is None


def test_each_connection_has_a_lease_of_its_own():
    assert lease(factories.connection(), holder="a", ttl=TTL)
    assert lease(factories.connection(), holder="b", ttl=TTL)


def test_while_another_has_the_lease_nothing_can_be_claimed():
    plant = factories.plant()
    ask(plant, mode())
    lease(plant.connection, holder="a", ttl=TTL)

    assert claimed_by("b", plant.connection, after(14.9)) == (None, [])
    assert claimed_by("b", plant.connection, after(15))[1]


def test_a_claim_takes_the_lease_and_each_one_renews_it():
    link = factories.connection()

    first, _ = claimed_by("a", link, AT)
    second, _ = claimed_by("a", link, after(10))

    assert (first, second) == (after(15), after(25))
    assert lease(link, holder="b", ttl=TTL, at=after(24)) is None


def test_a_claimed_message_may_not_be_handed_over_after_the_lease_ends():
    """A relay that was paused in between must not publish beside its successor."""
    plant = factories.plant()
    ask(plant, mode())

    until, [claimed] = claimed_by("a", plant.connection, AT)

    assert claimed.not_after == until == after(15)


@pytest.mark.django_db(transaction=True)
def test_of_many_relays_that_claim_at_once_exactly_one_gets_what_waits():
    plant = factories.plant()
    ask(plant, mode())

    answers = together(*[lambda name=name: claimed_by(name, plant.connection, AT) for name in "abcd"])

    assert sorted([until for until, _ in answers], key=str) == [after(15), None, None, None]
    assert [len(claimed) for until, claimed in answers if until is not None] == [1]


@pytest.mark.django_db(transaction=True)
def test_of_many_relays_at_once_exactly_one_gets_a_lease_that_nobody_had_before():
    link = factories.connection()

    answers = together(*[lambda name=name: lease(link, holder=name, ttl=TTL) for name in "abcd"])

    assert sorted(answers, key=str) == [after(15), None, None, None]
    assert OutboxLease.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_relays_at_once_exactly_one_takes_over_a_lease_that_ran_out():
    link = factories.connection()
    lease(link, holder="gone", ttl=TTL)

    answers = together(
        *[lambda name=name: lease(link, holder=name, ttl=TTL, at=after(20)) for name in "abcd"]
    )

    assert sorted(answers, key=str) == [after(35), None, None, None]
