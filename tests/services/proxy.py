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


class Proxy:
    """Forwards `host:port` to 127.0.0.1:`to_port`, for existing and new connections alike.

    - `latency_s`: how long each byte travels, each way; it delays, it does not slow down a stream.
    - `blackhole()`: bytes are taken and vanish, both ways; nobody is told.
    - `stall()`: bytes are no longer taken, so that the sender's buffers fill; `resume()` goes on where it stopped.
    - `cut()`: every open connection is reset; new ones work.
    """

    def __init__(self, to_port: int, *, host: str = "127.0.0.1", latency_s: float = 0.0) -> None:
        self._to_port = to_port
        self._latency_s = latency_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._vanishing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server((host, 0))
        # Inherited by accepted sockets: a stalled sender soon notices.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.host = host
        self.port = int(self._listener.getsockname()[1])
        self.bytes_to_server = 0

    def blackhole(self) -> None:
        """From now on everything vanishes; connecting still works, and leads nowhere."""
        self._vanishing = True

    def stall(self) -> None:
        """Stop taking bytes."""
        self._call(self._flowing.clear)

    def resume(self) -> None:
        """Take bytes again after `stall`."""
        self._call(self._flowing.set)

    def cut(self) -> None:
        """Reset every open connection."""
        self._call(self._reset_all)

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

    async def _serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, sock=self._listener)

    async def _end(self) -> None:
        self._server.close()
        self._reset_all()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def _call(self, action: Callable[[], None]) -> None:
        """Run in the proxy's thread and wait until it is done."""
        done: Future[None] = Future()

        def run() -> None:
            action()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result(_DEADLINE_S)

    def _reset_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        for source, target, counted in ((reader, far_writer, True), (far_reader, writer, False)):
            pump = asyncio.create_task(self._pump(source, target, counted=counted))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):  # the reset of one side is passed on to the other
            while data := await source.read(_CHUNK):
                await self._flowing.wait()
                if self._vanishing:
                    continue
                if counted:
                    self.bytes_to_server += len(data)
                if self._latency_s:
                    self._loop.call_later(self._latency_s, target.write, data)
                else:
                    target.write(data)
                    await target.drain()
        if self._latency_s:
            self._loop.call_later(self._latency_s, target.close)
        elif not self._vanishing:
            target.close()
