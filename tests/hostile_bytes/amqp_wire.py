"""AMQP properties and header tables as raw bytes: what no client library would write, and a broker passes on."""

import struct
from collections.abc import Mapping

import pika

FLAG_HEADERS, FLAG_DELIVERY_MODE, FLAG_PRIORITY = 0x2000, 0x1000, 0x0800
FLAG_CONTENT_TYPE, FLAG_CONTENT_ENCODING = 0x8000, 0x4000
FLAG_CORRELATION_ID, FLAG_REPLY_TO, FLAG_EXPIRATION = 0x0400, 0x0200, 0x0100
FLAG_MESSAGE_ID, FLAG_TIMESTAMP, FLAG_TYPE, FLAG_APP_ID = 0x0080, 0x0040, 0x0020, 0x0008
_ORDER = (
    FLAG_CONTENT_TYPE, FLAG_CONTENT_ENCODING, FLAG_HEADERS, FLAG_DELIVERY_MODE, FLAG_PRIORITY, FLAG_CORRELATION_ID,
    FLAG_REPLY_TO, FLAG_EXPIRATION, FLAG_MESSAGE_ID, FLAG_TIMESTAMP, FLAG_TYPE, FLAG_APP_ID,
)  # fmt: skip


class RawProperties(pika.BasicProperties):
    """Basic properties whose bytes are written as given."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__()
        self.encoded = encoded

    def encode(self) -> list[bytes]:
        """The property flags and the property list."""
        return [self.encoded]


def raw(**members: bytes) -> RawProperties:
    """Properties from the bytes of each member, by the names of the flags above: `message_id=b"..."`."""
    given = {globals()[f"FLAG_{name.upper()}"]: value for name, value in members.items()}
    flags = sum(given)
    return RawProperties(struct.pack(">H", flags) + b"".join(given[flag] for flag in _ORDER if flag in given))


def short(text: bytes) -> bytes:
    """A short string."""
    return struct.pack("B", len(text)) + text


def table(items: Mapping[bytes, bytes]) -> bytes:
    """A field table; each value carries its type letter."""
    content = b"".join(short(key) + value for key, value in items.items())
    return struct.pack(">I", len(content)) + content


def array(*values: bytes) -> bytes:
    """A field array with its type letter."""
    content = b"".join(values)
    return b"A" + struct.pack(">I", len(content)) + content


def nested_arrays(levels: int) -> bytes:
    """Arrays within arrays."""
    value = array()
    for _ in range(levels):
        value = array(value)
    return value


def nested_tables(levels: int) -> bytes:
    """Tables within tables."""
    value = b"V"
    for _ in range(levels):
        value = b"F" + table({b"t": value})
    return value


def long_text(text: bytes) -> bytes:
    """A long string with its type letter."""
    return b"S" + struct.pack(">I", len(text)) + text


EVERY_FIELD_TYPE: Mapping[bytes, bytes] = {
    b"bool": b"t\x01",
    b"octet": b"b\x80",
    b"octet unsigned": b"B\xff",
    b"short": b"s\x80\x00",
    b"short unsigned": b"u\xff\xff",
    b"long": b"I\x80\x00\x00\x00",
    b"long unsigned": b"i\xff\xff\xff\xff",
    b"long long": b"l" + b"\x80" + b"\x00" * 7,
    b"float": b"f" + struct.pack(">f", -1.5),
    b"double": b"d" + struct.pack(">d", 5e-324),
    b"decimal": b"D\x02" + struct.pack(">i", -12345),
    b"decimal of 255 places": b"D\xff" + struct.pack(">i", 1),
    b"text": long_text("Přetok 50 %".encode()),
    b"text of no code": long_text(b"\xff\xfe"),
    b"text with NUL": long_text(b"a\x00b"),
    b"bytes": b"x" + struct.pack(">I", 3) + b"\x00\xff\x00",
    b"time": b"T" + struct.pack(">Q", 1767323045),
    b"void": b"V",
    b"array": array(b"t\x00", b"V", long_text(b"x"), nested_arrays(3)),
    b"table": nested_tables(5),
    b"\xff\xfe": b"V",
    b"": b"V",
    b"x-death": array(b"F" + table({b"count": b"l" + b"\xff" * 8, b"reason": long_text(b"rejected")})),
}
"""A value of every type that RabbitMQ passes on, odd keys, and a forged history of deaths."""
