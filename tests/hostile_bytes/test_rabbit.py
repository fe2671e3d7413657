"""Hostile messages on a real RabbitMQ with good ones among them: the good are rows, the bad letters, the link stays."""

import gzip
import json
import random
import struct
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pika
import pytest
from django.db import OperationalError

from link.workers import ConsumeOptions, ConsumeWorker
from plants.models import Connection, DeadLetter, InboundMessage, LinkHealth, Plant, TelemetryReading
from plants.services.partitions import forget_known_partitions
from tests import factories
from tests.factories import AT
from tests.hostile_bytes import amqp_wire as wire
from tests.hostile_bytes.wide import FACTOR
from tests.link import helpers
from tests.link.far_sides import amqps_transport
from tests.link.helpers import seconds
from tests.services.partner import EXCHANGE, Partner
from tests.services.rabbit import RabbitServer

pytestmark = pytest.mark.django_db(transaction=True)

UNREADABLE_PROPERTIES: Mapping[str, pika.BasicProperties] = {
    "message id without a code": wire.raw(delivery_mode=b"\x02", message_id=wire.short(b"\xff\xfe")),
    "content type without a code": wire.raw(content_type=wire.short(b"\x80" * 255)),
    "header time in milliseconds": wire.raw(
        headers=wire.table({b"t": b"T" + struct.pack(">Q", 1767323045678)})
    ),
    "header time of 64 bits": wire.raw(headers=wire.table({b"t": b"T" + b"\xff" * 8})),
    "arrays within arrays": wire.raw(headers=wire.table({b"a": wire.nested_arrays(20_000)})),
    "tables within tables": wire.raw(headers=wire.table({b"a": wire.nested_tables(10_000)})),
}
READABLE_PROPERTIES: Mapping[str, pika.BasicProperties] = {
    "none": pika.BasicProperties(),
    "ids of the envelope's own form": pika.BasicProperties(
        message_id=str(uuid.UUID(int=1)), correlation_id="x"
    ),
    "huge ids": pika.BasicProperties(message_id="𝛘" * 63, correlation_id="\0" * 255),
    "gzip as encoding": pika.BasicProperties(content_encoding="gzip", content_type="application/json"),
    "utf-16 as encoding": pika.BasicProperties(content_encoding="utf-16", content_type="text/html"),
    "no encoding at all": pika.BasicProperties(content_encoding="\0", content_type=""),
    "numbers at their ends": pika.BasicProperties(delivery_mode=1, priority=255, timestamp=2**63 - 1),
    "time of 64 bits": wire.raw(timestamp=b"\xff" * 8),
    "every field type": wire.raw(headers=wire.table(wire.EVERY_FIELD_TYPE)),
    "as deep as can be read": wire.raw(headers=wire.table({b"a": wire.nested_tables(400)})),
    "120 kB of headers": wire.raw(headers=wire.table({b"h": wire.long_text(b"x" * 120_000)})),
    "many headers": wire.raw(headers=wire.table({b"h%d" % n: b"V" for n in range(9_000)})),
    "forged death": pika.BasicProperties(
        headers={
            "x-death": [{"count": -(2**63), "queue": "vcp", "time": "never"}],
            "x-first-death-queue": None,
        }
    ),
    "other people's words": pika.BasicProperties(
        reply_to="vcp.acme.command", expiration="4294967295", type="'; --", app_id="\u202e", cluster_id="\x7f"
    ),
    "a second address": pika.BasicProperties(headers={"CC": ["somewhere.else"]}),
}
PROPERTIES = {**READABLE_PROPERTIES, **UNREADABLE_PROPERTIES}

