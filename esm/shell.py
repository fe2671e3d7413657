"""The ASGI shell: what has to be decided before a worker thread is taken, and a small pool of threads behind it.

Reading a body costs no thread: it is read here, with a limit of bytes and a deadline, and only a complete request
reaches the synchronous application. What the shell refuses still goes there, with the reason in the ASGI scope (no
client can forge it), so that the answer has the error envelope and a row in the pull journal. An exception is a
full queue: that is answered from here at once, because a thread is what there is not. So is what the doorman turns away
(guesses of secrets): a thread is what they shall not cost.

A thread runs the application to its end and hands back one complete answer: slow readers cost no thread either. What
the application left to be written (LEFT in the scope) goes into one commit with what others left; the answer is sent
after that, and no thread that serves requests waits for it.
A view that grants a stream (`live.grants`, in the scope) has had its thread when its answer is there: `esm.streams`
goes on behind the head of the answer, and the request counts no longer as open.

Edge cases: a chunked body gets its Content-Length here (WSGI knows no chunks and would read nothing); headers with an
underscore are dropped (WSGI can't tell `X_Forwarded_For` from `X-Forwarded-For`); a client that leaves while its body
is read is refused like any other, so that the journal shows the attempt.
"""

import asyncio
import contextvars
import functools
import io
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Protocol
from wsgiref.types import WSGIApplication

from a2wsgi.wsgi import build_environ

from esm.group_commit import GroupCommit
from live.grants import STREAM

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

REFUSAL = "esm.refusal"
ARRIVED = "esm.arrived"
RECEIVED = "esm.received"
LEFT = "esm.left"
_HOLD_S = 0.5
_HELD_SHARE = 4
_BODILESS = frozenset({204, 304})
_GRANTED = frozenset({200, 204})


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why the shell did not read a request to its end; Django answers with this status."""

    status: int
    message: str


TOO_LARGE = Refusal(status=413, message="The request body is too large.")
TOO_SLOW = Refusal(status=408, message="The request body did not arrive in time.")
ABORTED = Refusal(status=499, message="The client closed the connection before its body was complete.")


@dataclass(frozen=True, kw_only=True)
class ShellLimits:
    """Bounds of the shell: open requests, threads, requests that run or wait for one, bytes and seconds of a body.

    `wide_paths`: bytes of a body at addresses that take files.
    """

    open_max: int
    threads: int
    queue_max: int
    body_max_bytes: int
    body_timeout_s: float
    wide_paths: Mapping[str, int] = field(default_factory=dict)

    def body_max_at(self, path: str) -> int:
        """How large a body may be at this address."""
        return self.wide_paths.get(path, self.body_max_bytes)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A complete HTTP answer; with `stream` it is the head of one that goes on (a `live.grants.Grant`)."""

    status: int
    headers: Headers
    body: bytes
    stream: Any = None


class Streamer(Protocol):
    """What goes on where an answer grants a stream; called in the event loop."""

    async def begin(self) -> None:
        """Before the first request."""

    async def serve(self, answer: Answer, receive: Receive, send: Send) -> None:
        """Send an answer that goes on, to its end."""

    def close(self) -> None:
        """The server stops: end what goes on."""

    async def end(self) -> None:
        """After the last request."""


