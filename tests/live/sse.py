"""Server-sent events as a browser reads them: frames of a socket, the last id of each, and what was in them."""

import json
import socket
from dataclasses import dataclass, field
from typing import Any

from tests.web_server import Running


@dataclass(kw_only=True)
class Frame:
    id: str
    event: str
    data: Any


@dataclass(kw_only=True)
class Stream:
    """One open stream. `last_id`: of the last whole frame, as a browser keeps it."""

    connection: socket.socket
    status: int
    head: bytes
    buffer: bytes = b""
    last_id: str = ""
    ended: bool = False
    frames: list[Frame] = field(default_factory=list)

    def next(self, *names: str) -> Frame:
        """The next frame (of one of these names); raises EOFError at the end, TimeoutError after the socket's time."""
        while True:
            frame = self._whole()
            if frame is None:
                self._read()
            elif not names or frame.event in names:
                return frame

    def events(self, count: int) -> list[dict[str, Any]]:
        """As many events of `live` frames (at least)."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += [event for _, event in self.next("live").data]
        return found

    def rest(self) -> list[Frame]:
        """All frames until the server ends it."""
        try:
            while True:
                self.next()
        except EOFError:
            return self.frames

    def take(self, size: int) -> None:
        """Read some bytes, cutting frames wherever they are."""
        piece = self.connection.recv(size)
        if not piece:
            raise EOFError
        self.buffer += piece

    def whole_frames(self) -> list[Frame]:
        """Those that are there by now; what was cut off stays."""
        found = []
        while (frame := self._whole()) is not None:
            found.append(frame)
        return found

    def close(self) -> None:
        self.connection.close()

    def _read(self) -> None:
        self.take(65536)

    def _whole(self) -> Frame | None:
        body = _dechunked(self.buffer)
        if b"\n\n" not in body.text:
            if body.ended:
                raise EOFError
            return None
        text, _, rest = body.text.partition(b"\n\n")
        self.buffer = _chunk(rest) + body.tail
        fields = dict(line.split(": ", 1) for line in text.decode().split("\n"))
        frame = Frame(id=fields["id"], event=fields["event"], data=json.loads(fields["data"]))
        self.last_id = frame.id
        self.frames.append(frame)
        return frame


@dataclass(kw_only=True)
class _Body:
    text: bytes
    tail: bytes
    ended: bool


def _chunk(text: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(text), text) if text else b""


def _dechunked(raw: bytes) -> _Body:
    text = b""
    while True:
        size, mark, rest = raw.partition(b"\r\n")
        if not mark:
            return _Body(text=text, tail=raw, ended=False)
        length = int(size, 16)
        if length == 0:
            return _Body(text=text, tail=b"", ended=True)
        if len(rest) < length + 2:
            return _Body(text=text, tail=raw, ended=False)
        text += rest[:length]
        raw = rest[length + 2 :]


def open_stream(
    server: Running,
    cookies: str,
    topics: str,
    *,
    since: str = "",
    query: str = "",
    receive_buffer: int | None = None,
    timeout_s: float = 20.0,
) -> Stream:
    """GET the stream as a browser does; returns when the head of the answer is there."""
    lines = [f"GET /console/live/?topics={topics}{query} HTTP/1.1", "Host: localhost", f"Cookie: {cookies}"]
    if since:
        lines.append(f"Last-Event-ID: {since}")
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(timeout_s)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    text = b""
    while b"\r\n\r\n" not in text:
        piece = connection.recv(4096 if receive_buffer is None else 1024)
        if not piece:
            break
        text += piece
    head, _, rest = text.partition(b"\r\n\r\n")
    return Stream(connection=connection, status=int(head.split()[1]), head=head, buffer=rest)
