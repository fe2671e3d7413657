"""uvicorn around the ASGI shell: one way to serve, in a process of its own and in a thread of the embedded one."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import structlog
from django.conf import settings
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from esm.asgi import build_shell
from esm.door import Door, Rules
from esm.security_headers import FOR_PROGRAMS

log = structlog.get_logger(__name__)
_LINGER_S = 2.0


class DeadlineProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with the deadlines that it lacks, so that idle or stalled clients can't use up connections.

    The head of a request has HTTP_HEADER_TIMEOUT_S from its first byte (or the connection). An answer must make
    progress within HTTP_SEND_TIMEOUT_S. A request that was answered before its body was read (413) is drained for two
    seconds, so that the client reads the answer instead of a connection reset, and then closed.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _unsent_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection has to speak."""
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head start its deadline, its last byte ends it."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._watch_head()
        else:
            self._cancel_head_timer()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a line of text and its end, with the headers that every answer has."""
        given = {**FOR_PROGRAMS, "Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=msg.encode("ascii")),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """The answer is handed over: watch that it is read, and drain what is left of the request."""
        super().on_response_complete()
        if self._unsent_timer is None:
            self._watch_unsent(None)
        if self.conn.their_state is h11.SEND_BODY:
            self.loop.call_later(_LINGER_S, self._close_undrained)

    def pause_writing(self) -> None:
        """A stream whose reader does not keep up: from now on it must be read."""
        super().pause_writing()
        if self._unsent_timer is None:
            self._watch_unsent(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer outlives its connection."""
        self._cancel_head_timer()
        if self._unsent_timer is not None:
            self._unsent_timer.cancel()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(settings.HTTP_HEADER_TIMEOUT_S, self.transport.abort)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_unsent(self, before: int | None) -> None:
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self._unsent_timer = None
        elif unsent == before:
            self.transport.abort()
        else:
            self._unsent_timer = self.loop.call_later(
                settings.HTTP_SEND_TIMEOUT_S, self._watch_unsent, unsent
            )

    def _close_undrained(self) -> None:
        if self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE:
            self.transport.close()


class _Server(Server):
    """uvicorn's server behind our door: it ends when `stop` is set and leaves signals to whoever started it."""

    def __init__(
        self,
        config: Config,
        *,
        listener: socket.socket,
        rules: Rules,
        stop: threading.Event,
        ready: Callable[[], None],
        closing: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._rules = rules
        self._stop = stop
        self._ready = ready
        self._closing = closing
        self._door: Door | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command's business; a thread has none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Announce readiness once connections are accepted; uvicorn itself is given nothing to listen on."""
        await super().startup(sockets=[])
        if self.started:
            self._door = Door(self._listener, rules=self._rules, protocol=self._protocol)
            self._door.open()
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door first, so that uvicorn sees every connection that was let in; streams end at once."""
        self._closing()
        if self._door is not None:
            await self._door.close()
        await super().shutdown(sockets=[])

    def _protocol(self) -> DeadlineProtocol:
        return DeadlineProtocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if self._stop.is_set():
            self.should_exit = True
        return await super().on_tick(counter)


def serve(
    *, host: str, port: int, stop: threading.Event, ready: threading.Event | Callable[[int], None]
) -> None:
    """Serve HTTP until `stop` is set, then let running requests end within WEB_GRACE_S.

    Once connections are accepted `ready` is set, or called with the port (port 0 lets the system choose one). Usable
    from any thread; raises OSError when the address can't be bound.
    """
    listener = _listen(host, port)
    bound: int = listener.getsockname()[1]

    def announce() -> None:
        if isinstance(ready, threading.Event):
            ready.set()
        else:
            ready(bound)

    shell = build_shell()
    config = Config(shell, **_uvicorn_options())
    server = _Server(
        config, listener=listener, rules=shell, stop=stop, ready=announce, closing=shell.close_streams
    )
    with listener:
        asyncio.run(server.serve())
    log.info("web server stopped", action="web_stopped", port=bound)


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _uvicorn_options() -> dict[str, Any]:
    return {
        "http": DeadlineProtocol,
        "ws": "none",
        "loop": "asyncio",
        "lifespan": "on",
        "interface": "asgi3",
        "log_config": None,
        "access_log": False,  # the pull journal and structlog tell more, and never a query string
        "proxy_headers": False,  # TRUSTED_PROXY_COUNT is ours: see trading_api.limits.client_address
        "server_header": False,
        # The last fence, a bare 503: the shell's own bound answers with the envelope long before.
        "limit_concurrency": 4 * settings.WEB_CONNECTIONS_MAX + settings.LIVE_STREAMS_MAX,
        "timeout_keep_alive": settings.HTTP_KEEP_ALIVE_S,
        "timeout_graceful_shutdown": settings.WEB_GRACE_S,
    }
