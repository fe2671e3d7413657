"""The client of the web rows, a process of its own: one request again and again over connections that stay.

    python -m bench.puller     one job as JSON on standard input, what came of it as JSON on standard output

Standard library and epoll only, so that it takes as little as it can of the cores that it shares with the server. Flat
out: every connection asks again as soon as it is answered. Paced: requests begin at their own times, whatever the
answers to earlier ones; a latency counts from the time at which the request was to begin.
"""

import json
import select
import socket
import sys
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter

HOST = "127.0.0.1"
PATIENCE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """`request` are the bytes to send, `per_s` None = flat out."""

    port: int
    request: str
    connections: int
    seconds: float
    per_s: float | None = None


@dataclass(kw_only=True)
class Outcome:
    """Answers by their status, the seconds that they took together, each one's latency in ms, bytes of a body."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    body_bytes: int = 0


class Line:
    """One connection; at most one request is on its way."""

    def __init__(self, job: Job) -> None:
        self._socket = socket.create_connection((HOST, job.port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = job.request.encode()
        self._unread = b""
        self.asked_at = 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ask(self, at: float) -> None:
        """Send the request; `at` is when it was to begin."""
        self.asked_at = at
        self._socket.sendall(self._request)

    def answer(self) -> tuple[str, int] | None:
        """Status and length of the body, once all of it is there."""
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._unread += data
        head, found, body = self._unread.partition(b"\r\n\r\n")
        status = head[9:12].decode()
        if not found:
            return None
        length = (
            0 if status == "304" else int(head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0])
        )
        if len(body) < length:
            return None
        self._unread = b""
        return status, length


def run(job: Job) -> Outcome:
    """Do the job; raises OSError when the server goes away or does not answer."""
    with ExitStack() as stack, select.epoll() as poll:
        lines = [Line(job) for _ in range(job.connections)]
        for line in lines:
            stack.callback(line.close)
            poll.register(line.fileno(), select.EPOLLIN)
        return _flat_out(job, poll, lines) if job.per_s is None else _paced(job, poll, lines, job.per_s)


def _flat_out(job: Job, poll: select.epoll, lines: list[Line]) -> Outcome:
    outcome, by_number = Outcome(), {line.fileno(): line for line in lines}
    began = perf_counter()
    for line in lines:
        line.ask(began)
    now = began
    while now < began + job.seconds:
        for line in _readable(poll, by_number, PATIENCE_S):
            if _answered(line, outcome):
                line.ask(perf_counter())
        now = perf_counter()
    outcome.seconds = now - began
    return outcome


def _paced(job: Job, poll: select.epoll, lines: list[Line], per_s: float) -> Outcome:
    outcome, by_number, free = Outcome(), {line.fileno(): line for line in lines}, deque(lines)
    began = perf_counter()
    due = deque(began + number / per_s for number in range(int(job.seconds * per_s)))
    while due or len(free) < len(lines):
        while due and free and due[0] <= perf_counter():
            free.popleft().ask(due.popleft())
        wait_s = max(0.0, due[0] - perf_counter()) if due and free else PATIENCE_S
        for line in _readable(poll, by_number, wait_s, silent=bool(due and free)):
            if _answered(line, outcome):
                free.append(line)
    outcome.seconds = perf_counter() - began
    return outcome


def _readable(
    poll: select.epoll, by_number: dict[int, Line], wait_s: float, *, silent: bool = False
) -> Iterator[Line]:
    events = poll.poll(wait_s)
    if not events and not silent:
        raise TimeoutError("the server does not answer")
    return (by_number[number] for number, _ in events)


def _answered(line: Line, outcome: Outcome) -> bool:
    answer = line.answer()
    if answer is None:
        return False
    status, length = answer
    outcome.statuses[status] += 1
    outcome.body_bytes = length
    outcome.latencies_ms.append((perf_counter() - line.asked_at) * 1000)
    return True


if __name__ == "__main__":
    print(json.dumps(vars(run(Job(**json.load(sys.stdin))))))
