"""Deliveries from their frames: complete ones are taken, others' go the library's way, what breaks rules is refused."""

import struct
from types import SimpleNamespace

import pytest
from amqp.exceptions import UnexpectedFrame

from link.amqp_deliveries import DeliveryReader
from link.amqp_frames import UNREADABLE_HEADER
from link.broker import Delivery

TAG = b"amq.ctag-1"
NO_PROPERTIES = b"\x00\x00"


def text(words):
    return bytes([len(words)]) + words


def deliver(tag=TAG, number=7, redelivered=False, key=b"acme.event.alarm"):
    payload = struct.pack(">HH", 60, 60) + text(tag) + struct.pack(">QB", number, redelivered)
    return 1, 1, payload + text(b"vcp") + text(key)


def header(size, properties=NO_PROPERTIES, of=60):
    return 2, 1, struct.pack(">HHQ", of, 0, size) + properties


def body(data, channel=1):
    return 3, channel, data


@pytest.fixture
def reader():
    taken, others = [], []
    connection = SimpleNamespace(takers={(1, TAG): lambda *words: taken.append(words)}, bytes_recv=0)
    made = DeliveryReader(connection, lambda *words: others.append(words))
    return SimpleNamespace(read=made, taken=taken, others=others, connection=connection)


def test_a_delivery_is_taken_when_its_last_body_frame_is_here(reader):
    assert [reader.read(frame) for frame in (deliver(redelivered=True), header(6), body(b"abc"))] == [
        False
    ] * 3
    assert reader.taken == []

    assert reader.read(body(b"def"))

    ((number, redelivered, key, data, headers),) = reader.taken
    assert (number, redelivered, key, data, dict(headers)) == (7, True, "acme.event.alarm", b"abcdef", {})


def test_one_without_a_body_is_taken_with_its_header(reader):
    assert [reader.read(frame) for frame in (deliver(), header(0))] == [False, True]

    assert reader.taken[0][3] == b""


def test_each_frame_counts_as_a_sign_of_life_of_the_broker(reader):
    for frame in (deliver(), header(3), body(b"abc"), (8, 0, b"")):
        reader.read(frame)

    assert reader.connection.bytes_recv == 4


def test_a_heartbeat_between_the_frames_of_a_delivery_does_no_harm(reader):
    for frame in (deliver(), header(3), (8, 0, b""), body(b"abc")):
        reader.read(frame)

    assert reader.taken[0][3] == b"abc"


def test_the_delivery_of_a_consumer_that_nobody_takes_goes_the_librarys_way(reader):
    for frame in (deliver(tag=b"other"), header(3), body(b"abc")):
        reader.read(frame)

    assert reader.taken == []
    ((channel, method, _, message),) = reader.others
    assert (channel, method, message.body) == (1, (60, 60), b"abc")


def test_every_byte_of_a_routing_key_that_is_no_utf8_becomes_a_question_mark(reader):
    for frame in (deliver(key=b"acme.\xff.\xc3\xa9"), header(0)):
        reader.read(frame)

    assert reader.taken[0][2] == "acme.?.é"


def test_headers_are_read_when_they_are_asked_for(reader):
    item = text(b"x-cause") + b"S" + struct.pack(">I", 3) + b"dlx"
    for frame in (deliver(), header(0, struct.pack(">HI", 0x2000, len(item)) + item)):
        reader.read(frame)

    assert dict(reader.taken[0][4]) == {"x-cause": "dlx"}


def test_properties_that_cant_be_read_are_told_as_a_header_of_ours(reader):
    broken = struct.pack(">H", 0x8000) + b"\x02\xff\xfe"
    for frame in (deliver(), header(0, broken)):
        reader.read(frame)

    assert dict(reader.taken[0][4]) == {UNREADABLE_HEADER: broken.hex()}


@pytest.mark.parametrize(
    "frames",
    [
        [deliver(), body(b"abc")],
        [deliver(), deliver()],
        [deliver(), header(3), header(3)],
        [deliver(), header(3, of=10)],
    ],
    ids=["a body first", "another delivery within", "two headers", "a header of another class"],
)
def test_frames_in_an_order_that_the_protocol_does_not_know_are_refused(reader, frames):
    *well, bad = frames
    for frame in well:
        reader.read(frame)

    with pytest.raises(UnexpectedFrame):
        reader.read(bad)
    assert reader.taken == []


def test_a_delivery_shows_nothing_of_what_is_in_it():
    one = Delivery(
        queue="q",
        routing_key="acme.event.alarm",
        headers={"h": "told"},
        body=b"said",
        redelivered=False,
        tag=7,
    )

    assert repr(one) == "Delivery(queue='q', routing_key='acme.event.alarm', tag=7)"
