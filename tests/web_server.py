"""uvicorn, the shell and Django on a socket of their own in a thread, and clients that speak bytes."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Queue
from typing import Any

from django.db import connections

from esm.web import serve


@dataclass
class Running:
    port: int
    stop: threading.Event
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def raw(self, head: str, *, body: bytes = b"") -> socket.socket:
        """A connection that has sent the head (lines joined by CRLF) and what there is of a body."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return connection


@contextmanager
def running(**options: Any) -> Iterator[Running]:
    stop, ready = threading.Event(), Queue[int]()

    def body() -> None:
        try:
            serve(**({"host": "127.0.0.1", "port": 0, "stop": stop, "ready": ready.put} | options))
        finally:
            connections.close_all()

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield Running(port=ready.get(timeout=20), stop=stop, thread=thread)
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def read(connection: socket.socket) -> bytes:
    """One whole answer, or what there is of it when the server closes."""
    text = b""
    while b"\r\n\r\n" not in text or len(text.partition(b"\r\n\r\n")[2]) < _length(text):
        piece = connection.recv(65536)
        if not piece:
            break
        text += piece
    return text


def answer_of(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON body of the only answer of a connection."""
    with connection:
        head, _, body = read(connection).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def _length(text: bytes) -> int:
    head = text.partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)


def closed(connection: socket.socket) -> bool:
    """Waits for the server's end of the connection."""
    with connection, suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return True
