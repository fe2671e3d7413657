"""What arrives in frames: bounded in size and time, and readable although py-amqp could not read it.

A sender may write anything into a message's properties, headers and routing key: texts that are no UTF-8, times in
milliseconds (year 50,000), nesting without end. RabbitMQ hands most of it on as it is; py-amqp raises in the middle of
the frame. The link would be dropped, the same message would come again first of all, and its queue would stand still
for ever. Nothing of it counts: consumers rely on the body alone (fact sheet, section 1).

A frame that announces more than any frame may hold ends the link, and one that arrives byte by byte does not keep its
reader past the deadline of the wait: py-amqp would read on, and take the heartbeats for its content.
"""

import struct
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from amqp.exceptions import AMQPError, FrameSyntaxError
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic
from amqp.transport import SSLTransport

Frame = tuple[int, int, bytes]

UNREADABLE_HEADER: Final = "x-unreadable-properties"
"""Stands in for properties that can't be read; its value is their bytes in hex, cut."""

MAX_FRAME_BYTES: Final = 131_072
"""What py-amqp proposes as largest frame; a broker may only agree to less."""

MOST_SHARES: Final = 5
"""In how many parts at most the time to reach a host is divided among its addresses."""

_METHOD, _CONTENT_HEADER = 1, 2
_DELIVER: Final = struct.pack(">HH", 60, 60)
_PROPERTIES_AT: Final = 12  # after class, weight and body size
_ONLY_HEADERS: Final = 0x2000
_MOST_BYTES_SHOWN: Final = 200
_UNREADABLE: Final = (
    AMQPError,
    ArithmeticError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class BoundedTransport(SSLTransport):  # type: ignore[misc]  # py-amqp has no types
    """py-amqp's TLS socket, which reads no frame that is too large, and none past a deadline."""

    _quick_recv: Callable[[int], bytes]

    def __init__(
        self, *words: Any, give_up_at: Callable[[], float], addresses: int = 1, **options: Any
    ) -> None:
        """`give_up_at` answers the present deadline in monotonic seconds; `addresses`: how many the host has."""
        super().__init__(*words, **options)
        self._give_up_at = give_up_at
        self._share = min(max(addresses, 1), MOST_SHARES)

    def _connect(self, host: str, port: int, timeout: float) -> None:
        """The library grants each address the whole time: with six that are silent, a minute."""
        super()._connect(host, port, timeout / self._share)

    def _setup_transport(self) -> None:
        super()._setup_transport()
        read = self._quick_recv

        def read_in_time(size: int) -> bytes:
            if monotonic() > self._give_up_at():
                raise TimeoutError("no whole frame in time")  # without errno: what was read of it is kept
            return bytes(read(size))

        self._quick_recv = read_in_time

    def _read(self, n: int, *words: Any, **options: Any) -> bytes:
        if n > MAX_FRAME_BYTES:
            raise FrameSyntaxError(f"a frame of {n} bytes, more than any may have")
        return bytes(super()._read(n, *words, **options))


def tolerant_frame_handler(connection: Any, callback: Callable[..., None]) -> Callable[[Frame], bool]:
    """py-amqp's reader of frames (the connection's `frame_handler`) behind a look at what senders chose."""
    read = frame_handler(connection, callback)

    def on_frame(frame: Frame) -> bool:
        kind, channel, payload = frame
        if kind == _CONTENT_HEADER:
            frame = (kind, channel, readable_header(payload))
        elif kind == _METHOD and payload.startswith(_DELIVER):
            frame = (kind, channel, readable_deliver(payload))
        return bool(read(frame))

    return on_frame


def readable_header(payload: bytes) -> bytes:
    """A content header, its properties replaced by one header of ours where they can't be read."""
    try:
        decode_properties_basic(payload, _PROPERTIES_AT)
    except _UNREADABLE:
        shown = payload[_PROPERTIES_AT : _PROPERTIES_AT + _MOST_BYTES_SHOWN].hex().encode()
        name = UNREADABLE_HEADER.encode()
        item = struct.pack("B", len(name)) + name + b"S" + struct.pack(">I", len(shown)) + shown
        return payload[:_PROPERTIES_AT] + struct.pack(">HI", _ONLY_HEADERS, len(item)) + item
    return payload


def readable_deliver(payload: bytes) -> bytes:
    """A Basic.Deliver, every byte of its routing key that is no UTF-8 replaced by a question mark."""
    if len(payload) < 5:
        return payload
    exchange_at = 5 + payload[4] + 9  # behind consumer tag, delivery tag and the bit `redelivered`
    key_at = exchange_at + 2 + payload[exchange_at] if exchange_at < len(payload) else len(payload)
    key = payload[key_at:]
    if key.isascii():
        return payload
    return payload[:key_at] + key.decode(errors="surrogateescape").encode(errors="replace")
