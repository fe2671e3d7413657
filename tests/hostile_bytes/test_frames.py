"""A broker that speaks AMQP badly: the link ends in time with one error of ours, and nothing untrue is told."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from link.amqp import AmqpsTransport
from link.amqp_frames import UNREADABLE_HEADER, readable_deliver, readable_header
from link.broker import Fate, LinkError, LinkTarget
from tests.hostile_bytes import amqp_wire as wire
from tests.hostile_bytes.wide import examples
from tests.link.mute_broker import MuteBroker, after_consume, after_publish, frame, method_frame
from tests.link.port_world import ManualClock, fates, outgoing
from vcp import queue_names

METHOD, HEADER, BODY = 1, 2, 3
DELIVER, RETURN, CLOSE, CHANNEL_CLOSE = (60, 60), (60, 50), (10, 50), (20, 40)
TAG, KEY = wire.short(b"c"), wire.short(b"acme.event.alarm")
GOOD_DELIVER = method_frame(1, DELIVER, TAG + struct.pack(">QB", 1, 0) + wire.short(b"vcp") + KEY)
BAD_TEXT = wire.short(b"\xff\xfe")


def header(size: int, properties: bytes = b"\x00\x00", kind: int = 60) -> bytes:
    return frame(HEADER, 1, struct.pack(">HHQ", kind, 0, size) + properties)


BROKEN_FRAMES = {
    "a frame without its end": frame(METHOD, 1, b"")[:-1] + b"\x00",
    "a frame of an unknown kind": frame(9, 1, b"x"),
    "a content header out of the blue": header(5),
    "a body out of the blue": frame(BODY, 1, b"x"),
    "a method without a number": frame(METHOD, 1, b"\x00"),
    "an unknown method": method_frame(1, (99, 99), b""),
    "a delivery cut short": method_frame(1, DELIVER, b"\xff") + header(0),
    "a delivery followed by another": GOOD_DELIVER + GOOD_DELIVER,
    "a header of another class": GOOD_DELIVER + header(1, kind=10),
    "a header cut short": GOOD_DELIVER + frame(HEADER, 1, b"\x00\x3c\x00"),
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 200,
    "a close in no code": method_frame(
        0, CLOSE, struct.pack(">H", 320) + BAD_TEXT + struct.pack(">HH", 0, 0)
    ),
}


@pytest.mark.parametrize("frames", BROKEN_FRAMES.values(), ids=BROKEN_FRAMES.keys())
def test_a_frame_that_breaks_the_protocol_ends_the_consumers_link_with_an_error_of_ours(
    tmp_path: Path, frames: bytes
) -> None:
    with MuteBroker(tmp_path, after_consume(frames)) as broker:
        consumer = transport_to(broker).open_consumer(target_of(broker), prefetch=10)

        with pytest.raises(LinkError) as caught:
            consumer.fetch(max_messages=1, wait_s=8, flush_s=0)
        consumer.close()

    assert caught.value.code == "LINK_DOWN"
    assert not caught.value.permanent


@pytest.mark.parametrize("size", [131_073, 2**31, 2**32 - 1])
def test_a_frame_that_claims_more_than_any_may_have_ends_the_link_at_once(tmp_path: Path, size: int) -> None:
    with MuteBroker(tmp_path, after_consume(struct.pack(">BHI", METHOD, 1, size))) as broker:
        consumer = transport_to(broker).open_consumer(target_of(broker), prefetch=10)

        with pytest.raises(LinkError) as caught:
            consumer.fetch(max_messages=1, wait_s=8, flush_s=0)
        consumer.close()

    assert caught.value.code == "LINK_DOWN"


def test_a_frame_that_drips_does_not_keep_its_reader_past_the_heartbeats_that_it_swallows(
    tmp_path: Path,
) -> None:
    """Regression: py-amqp reads a frame to its end, however long that takes; the worker stood still."""
    with MuteBroker(tmp_path, after_consume(struct.pack(">BHI", METHOD, 1, 131_000))) as broker:
        transport = transport_to(broker, heartbeat_s=1, connect_timeout_s=1.0)
        consumer = transport.open_consumer(target_of(broker), prefetch=10)

        with pytest.raises(LinkError) as caught:
            consumer.fetch(max_messages=1, wait_s=30, flush_s=0)
        consumer.close()

    assert caught.value.code == "HEARTBEAT_MISSED"


@pytest.mark.parametrize("frames", BROKEN_FRAMES.values(), ids=BROKEN_FRAMES.keys())
def test_a_frame_that_breaks_the_protocol_leaves_the_message_unknown_and_never_confirmed(
    tmp_path: Path, frames: bytes
) -> None:
    with MuteBroker(tmp_path, after_publish(frames)) as broker:
        publisher = transport_to(broker).open_publisher(target_of(broker), clock=ManualClock())

        sent = publisher.publish([outgoing(target_of(broker), 1)])
        publisher.close()

    assert fates(sent) == [Fate.UNKNOWN]


ODD_RETURN = method_frame(
    1, RETURN, struct.pack(">H", 312) + wire.short(b"NO_ROUTE") + wire.short(b"vcp") + KEY
)
ACK = method_frame(1, (60, 80), struct.pack(">QB", 1, 0))
OURS = wire.raw(message_id=wire.short(b"message-1")).encoded
ODD_RETURNS = {
    "of another body": ODD_RETURN + header(3, OURS) + frame(BODY, 1, b"\xff\xff\xff"),
    "of a body longer than announced": ODD_RETURN + header(1, OURS) + frame(BODY, 1, b"x" * 9),
    "without a body": ODD_RETURN + header(0, OURS),
    "twice": (ODD_RETURN + header(0, OURS)) * 2,
}


@pytest.mark.parametrize("returned", ODD_RETURNS.values(), ids=ODD_RETURNS.keys())
def test_an_odd_return_never_becomes_a_confirm(tmp_path: Path, returned: bytes) -> None:
    with MuteBroker(tmp_path, after_publish(returned + ACK)) as broker:
        publisher = transport_to(broker).open_publisher(target_of(broker), clock=ManualClock())

        sent = publisher.publish([outgoing(target_of(broker), 1)])
        publisher.close()

    assert fates(sent) == [Fate.RETURNED]


def test_a_confirm_of_a_message_that_was_never_sent_confirms_nothing_else(tmp_path: Path) -> None:
    strange = b"".join(method_frame(1, (60, 80), struct.pack(">QB", number, 0)) for number in (0, 2, 2**63))
    with MuteBroker(tmp_path, after_publish(strange)) as broker:
        publisher = transport_to(broker, confirm_timeout_s=1.0).open_publisher(
            target_of(broker), clock=ManualClock()
        )

        sent = publisher.publish([outgoing(target_of(broker), 1)])
        publisher.close()

    assert fates(sent) == [Fate.UNKNOWN]


# --- any bytes --------------------------------------------------------------------------------------------------------


@examples(200)
@given(st.binary(max_size=300))
def test_any_property_bytes_are_readable_afterwards_or_no_content_header_at_all(properties: bytes) -> None:
    start = struct.pack(">HHQ", 60, 0, 5)

    made = readable_header(start + properties)

    assert made == start + properties or (made.startswith(start) and UNREADABLE_HEADER.encode() in made)
    assert readable_header(made) == made


@examples(200)
@given(st.binary(max_size=255), st.integers(0, 2**64 - 1), st.binary(max_size=60))
def test_any_routing_key_is_text_afterwards_and_no_longer_than_before(
    key: bytes, number: int, tag: bytes
) -> None:
    start = (
        struct.pack(">HH", *DELIVER) + wire.short(tag) + struct.pack(">QB", number, 1) + wire.short(b"vcp")
    )

    made = readable_deliver(start + wire.short(key))

    assert made.startswith(start)
    assert len(made) == len(start) + 1 + len(key)
    made[len(start) + 1 :].decode()


@examples(200)
@given(st.binary(max_size=60))
def test_a_delivery_of_any_bytes_is_looked_at_without_an_error(rest: bytes) -> None:
    payload = struct.pack(">HH", *DELIVER) + rest

    assert len(readable_deliver(payload)) == len(payload)


def transport_to(
    broker: MuteBroker,
    *,
    heartbeat_s: int = 10,
    confirm_timeout_s: float = 5.0,
    connect_timeout_s: float = 5.0,
) -> AmqpsTransport:
    return AmqpsTransport(str(broker.ca_file), heartbeat_s, confirm_timeout_s, connect_timeout_s)


def target_of(broker: MuteBroker) -> LinkTarget:
    """One queue under all four names: it is consumed once."""
    one = dict.fromkeys(("eventTelemetry", "eventStatus", "eventAlarm", "eventExecution"), "vcp.acme.event")
    return LinkTarget(
        connection_id=1,
        name="mute",
        amqps_uri=broker.uri,
        vhost=broker.vhost,
        queues=queue_names("acme", one),
        routing_prefix="acme",
    )
