"""Deliveries taken straight from their frames: the library makes four objects and a dictionary of each.

A delivery is a method frame (Basic.Deliver), a content header and its body in any number of frames, on one channel
without anything of that channel in between. Properties are not looked at until somebody asks for the headers: consumers
rely on the body alone, and a sender may have written anything into them (`link.amqp_frames`).
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from amqp.exceptions import UnexpectedFrame
from amqp.serialization import decode_properties_basic

from link.amqp_frames import Frame, readable_header, readable_key, tolerant_frame_handler

Take = Callable[[int, bool, str, bytes, Mapping[str, Any]], None]
"""Called with delivery tag, `redelivered`, routing key, body and headers."""

_METHOD, _CONTENT_HEADER, _CONTENT_BODY = 1, 2, 3
_BASIC: Final = struct.pack(">H", 60)
_DELIVER: Final = struct.pack(">HH", 60, 60)
_TAG_AND_REDELIVERED: Final = struct.Struct(">QB").unpack_from
_BODY_SIZE: Final = struct.Struct(">Q").unpack_from
_BODY_SIZE_AT: Final = 4
_PROPERTIES_AT: Final = 12


class Headers(Mapping[str, Any]):
    """The headers of a content header, read when they are first asked for."""

    __slots__ = ("_frame", "_table")

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._table: Mapping[str, Any] | None = None

    def _read(self) -> Mapping[str, Any]:
        if self._table is None:
            properties, _ = decode_properties_basic(readable_header(self._frame), _PROPERTIES_AT)
            self._table = properties.get("application_headers") or {}
        return self._table

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


class _Arriving:
    """A delivery whose content is not here yet."""

    __slots__ = ("body", "header", "key", "missing", "number", "redelivered", "take")

    def __init__(self, take: Take, number: int, redelivered: bool, key: str) -> None:
        self.take, self.number, self.redelivered, self.key = take, number, redelivered, key
        self.header: bytes | None = None
        self.missing = 0
        self.body: list[bytes] = []


class DeliveryReader:
    """Handles the frames of one connection: py-amqp's `frame_handler` with a short way for deliveries.

    `takers`: who takes the deliveries of a consumer, by channel and consumer tag; all others go the library's way.
    """

    def __init__(self, connection: Any, callback: Callable[..., None]) -> None:
        self._connection = connection
        self._takers: Mapping[tuple[int, bytes], Take] = connection.takers
        self._others = tolerant_frame_handler(connection, callback)
        self._arriving: dict[int, _Arriving] = {}

    def __call__(self, frame: Frame) -> bool:
        """One frame; whether something is complete with it."""
        kind, channel, payload = frame
        arriving = self._arriving.get(channel)
        if arriving is None:
            begun = self._begun(channel, payload) if kind == _METHOD and payload[:4] == _DELIVER else None
            if begun is None:
                return self._others(frame)
            self._connection.bytes_recv += 1
            self._arriving[channel] = begun
            return False
        self._connection.bytes_recv += 1
        if kind == _CONTENT_HEADER and arriving.header is None and payload[:2] == _BASIC:
            arriving.header = payload
            (arriving.missing,) = _BODY_SIZE(payload, _BODY_SIZE_AT)
        elif kind == _CONTENT_BODY and arriving.header is not None:
            arriving.body.append(payload)
            arriving.missing -= len(payload)
        else:
            raise UnexpectedFrame(f"a frame of type {kind} within a delivery")
        if arriving.missing > 0:
            return False
        del self._arriving[channel]
        body = arriving.body[0] if len(arriving.body) == 1 else b"".join(arriving.body)
        arriving.take(arriving.number, arriving.redelivered, arriving.key, body, Headers(arriving.header))
        return True

    def _begun(self, channel: int, payload: bytes) -> _Arriving | None:
        """A Basic.Deliver for one of the takers."""
        tag_end = 5 + payload[4]
        take = self._takers.get((channel, payload[5:tag_end]))
        if take is None:
            return None
        number, redelivered = _TAG_AND_REDELIVERED(payload, tag_end)
        key_at = tag_end + 10 + payload[tag_end + 9]
        key = payload[key_at + 1 : key_at + 1 + payload[key_at]]
        return _Arriving(take, number, bool(redelivered), readable_key(key))
