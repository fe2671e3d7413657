"""Accepts connections; those of an address that floods us with guesses of secrets wait in a line and cost little there.

Any other connection is let in at once. One of an address for which the rules name a line stays a bare socket, unread
and without a task, until its turn has come: 50 a second leave a line, in order, from at most ten lines at a time. So
the longest wait is two seconds (a full line of 100), and more only while more than ten addresses flood us. When the
line is full, or all lines together, a new connection is cut at once (reset): its client has to try again. Connections
that were let in before are never touched.

Bounds: 100 waiting connections of an address, 256 in all, 32 accepted in one go (the requests of others have their turn
in between). The deadline of a head begins when its connection is let in.

Edge cases: without file descriptors left nothing is accepted for a second, as in asyncio; a client that left while it
waited is let in and found to have left; whoever waits when the server stops is cut.
"""

import asyncio
import errno
import socket
import struct
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

log = structlog.get_logger(__name__)
LINE_MAX: Final = 100
WAITING_MAX: Final = 256
STEP_S: Final = 0.02
LINES_PER_STEP: Final = 10
_ACCEPTED_AT_ONCE: Final = 32
_BACKLOG: Final = 2_048  # of the kernel: a burst of others must not crowd out an honest connection
_PAUSE_S: Final = 1.0
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RESET: Final = struct.pack("ii", 1, 0)


class Rules(Protocol):
    """What the door asks and tells; called in the event loop for every connection, so it must be quick."""

    def line_of(self, peer: str) -> str | None:
        """The line in which a new connection of this address has to wait; None = it need not."""

    def cut(self, peer: str) -> None:
        """A connection of this address was cut because its line was full."""


class Door:
    """One listening socket and the lines before it. Only the event loop touches it."""

    def __init__(
        self, listener: socket.socket, *, rules: Rules, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._listener = listener
        self._rules = rules
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._lines: OrderedDict[str, deque[socket.socket]] = OrderedDict()  # the next to be served first
        self._waiting = 0
        self._entering: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Listen."""
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        self._resume()

    async def close(self) -> None:
        """Listen no longer, cut whoever waits, and see those in who were on their way."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        for line in self._lines.values():
            for connection in line:
                _reset(connection)
        self._lines.clear()
        self._waiting = 0
        await asyncio.gather(*self._entering)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._stand_still(error)
                return
            connection.setblocking(False)
            self._receive(connection, address[0])

    def _receive(self, connection: socket.socket, peer: str) -> None:
        name = self._rules.line_of(peer)
        if name is None:
            self._let_in(connection)
            return
        line = self._lines.get(name)
        if self._waiting >= WAITING_MAX or (line is not None and len(line) >= LINE_MAX):
            _reset(connection)
            self._rules.cut(peer)
            return
        self._lines.setdefault(name, deque()).append(connection)
        self._waiting += 1
        if self._timer is None:
            self._timer = self._loop.call_later(STEP_S, self._step)

    def _step(self) -> None:
        """Let the first of each line in; whose line was served goes behind the others."""
        for _ in range(min(LINES_PER_STEP, len(self._lines))):
            name, line = self._lines.popitem(last=False)
            self._let_in(line.popleft())
            self._waiting -= 1
            if line:
                self._lines[name] = line
        self._timer = self._loop.call_later(STEP_S, self._step) if self._lines else None

    def _let_in(self, connection: socket.socket) -> None:
        task = self._loop.create_task(self._enter(connection))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _enter(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:  # it is gone already
            connection.close()
            log.debug("connection lost at the door", action="connection_lost", error=type(error).__name__)

    def _stand_still(self, error: OSError) -> None:
        """Out of descriptors or memory: the listener would report itself ready for ever."""
        log.error(
            "no connection can be accepted",
            action="accept_failed",
            error=errno.errorcode.get(error.errno or 0),
        )
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_PAUSE_S, self._resume)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()
