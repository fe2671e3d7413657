"""The attacker of `bench.bad_secrets`, a process of its own: guesses client secrets at a rate that nothing slows down.

Over connections that stay, or with a new connection for each guess: then a plain loop over epoll and no framework, so
that the attacker takes as little as it can of the cores that it shares with the server, and really offers its rate.
It ends its connections by a reset: none of its ports is left waiting, so it never runs out of them.
"""

import asyncio
import errno
import json
import secrets
import select
import socket
import struct
from collections import Counter
from contextlib import suppress
from time import monotonic

ATTACKER, TARGET = "127.0.0.2", "127.0.0.1"
IN_FLIGHT_MAX, PATIENCE_S = 2_000, 10.0
CUT, REFUSED, SILENT, NOT_OFFERED = "cut without an answer", "refused", "no answer in 10 s", "not offered"
_RESET = struct.pack("ii", 1, 0)
_ANSWER, _ROOM = select.EPOLLIN | select.EPOLLRDHUP, select.EPOLLOUT


def request(client_id: str) -> bytes:
    """One guess."""
    body = json.dumps({"clientId": client_id, "clientSecret": secrets.token_urlsafe(32)}).encode()
    head = (
        f"POST /trading/token HTTP/1.1\r\nHost: {TARGET}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# --- connections that stay ------------------------------------------------------------------------------------------
class Guesser(asyncio.Protocol):
    """One connection that guesses when it is told to, counts what it is answered, and comes back when it is lost."""

    def __init__(self, client_id: str, outcomes: Counter[str]) -> None:
        self._client_id = client_id
        self._outcomes = outcomes
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._unread = b""

    async def stay(self, port: int) -> None:
        """Be connected, until cancelled; a second between two attempts."""
        loop = asyncio.get_running_loop()
        while True:
            self._lost.clear()
            with suppress(OSError):
                await loop.create_connection(lambda: self, TARGET, port, local_addr=(ATTACKER, 0))
                await self._lost.wait()
            await asyncio.sleep(1.0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._unread = transport, b""

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost.set()

    def guess(self) -> None:
        """Send one request; answers may still be on their way."""
        if self._transport is None:
            self._outcomes[NOT_OFFERED] += 1
        else:
            self._transport.write(request(self._client_id))

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, rest = self._unread.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(rest) < length:
                return
            self._outcomes[status_of(head)] += 1
            self._unread = rest[length:]


async def attack(port: int, client_id: str, rate: int, seconds: float, connections: int) -> Counter[str]:
    """Guess `rate` times a second over connections that stay, whatever the server does; outcomes by name."""
    loop, outcomes = asyncio.get_running_loop(), Counter[str]()
    guessers = [Guesser(client_id, outcomes) for _ in range(connections)]
    staying = [asyncio.create_task(guesser.stay(port)) for guesser in guessers]
    await asyncio.sleep(0.5)  # most of them stand
    print("ready", flush=True)
    started, sent = loop.time(), 0
    while (elapsed := loop.time() - started) < seconds:
        while sent < elapsed * rate:
            guessers[sent % connections].guess()
            sent += 1
        await asyncio.sleep(0.002)
    for task in staying:
        task.cancel()
    await asyncio.gather(*staying, return_exceptions=True)
    return outcomes


# --- a new connection for every guess -------------------------------------------------------------------------------
class Flood:
    """Connections in flight, at most 2,000: each sends one guess as soon as it stands, and is counted when it ends."""

    def __init__(self, port: int, client_id: str) -> None:
        self._port = port
        self._client_id = client_id
        self._epoll = select.epoll()
        self._open: dict[int, tuple[socket.socket, float]] = {}  # by age
        self.outcomes = Counter[str]()

    def run(self, *, rate: int, seconds: float) -> Counter[str]:
        """Offer `rate` connections a second for so long, then wait for what is in flight."""
        started, offered = monotonic(), 0
        while (elapsed := monotonic() - started) < seconds:
            while offered < elapsed * rate:
                self._offer()
                offered += 1
            self._step(0.002)
        while self._open:
            self._step(0.1)
        self._epoll.close()
        return self.outcomes

    def _offer(self) -> None:
        if len(self._open) >= IN_FLIGHT_MAX:
            self.outcomes[NOT_OFFERED] += 1
            return
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        one.bind((ATTACKER, 0))
        error = one.connect_ex((TARGET, self._port))
        self._open[one.fileno()] = (one, monotonic())
        if error in (0, errno.EINPROGRESS):
            self._epoll.register(one, _ROOM)
        else:
            self._end(one.fileno(), REFUSED)

    def _step(self, timeout_s: float) -> None:
        for number, event in self._epoll.poll(timeout_s):
            self._advance(number, event)
        for number, (_, since) in [*self._open.items()][:20]:
            if monotonic() - since > PATIENCE_S:
                self._end(number, SILENT)

    def _advance(self, number: int, event: int) -> None:
        one = self._open[number][0]
        try:
            if event & _ROOM:
                one.send(request(self._client_id))
                self._epoll.modify(number, _ANSWER)
            else:
                answer = one.recv(4096)
                self._end(number, status_of(answer) if answer else CUT)
        except ConnectionRefusedError:
            self._end(number, REFUSED)
        except (ConnectionResetError, BrokenPipeError):
            self._end(number, CUT)

    def _end(self, number: int, outcome: str) -> None:
        one, _ = self._open.pop(number)
        with suppress(FileNotFoundError):  # refused at once: never registered
            self._epoll.unregister(number)
        one.close()
        self.outcomes[outcome] += 1


def status_of(head: bytes) -> str:
    """The status of an answer, as text."""
    return head.split(b" ", 2)[1].decode()


def guess(port: int, client_id: str, *, rate: int, seconds: float, connections: int) -> Counter[str]:
    """Print "ready", then guess; what became of the guesses, by status or by name. 0 connections = always new ones."""
    if connections:
        return asyncio.run(attack(port, client_id, rate, seconds, connections))
    print("ready", flush=True)
    return Flood(port, client_id).run(rate=rate, seconds=seconds)
