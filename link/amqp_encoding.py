"""The bytes of one published message: Basic.Publish (mandatory), its header and its body, as py-amqp would write them.

Written here because a window is thousands of equal messages: py-amqp builds each of them anew from its tables and hands
each to the socket alone, which costs more than signing it.
"""

import struct
from typing import Final

_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_BASIC_PUBLISH: Final = struct.pack(">HHH", 60, 40, 0)
_MANDATORY: Final = b"\x01"
_BASIC_CLASS: Final = struct.pack(">HH", 60, 0)
# content-type, delivery-mode, correlation-id and message-id, in the order of AMQP's property list.
_PROPERTIES: Final = struct.pack(">H", 1 << 15 | 1 << 12 | 1 << 10 | 1 << 7)
_PERSISTENT: Final = b"\x02"
FRAME_OVERHEAD: Final = 8


def publish_frames(
    *,
    channel: int,
    exchange: str,
    routing_key: str,
    message_id: str,
    correlation_id: str,
    body: bytes,
    frame_max: int,
) -> bytes:
    """A persistent, mandatory message of type application/json; the body in as many frames as the broker wants.

    Key and ids have at most 255 bytes, else ValueError.
    """
    method = _BASIC_PUBLISH + _short(exchange) + _short(routing_key) + _MANDATORY
    properties = (
        _PROPERTIES + _short("application/json") + _PERSISTENT + _short(correlation_id) + _short(message_id)
    )
    header = _BASIC_CLASS + struct.pack(">Q", len(body)) + properties
    largest = frame_max - FRAME_OVERHEAD
    parts = [_frame(_METHOD, channel, method), _frame(_HEADER, channel, header)]
    parts += [_frame(_BODY, channel, body[at : at + largest]) for at in range(0, len(body), largest)]
    return b"".join(parts)


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + _END


def _short(text: str) -> bytes:
    """A short string: its length in one byte, then UTF-8."""
    raw = text.encode()
    if len(raw) > 255:
        raise ValueError("AMQP's short strings have at most 255 bytes")
    return bytes((len(raw),)) + raw
