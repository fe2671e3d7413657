"""What relay and consumer count, by connection and in bounded words."""

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from link import metrics
from link.broker import Fate
from link.relay import RelayOptions, relay_once
from tests import factories
from tests.dispatch.helpers import ask, setpoint
from tests.factories import AT
from tests.link.fakes import FakePublisher
from tests.link.helpers import ack, delivery, hear, realtime, seconds

pytestmark = pytest.mark.django_db


def value(name, link, **labels):
    labels |= {"connection": link.name, "connection_id": str(link.pk)}
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_published_messages_are_counted_by_what_became_of_them():
    link = factories.connection()
    for _ in range(3):
        ask(factories.plant(on=link), setpoint())

    relay_once(
        connection=link,
        publisher=FakePublisher(fates=[Fate.CONFIRMED, Fate.CONFIRMED, Fate.RETURNED]),
        clock=lambda: AT,
        policy=factories.policy(),
        options=RelayOptions(holder="r1", lease_ttl=timedelta(seconds=15), window=50),
    )

    assert value("esm_link_published_messages_total", link, fate="CONFIRMED") == 2
    assert value("esm_link_published_messages_total", link, fate="RETURNED") == 1
    assert value("esm_link_publish_seconds_count", link) == 1
    assert value("esm_link_publish_window_messages_sum", link) == 3


def test_a_stored_batch_is_counted_by_family_with_its_delay_from_the_envelope_to_the_row():
    plant = factories.plant()
    link = plant.connection
    event = ack("ACCEPTED", plant, "00000000-0000-0000-0000-000000000001", at=AT - seconds(2))
    batch = [realtime(plant, at=AT - seconds(7)), event, event, delivery(b"no json")]

    metrics.stored(link, hear(link, *batch), at=AT, took_s=0.25)

    assert value("esm_link_delivered_messages_total", link, family="event.telemetry.realtime") == 1
    assert value("esm_link_delivered_messages_total", link, family="event.command.ack") == 2
    assert value("esm_link_event_delay_seconds_sum", link, family="event.telemetry.realtime") == 7
    assert value("esm_link_duplicates_total", link) == 1
    assert value("esm_link_dead_letters_total", link) == 1
    assert value("esm_link_batch_messages_sum", link) == 4
    assert value("esm_link_store_seconds_sum", link) == 0.25


def test_a_routing_key_that_somebody_makes_up_makes_no_label():
    plant = factories.plant()
    made_up = realtime(plant, tail="x")
    made_up = delivery(made_up.body, "acme.event.made-up-by-somebody")

    metrics.stored(plant.connection, hear(plant.connection, made_up), at=AT, took_s=0.1)

    shown = [sample.labels for family in REGISTRY.collect() for sample in family.samples]
    assert "made-up-by-somebody" not in str(shown)


def test_an_event_from_a_clock_ahead_of_ours_counts_as_no_delay():
    plant = factories.plant()
    link = plant.connection

    metrics.stored(link, hear(link, realtime(plant, at=AT + seconds(3))), at=AT, took_s=0.1)

    assert value("esm_link_event_delay_seconds_sum", link, family="event.telemetry.realtime") == 0


def test_broken_links_are_counted_by_half_and_code():
    link = factories.connection()

    metrics.broken(link, role="CONSUME", code="REFUSED_VHOST")

    assert value("esm_link_failures_total", link, role="CONSUME", code="REFUSED_VHOST") == 1


def test_amounts_taken_together_count_as_one_by_one():
    amounts = [0.0, 0.1, 0.10001, 1.0, 7.5, 1000.0, 0.1]
    together = metrics.BulkHistogram("together", "x", buckets=(0.1, 1, 10), registry=CollectorRegistry())
    one_by_one = Histogram("together", "x", buckets=(0.1, 1, 10), registry=CollectorRegistry())

    together.observe_all(amounts)
    for amount in amounts:
        one_by_one.observe(amount)

    assert _counts(together) == _counts(one_by_one)


def _counts(histogram):
    [family] = histogram.collect()
    return [(one.name, one.labels, one.value) for one in family.samples if one.name != "together_created"]