_JSON = b'{"version":"1.1"}'
BODIES: tuple[tuple[bytes, str], ...] = (
    (b"", "MALFORMED_JSON"),
    (b"\x00", "MALFORMED_JSON"),
    (b"null", "NOT_AN_OBJECT"),
    (b"[]", "NOT_AN_OBJECT"),
    (_JSON, "MISSING_FIELD"),
    (b"\xef\xbb\xbf" + _JSON, "MALFORMED_JSON"),
    (_JSON.decode().encode("utf-16"), "MALFORMED_JSON"),
    (_JSON.decode().encode("utf-16-le"), "MALFORMED_JSON"),
    (gzip.compress(_JSON, mtime=0), "MALFORMED_JSON"),
    (b'{"version":"1.1","source":"\xff"}', "INVALID_TEXT"),
    (b'{"version":"1.1","a":1e999}', "INVALID_NUMBER"),
    (b'{"version":"1.1","a":NaN}', "INVALID_NUMBER"),
    (b'{"a":' * 50_000, "TOO_DEEP"),
    (b'{"version":2}', "UNSUPPORTED_VERSION"),
    (b'{"version":"1.1","pad":"' + b"x" * 5_000_000 + b'"}', "TOO_LARGE"),
    (b" " * 5_000_000, "TOO_LARGE"),
)
"""Bodies that are no message, and the stable reason of each."""

KEYS = ("event.telemetry.realtime.x", "event.command.ack", "event.alarm", "event.execution.done")
"""A key into each of the four event queues."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One message as it is published."""

    key: bytes
    body: bytes
    properties: pika.BasicProperties


@pytest.fixture
def link(partner: Partner) -> Iterator[Connection]:
    forget_known_partitions()
    yield factories.connection(
        slug=partner.slug,
        queue_prefix=partner.slug,
        routing_prefix=partner.slug,
        vhost=partner.vhost,
        amqps_uri=partner.uri,
        queues=partner.queues,
    )
    forget_known_partitions()


@pytest.fixture
def plant(link: Connection) -> Plant:
    return factories.plant(on=link)


def worker_of(link: Connection, rabbit: RabbitServer) -> ConsumeWorker:
    options = ConsumeOptions(prefetch=200, batch=50, flush_s=0.05, retention_days=400, wait_s=3.0)
    return ConsumeWorker(
        connection=link, transport=amqps_transport(rabbit), clock=lambda: AT, options=options
    )


def publish(rabbit: RabbitServer, partner: Partner, shots: list[Shot]) -> None:
    """As Voke's user, each confirmed by the broker and taken by a queue."""
    with rabbit.voke_connection(partner) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for shot in shots:
            key: Any = partner.slug.encode() + b"." + shot.key
            channel.basic_publish(EXCHANGE, key, shot.body, shot.properties, mandatory=True)


def settled(rabbit: RabbitServer, partner: Partner) -> list[int]:
    """What each event queue holds after the consumer has gone: nothing, when all was acknowledged."""
    names = (name for member, name in partner.queues.items() if member.startswith("event"))
    return [rabbit.queue_depth(partner, name) for name in names]


def consume(worker: ConsumeWorker, count: int) -> None:
    """Turns of the worker until `count` deliveries are settled; a link that breaks on the way fails the test."""
    stop = threading.Event()
    while InboundMessage.objects.count() + TelemetryReading.objects.count() + _letters() < count:
        before = InboundMessage.objects.count() + TelemetryReading.objects.count() + _letters()
        worker.once(stop)
        after = InboundMessage.objects.count() + TelemetryReading.objects.count() + _letters()
        assert after > before, f"{after} of {count} settled, and nothing more came"


def _letters() -> int:
    return sum(DeadLetter.objects.values_list("count", flat=True))


def good_shots(plant: Plant) -> list[Shot]:
    """A good event under every shape of properties, through all four queues in turn."""
    shots = []
    for number, properties in enumerate(PROPERTIES.values()):
        told = (
            helpers.realtime(plant, at=AT - seconds(number)),
            helpers.ack("ACCEPTED", plant, "not ours"),
            helpers.alarm(plant, f"a{number}"),
            helpers.execution("COMPLETED", plant, "not ours"),
        )[number % 4]
        shots.append(Shot(key=KEYS[number % 4].encode(), body=told.body, properties=properties))
    return shots


def bad_shots(chance: random.Random) -> list[tuple[Shot, str | None]]:
    """Every bad body under some properties in some queue, with its reason where it has one; and random bytes."""
    shapes = list(PROPERTIES.values())
    bodies: list[tuple[bytes, str | None]] = [
        *BODIES,
        *((chance.randbytes(chance.randint(1, 400)), None) for _ in range(40 * FACTOR)),
    ]
    return [
        (Shot(key=KEYS[number % 4].encode(), body=body, properties=shapes[number % len(shapes)]), reason)
        for number, (body, reason) in enumerate(bodies)
    ]