class Shell:
    """An ASGI application around a WSGI one.

    `warm` runs once before the first request; `overload` makes the answer of a request that found the queue full,
    `doorman` that of a complete request which it turns away (None = let it in; it must be quick). `line_of` and `cut`
    are the rules of the door before it, by the peer's address. Soon after something was turned away or cut
    `after_turning_away` is called in a worker thread. `write_left` writes what answers left to be written. Requests to
    `always` pass a full queue. `streams` serves the answers that go on.
    """

    def __init__(
        self,
        app: WSGIApplication,
        limits: ShellLimits,
        *,
        warm: Callable[[], None],
        overload: Callable[[Scope], Answer],
        after_turning_away: Callable[[], None],
        doorman: Callable[[Scope, bytes], Answer | None] = lambda _scope, _body: None,
        line_of: Callable[[str], str | None] = lambda _peer: None,
        cut: Callable[[str], None] = lambda _peer: None,
        write_left: Callable[[Sequence[Any]], None] = lambda _left: None,
        always: frozenset[str] = frozenset(),
        streams: Streamer | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._warm = warm
        self._overload = overload
        self._after_turning_away = after_turning_away
        self._doorman = doorman
        self._line_of = line_of
        self._cut = cut
        self._always = always
        self._streams = streams
        self._pool = ThreadPoolExecutor(max_workers=limits.threads, thread_name_prefix="web")
        # Only the event loop touches these.
        self._open = 0  # requests whose body is read or whose answer is made: each may hold a body in memory
        self._busy = 0  # of these, those that run or wait for a thread
        self._held = 0  # of the open ones, those whose refusal is held back
        self._left = GroupCommit(write_left)
        self._running: set[asyncio.Task[Answer]] = set()
        self._noting: asyncio.TimerHandle | None = None

    def line_of(self, peer: str) -> str | None:
        """The line in which a new connection of this address has to wait (see `esm.door`); None = it need not."""
        return self._line_of(peer)

    def cut(self, peer: str) -> None:
        """A connection of this address was cut at the door."""
        self._cut(peer)
        self._note_soon()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection: http or lifespan; anything else is not served."""
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1000})
            case _:
                raise ValueError("neither http nor lifespan")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ARRIVED] = monotonic()
        if self._open >= self._limits.open_max and scope["path"] not in self._always:
            await self._turn_away(scope, send)
            return
        self._open += 1
        try:
            goes_on = await self._serve(scope, receive, send)
        finally:
            self._open -= 1
        if goes_on is not None and self._streams is not None:
            await self._streams.serve(goes_on, receive, send)

    def close_streams(self) -> None:
        """The server stops: what goes on ends now."""
        if self._streams is not None:
            self._streams.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """Answer a request; what goes on is not sent but handed back."""
        body = await self._read_body(scope, receive)
        turned_away = None if scope[REFUSAL] else self._doorman(scope, body)
        if turned_away is not None:
            self._note_soon()
            held = await self._hold_back()
            await self._send(turned_away, send, close=not held and self._comes_back_in_line(scope))
        elif self._busy >= self._limits.queue_max and scope["path"] not in self._always:
            await self._turn_away(scope, send)
        else:
            answer = await self._run(scope, body)
            if answer.stream is not None:
                return answer
            await self._send(answer, send)
        return None

    async def _hold_back(self) -> bool:
        """Let whom the doorman turned away wait: its connection can't ask again before it is answered.

        Bounded, so that waiting guesses never take the places of others; False = there was no room to let it wait.
        """
        if self._held >= self._limits.open_max // _HELD_SHARE:
            return False
        self._held += 1
        try:
            await asyncio.sleep(_HOLD_S)
        finally:
            self._held -= 1
        return True

    def _comes_back_in_line(self, scope: Scope) -> bool:
        """Whether a guesser whose connection is closed has to wait at the door: that slows it as holding would."""
        peer, _ = scope.get("client") or ("", 0)
        return self._line_of(peer) is not None

    async def _turn_away(self, scope: Scope, send: Send) -> None:
        self._note_soon()
        await self._send(self._overload(scope), send)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        """The body; where it is refused, the scope says why and the body is empty."""
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        body, most = bytearray(), self._limits.body_max_at(scope["path"])
        if int(declared) > most:
            scope[REFUSAL] = TOO_LARGE
        else:
            try:
                async with asyncio.timeout(self._limits.body_timeout_s):
                    scope[REFUSAL] = await self._fill(body, receive, most=most)
            except TimeoutError:
                scope[REFUSAL] = TOO_SLOW
        scope[RECEIVED] = len(body)
        return b"" if scope[REFUSAL] else bytes(body)

    async def _fill(self, body: bytearray, receive: Receive, *, most: int) -> Refusal | None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return ABORTED
            body += message.get("body", b"")
            if len(body) > most:
                return TOO_LARGE
            if not message.get("more_body", False):
                return None

    async def _run(self, scope: Scope, body: bytes) -> Answer:
        # A task of its own: what was left is written also when this one is cancelled.
        running = asyncio.create_task(self._complete(scope, body))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    async def _complete(self, scope: Scope, body: bytes) -> Answer:
        left: list[Any] = []
        granted: list[Any] = []
        headers = _wsgi_headers(scope["headers"], body)
        seen: Any = {**scope, "headers": headers, LEFT: left, STREAM: granted}
        stream: Any = io.BytesIO(body)
        environ: Any = build_environ(seen, stream)
        call = functools.partial(contextvars.copy_context().run, run_wsgi, self._app, environ)
        self._busy += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._pool, call)
            return replace(answer, stream=granted[0]) if granted and answer.status in _GRANTED else answer
        finally:
            self._busy -= 1
            if left:
                await self._left.add(left)

    async def _send(self, answer: Answer, send: Send, *, close: bool = False) -> None:
        # One place for the length: not every answer passed Django's own, which says 0 for a 304 and so would describe
        # the body that the client already has.
        headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
        if answer.status not in _BODILESS:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        if close or answer.status == TOO_SLOW.status:  # what still drips in is nobody's next request
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _note_soon(self) -> None:
        """Let a thread write down what was turned away: soon, and once for all that comes until then."""
        if self._noting is None:
            loop = asyncio.get_running_loop()
            self._noting = loop.call_later(1.0, self._start_noting)

    def _start_noting(self) -> None:
        self._noting = None
        self._pool.submit(self._after_turning_away)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        await receive()
        await loop.run_in_executor(self._pool, self._warm)
        if self._streams is not None:
            await self._streams.begin()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._streams is not None:
            await self._streams.end()
        if self._noting is not None:
            self._noting.cancel()
            await loop.run_in_executor(self._pool, self._after_turning_away)
        await loop.run_in_executor(None, functools.partial(self._pool.shutdown, cancel_futures=True))
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._left.close()
        await send({"type": "lifespan.shutdown.complete"})


def _wsgi_headers(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Headers:
    """The headers as WSGI may see them: the length is that of the body at hand."""
    kept = [
        (name, value)
        for name, value in headers
        if b"_" not in name and name not in {b"content-length", b"transfer-encoding"}
    ]
    return [*kept, (b"content-length", str(len(body)).encode())]


def run_wsgi(app: WSGIApplication, environ: dict[str, Any]) -> Answer:
    """Run a WSGI application to its end in this thread."""
    started: list[tuple[int, Headers]] = []
    chunks: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: object = None, /
    ) -> Callable[[bytes], object]:
        # Stripped: Django renders a cookie with a blank in front, which the server refuses as no header value.
        lowered = [
            (name.lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers
        ]
        started.append((int(status.split(" ", 1)[0]), lowered))
        return chunks.append

    parts = app(environ, start_response)
    try:
        chunks.extend(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    return Answer(status=status, headers=headers, body=b"".join(chunks))
