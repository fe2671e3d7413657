"""What arrives in frames: bounded in size and time, and readable although py-amqp could not read it.

A sender may write anything into a message's properties, headers and routing key: texts that are no UTF-8, times in
milliseconds (year 50,000), nesting without end. RabbitMQ hands most of it on as it is; py-amqp raises in the middle of
the frame. The link would be dropped, the same message would come again first of all, and its queue would stand still
for ever. Nothing of it counts: consumers rely on the body alone (fact sheet, section 1).

A frame that announces more than any frame may hold ends the link, and one that arrives byte by byte does not keep its
reader past the deadline of the wait: py-amqp would read on, and take the heartbeats for its content.
"""

import errno
import ssl
import struct
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from amqp.exceptions import AMQPError, FrameSyntaxError, UnexpectedFrame
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic
from amqp.transport import SSLTransport

Frame = tuple[int, int, bytes]

UNREADABLE_HEADER: Final = "x-unreadable-properties"
"""Stands in for properties that can't be read; its value is their bytes in hex, cut."""

MAX_FRAME_BYTES: Final = 131_072
"""The largest frame that we agree to (`link.amqp_timed`): a broker may ask for smaller ones only."""

MOST_SHARES: Final = 5
"""In how many parts at most the time to reach a host is divided among its addresses."""

_FRAME_HEADER: Final = struct.Struct(">BHI")
_FRAME_END: Final = 0xCE
_READ_BYTES: Final = 16_384  # a TLS record holds no more
_RECORDS_AT_ONCE: Final = 64
_AGAIN: Final = (errno.ENOENT, errno.EAGAIN, errno.EINTR)
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
    """py-amqp's TLS socket, which reads no frame that is too large, and none past a deadline.

    It reads what there is, many TLS records at once (a broker puts two messages or so into each), and gives out the
    frames one by one: the library would ask the socket three times for each.
    """

    _quick_recv: Callable[[int], bytes]

    def __init__(
        self, *words: Any, give_up_at: Callable[[], float], places: Sequence[str] = (), **options: Any
    ) -> None:
        """`give_up_at` answers the present deadline in monotonic seconds; `places`: the host's addresses, in turn."""
        super().__init__(*words, **options)
        self._give_up_at = give_up_at
        self._places = places
        self._ahead = b""
        self._ahead_from = 0
        self._trouble: OSError | None = None
        self.write_within_s: float | None = None
        """How long the socket may refuse the next bytes; None = as long as the socket says."""

    def _connect(self, host: str, port: int, timeout: float) -> None:
        """To the addresses that were judged, never to the name again (see `link.names`); they share the time.

        The library would grant each the whole of it: with six that are silent, a minute.
        """
        places = self._places or (host,)
        share_s = timeout / min(len(places), MOST_SHARES)
        for number, place in enumerate(places, start=1):
            try:
                super()._connect(place, port, share_s)
            except OSError:
                if number == len(places):
                    raise
            else:
                return

    def write(self, data: bytes) -> None:
        """Write all of it. Reads and writes have time limits of their own, set only where they differ: each setting
        is a call of the system that hands the interpreter to another thread.
        """
        limit_s = self.write_within_s
        if limit_s is not None and self.sock.gettimeout() != limit_s:
            self.sock.settimeout(limit_s)
        super().write(data)

    def read_frame(self, *_words: Any) -> Frame:
        """One whole frame; TimeoutError without errno when none came in time (what was read of it is kept)."""
        while True:
            frame = self.next_frame()
            if frame is not None:
                return frame
            self._read_more()

    def next_frame(self) -> Frame | None:
        """The next frame of what was read already, None when it is not whole."""
        ahead, begin = self._ahead, self._ahead_from
        if len(ahead) - begin < _FRAME_HEADER.size:
            return None
        kind, channel, size = _FRAME_HEADER.unpack_from(ahead, begin)
        if size > MAX_FRAME_BYTES:
            raise FrameSyntaxError(f"a frame of {size} bytes, more than any may have")
        payload_from = begin + _FRAME_HEADER.size
        end = payload_from + size
        if len(ahead) <= end:
            return None
        if ahead[end] != _FRAME_END:
            raise UnexpectedFrame(f"a frame ends with {ahead[end]:#04x}, not {_FRAME_END:#04x}")
        self._ahead_from = end + 1
        return kind, channel, ahead[payload_from:end]

    def has_frame(self) -> bool:
        """Whether the next frame was read already."""
        left = len(self._ahead) - self._ahead_from
        if left < _FRAME_HEADER.size:
            return False
        return bool(left > _FRAME_HEADER.size + _FRAME_HEADER.unpack_from(self._ahead, self._ahead_from)[2])

    def _read_more(self) -> None:
        if monotonic() > self._give_up_at():
            raise TimeoutError("no whole frame in time")
        try:
            trouble, self._trouble = self._trouble, None
            if trouble is not None:
                raise trouble
            more = self._quick_recv(_READ_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            if error.errno in _AGAIN:
                return
            if "timed out" in str(error):  # TLS says it in its own words
                raise TimeoutError("nothing came in time") from error
            self.connected = False
            raise
        if not more:
            self.connected = False
            raise OSError("the server closed the connection")
        self._ahead = b"".join((self._ahead[self._ahead_from :], more, *self._also_here()))
        self._ahead_from = 0

    def _also_here(self) -> list[bytes]:
        """What can be read without waiting. An error is told by the next read: what came before it counts."""
        pieces: list[bytes] = []
        sock = self.sock
        limit_s = sock.gettimeout()
        sock.settimeout(0)
        try:
            while len(pieces) < _RECORDS_AT_ONCE and (piece := self._quick_recv(_READ_BYTES)):
                pieces.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # that was all
        except OSError as error:
            self._trouble = error
        finally:
            sock.settimeout(limit_s)
        return pieces


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
    return payload if key.isascii() else payload[:key_at] + readable_key(key).encode()


def readable_key(key: bytes) -> str:
    """A routing key, every byte of it that is no UTF-8 replaced by a question mark."""
    if key.isascii():
        return key.decode()
    return key.decode(errors="surrogateescape").encode(errors="replace").decode()