def test_good_events_among_hostile_ones_are_stored_and_every_hostile_one_is_a_letter_with_its_bytes(
    rabbit: RabbitServer, partner: Partner, link: Connection, plant: Plant
) -> None:
    chance = random.Random(8)
    good, bad = good_shots(plant), bad_shots(chance)
    mixed = [*good, *(shot for shot, _ in bad)]
    chance.shuffle(mixed)
    publish(rabbit, partner, mixed)
    worker = worker_of(link, rabbit)

    consume(worker, len(mixed))
    worker.finish()

    assert settled(rabbit, partner) == [0, 0, 0, 0]
    assert InboundMessage.objects.count() + TelemetryReading.objects.count() == len(good)
    letters = {(one.routing_key, bytes(one.body)): one for one in DeadLetter.objects.all()}
    assert len(letters) == len(bad)
    for shot, reason in bad:
        kept = letters[
            (f"{partner.slug}.{shot.key.decode()}", shot.body[:4096] if reason == "TOO_LARGE" else shot.body)
        ]
        assert kept.reason == (reason or kept.reason)
        assert kept.reason not in {"NOT_READABLE", "NOT_APPLICABLE"}
    health = LinkHealth.objects.get(connection=link, role=LinkHealth.Role.CONSUME)
    assert (health.state, health.last_error) == ("CONNECTED", "")


@pytest.mark.parametrize(
    "tail",
    [b".\xff", b".\xed\xa0\x80", b".\x00", b"." + b"x" * 200, b".\xff" * 90],
    ids=lambda tail: repr(tail[:4]),
)
def test_a_routing_key_of_any_bytes_stops_nothing(
    rabbit: RabbitServer, partner: Partner, link: Connection, plant: Plant, tail: bytes
) -> None:
    none = pika.BasicProperties()
    odd = Shot(key=b"event.alarm" + tail, body=helpers.alarm(plant, "odd").body, properties=none)
    publish(
        rabbit,
        partner,
        [odd, Shot(key=b"event.alarm", body=helpers.alarm(plant, "next").body, properties=none)],
    )
    worker = worker_of(link, rabbit)

    consume(worker, 2)
    worker.finish()

    assert settled(rabbit, partner) == [0, 0, 0, 0]
    assert plant.alarms.filter(alarm_id="next").exists()
    assert plant.alarms.filter(alarm_id="odd").exists() or DeadLetter.objects.get().reason == "INVALID_TEXT"


def test_hostile_messages_stay_at_the_broker_until_the_database_has_them_and_come_again(
    rabbit: RabbitServer, partner: Partner, link: Connection, plant: Plant
) -> None:
    good, bad = good_shots(plant), [shot for shot, _ in bad_shots(random.Random(9))[:14]]
    publish(rabbit, partner, [*good, *bad])
    first, second = worker_of(link, rabbit), worker_of(link, rabbit)

    with (
        mock.patch("link.storing.receive", autospec=True, side_effect=OperationalError("gone")) as failing,
        pytest.raises(OperationalError),
    ):
        first.once(threading.Event())
    first.finish()
    seen = failing.call_args.args[0]
    consume(second, len(good) + len(bad))
    second.finish()

    assert len(seen) > 0
    assert settled(rabbit, partner) == [0, 0, 0, 0]
    assert InboundMessage.objects.count() + TelemetryReading.objects.count() == len(good)
    assert DeadLetter.objects.count() == len(bad)


def test_an_event_that_the_broker_gives_twice_under_other_properties_counts_once(
    rabbit: RabbitServer, partner: Partner, link: Connection, plant: Plant
) -> None:
    body = helpers.alarm(plant, "once").body
    shots = [Shot(key=b"event.alarm", body=body, properties=properties) for properties in PROPERTIES.values()]
    publish(
        rabbit,
        partner,
        [
            *shots,
            Shot(key=b"event.alarm", body=helpers.alarm(plant, "last").body, properties=shots[0].properties),
        ],
    )
    worker = worker_of(link, rabbit)

    consume(worker, 2)
    worker.finish()

    assert settled(rabbit, partner) == [0, 0, 0, 0]
    assert InboundMessage.objects.count() == 2
    assert json.loads(body)["messageId"] in set(InboundMessage.objects.values_list("message_id", flat=True))
