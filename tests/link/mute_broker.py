"""A broker over TLS that accepts the login, answers what it is told to, and else only sends heartbeats.

So does a broker whose connections live while its queues or channels hang.
"""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from vcp import AmqpsAddress, build_amqps_uri

Signature = tuple[int, int]
Answers = Mapping[Signature, tuple[Signature, bytes] | bytes]
"""What a method is answered with: a method and its arguments on channel 1, or bytes as they are."""

_FRAME_END = b"\xce"
_METHOD, _HEARTBEAT = 1, 8
_START, _TUNE, _OPEN_OK = (10, 10), (10, 30), (10, 41)
_START_OK, _OPEN = (10, 11), (10, 40)
_CHANNEL_OPEN, _CHANNEL_OPEN_OK, _CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
_CONFIRM_SELECT, _CONFIRM_SELECT_OK, _PUBLISH = (85, 10), (85, 11), (60, 40)
_QOS, _QOS_OK, _CONSUME, _CONSUME_OK = (60, 10), (60, 11), (60, 20), (60, 21)

NO_CHANNEL: Answers = {}
"""Even the channel is never opened."""

NO_CHANNEL_AFTER_REFUSAL: Answers = {
    _CHANNEL_OPEN: (_CHANNEL_OPEN_OK, struct.pack(">I", 0)),
    _CONFIRM_SELECT: (_CONFIRM_SELECT_OK, b""),
    _PUBLISH: (_CHANNEL_CLOSE, struct.pack(">HB", 403, 0) + struct.pack(">HH", *_PUBLISH)),
}
"""The first publish closes the channel, which is then never opened again."""


def after_consume(frames: bytes) -> Answers:
    """One queue can be consumed, and then these bytes come."""
    return {
        _CHANNEL_OPEN: (_CHANNEL_OPEN_OK, struct.pack(">I", 0)),
        _QOS: (_QOS_OK, b""),
        _CONSUME: method_frame(1, _CONSUME_OK, b"\x01c") + frames,
    }


def after_publish(frames: bytes) -> Answers:
    """A message is taken, and these bytes come instead of a confirm."""
    return {
        _CHANNEL_OPEN: (_CHANNEL_OPEN_OK, struct.pack(">I", 0)),
        _CONFIRM_SELECT: (_CONFIRM_SELECT_OK, b""),
        _PUBLISH: frames,
    }


class MuteBroker:
    """Serves one connection: the handshake, each of `answers` once, and a heartbeat every 50 ms."""

    def __init__(self, directory: Path, answers: Answers, *, frame_max: int = 131_072) -> None:
        authority = trustme.CA()
        self.ca_file = directory / "mute-ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self._certificate = authority.issue_cert("localhost")
        self._answers = dict(answers)
        self._frame_max = frame_max
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.vhost = "partner-mute"
        port = int(self._listener.getsockname()[1])
        self.uri = build_amqps_uri(
            AmqpsAddress(host="localhost", port=port, username="acme", password="key", vhost=self.vhost)
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(20)
        self._listener.close()

    def _serve(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.configure_cert(context)
        plain, _ = self._listener.accept()
        plain.settimeout(20)
        try:
            with context.wrap_socket(plain, server_side=True) as peer:
                self._handshake(peer)
                while not self._stop.is_set():
                    self._turn(peer)
        except OSError:
            return  # the client hung up, as the test wants it to

    def _handshake(self, peer: ssl.SSLSocket) -> None:
        _exactly(peer, 8)
        peer.sendall(
            method_frame(
                0, _START, struct.pack(">BBI", 0, 9, 0) + _long_text(b"PLAIN") + _long_text(b"en_US")
            )
        )
        while _read_method(peer) != _START_OK:
            pass
        peer.sendall(method_frame(0, _TUNE, struct.pack(">HIH", 2047, self._frame_max, 60)))
        while _read_method(peer) != _OPEN:
            pass
        peer.sendall(method_frame(0, _OPEN_OK, b"\x00"))

    def _turn(self, peer: ssl.SSLSocket) -> None:
        if not peer.pending() and not select.select([peer], [], [], 0.05)[0]:
            peer.sendall(frame(_HEARTBEAT, 0, b""))
            return
        answer = self._answers.pop(_read_method(peer), None)
        if isinstance(answer, bytes):
            peer.sendall(answer)
        elif answer is not None:
            peer.sendall(method_frame(1, *answer))


def _long_text(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """A frame of any kind: 1 method, 2 content header, 3 body, 8 heartbeat."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + _FRAME_END


def method_frame(channel: int, signature: Signature, arguments: bytes) -> bytes:
    """A method with its arguments."""
    return frame(_METHOD, channel, struct.pack(">HH", *signature) + arguments)


def _read_method(peer: ssl.SSLSocket) -> Signature:
    """Read one frame: the method in it, or (0, 0) when it holds none."""
    kind, _, size = struct.unpack(">BHI", _exactly(peer, 7))
    payload = _exactly(peer, size + 1)
    if kind != _METHOD:
        return (0, 0)
    class_id, method_id = struct.unpack(">HH", payload[:4])
    return (class_id, method_id)


def _exactly(peer: ssl.SSLSocket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        chunk = peer.recv(count - len(got))
        if not chunk:
            raise ConnectionError("the client hung up")
        got += chunk
    return got
