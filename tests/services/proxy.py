"""A TCP proxy between a client and a private server, to be slow, deaf, stuck or gone on demand."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_DEADLINE_S = 10.0
_MAIN = "main"


class _Lane:
    """A group of connections that is hit together."""

    def __init__(self) -> None:
        self.requests_flow = asyncio.Event()
        self.answers_flow = asyncio.Event()
        self.requests_flow.set()
        self.answers_flow.set()
        self.is_vanishing = False
        self.is_refusing = False
        self.writers: set[asyncio.StreamWriter] = set()
        self.lost: set[asyncio.StreamWriter] = set()
        self.accepted = 0

    def vanish(self) -> None:
        """Connections that are open now have lost bytes: they stay dead when new ones work again."""
        self.is_vanishing = True
        self.lost |= self.writers

    def reset_all(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Forwards `host:port` to 127.0.0.1:`to_port`, for existing and new connections alike.

    - `latency_s`: how long each byte travels, each way; it delays, it does not slow down a stream.
    - `blackhole()`: bytes are taken and vanish, both ways; nobody is told. `restore()` lets new connections work.
    - `stall()`: bytes are no longer taken, so that the sender's buffers fill; `resume()` goes on where it stopped.
    - `stall_answers()`: only what the server says is held back; `resume()`.
    - `cut()`: every open connection is reset; new ones work.
    - `refuse()`: new connections are reset too, until `restore()`.

    With `lane_of` (client port -> name) connections belong to named groups, and each of these takes the name of the
    group that it is meant for.
    """

    def __init__(
        self,
        to_port: int,
        *,
        host: str = "127.0.0.1",
        latency_s: float = 0.0,
        lane_of: Callable[[int], str] | None = None,
    ) -> None:
        self._to_port = to_port
        self._latency_s = latency_s
        self._lane_of = lane_of
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._lanes: dict[str, _Lane] = {}
        self._pumps: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server((host, 0))
        # Inherited by accepted sockets: a stalled sender soon notices.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.host = host
        self.port = int(self._listener.getsockname()[1])
        self.bytes_to_server = 0

    def blackhole(self, lane: str = _MAIN) -> None:
        """From now on everything vanishes; connecting still works, and leads nowhere."""
        self._call(self._lane(lane).vanish)

    def stall(self, lane: str = _MAIN) -> None:
        """Stop taking bytes."""
        group = self._lane(lane)
        self._call(group.requests_flow.clear)
        self._call(group.answers_flow.clear)

    def stall_answers(self, lane: str = _MAIN) -> None:
        """Stop taking what the server says; what clients say goes on."""
        self._call(self._lane(lane).answers_flow.clear)

    def resume(self, lane: str = _MAIN) -> None:
        """Take bytes again after `stall` or `stall_answers`."""
        group = self._lane(lane)
        self._call(group.requests_flow.set)
        self._call(group.answers_flow.set)

    def cut(self, lane: str = _MAIN) -> None:
        """Reset every open connection."""
        self._call(self._lane(lane).reset_all)

    def refuse(self, lane: str = _MAIN) -> None:
        """Reset every open connection and every new one."""
        group = self._lane(lane)
        group.is_refusing = True
        self._call(group.reset_all)

    def restore(self, lane: str = _MAIN) -> None:
        """New connections work again after `blackhole` or `refuse`."""
        group = self._lane(lane)
        group.is_refusing = group.is_vanishing = False

    def accepted(self, lane: str = _MAIN) -> int:
        """How many clients have connected so far."""
        return self._lane(lane).accepted

    def open_connections(self, lane: str = _MAIN) -> int:
        """How many clients are connected at this moment."""
        return len(self._lane(lane).writers) // 2

    def __enter__(self) -> Self:
        self._thread.start()
        started: Future[asyncio.Server] = asyncio.run_coroutine_threadsafe(self._serve(), self._loop)
        self._server = started.result(_DEADLINE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_DEADLINE_S)
        self._loop.close()

    def _lane(self, name: str) -> _Lane:
        return self._lanes.setdefault(name, _Lane())

    async def _serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, sock=self._listener)

    async def _end(self) -> None:
        self._server.close()
        for lane in self._lanes.values():
            lane.reset_all()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def _call(self, action: Callable[[], None]) -> None:
        """Run in the proxy's thread and wait until it is done, resets included."""
        done: Future[None] = Future()

        def run() -> None:
            action()
            self._loop.call_soon(
                done.set_result, None
            )  # after the closing of sockets that `abort` has put off

        self._loop.call_soon_threadsafe(run)
        done.result(_DEADLINE_S)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer_port = writer.get_extra_info("peername")[1]
        lane = self._lane(_MAIN if self._lane_of is None else self._lane_of(peer_port))
        lane.accepted += 1
        if lane.is_refusing:
            writer.transport.abort()
            return
        lane.writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            lane.writers.discard(writer)
            writer.transport.abort()
            return
        lane.writers.add(far_writer)
        if lane.is_vanishing:
            lane.lost |= {writer, far_writer}
        pumps = [
            asyncio.create_task(self._pump(lane, reader, far_writer, is_request=True)),
            asyncio.create_task(self._pump(lane, far_reader, writer, is_request=False)),
        ]
        self._pumps |= set(pumps)
        await asyncio.gather(*pumps, return_exceptions=True)
        self._pumps -= set(pumps)
        lane.writers -= {writer, far_writer}
        lane.lost -= {writer, far_writer}

    async def _pump(
        self,
        lane: _Lane,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        *,
        is_request: bool,
    ) -> None:
        flows = lane.requests_flow if is_request else lane.answers_flow
        with contextlib.suppress(ConnectionError):  # the reset of one side is passed on to the other
            while data := await source.read(_CHUNK):
                await flows.wait()
                if target in lane.lost:
                    continue
                if is_request:
                    self.bytes_to_server += len(data)
                if self._latency_s:
                    self._loop.call_later(self._latency_s, target.write, data)
                else:
                    target.write(data)
                    await target.drain()
        if self._latency_s:
            self._loop.call_later(self._latency_s, target.close)
        elif target not in lane.lost:
            target.close()
