"""Streams of live data: all that are open in this process, served by the event loop alone.

A stream costs no thread: a view decided in one who may hear what (`live.grants`), and then had its answer. From there
on the loop takes news from the ring (`live.ring`) and offers each to the streams that wish for it.

Edge cases: streams have limits of their own, in all and for a person (429, 503: the screen tries again); every minute
one look in a thread finds those whose person may no longer hear them; none lasts longer than `max_age_s`; when the
server stops they end at once and their screens go on elsewhere, where they stood.
"""

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import Error

from esm import stream_metrics
from esm.listener import Listener, item_of
from esm.shell import Answer, Headers, Receive, Send
from live.events import position_of
from live.grants import Grant
from live.ring import Entry, Ring
from live.wishes import Door, doors_of

log = structlog.get_logger(__name__)
RETRY_AFTER_S = 10


@dataclass(frozen=True, kw_only=True)
class StreamLimits:
    """How many streams may be open, in all and of one person, how long one lasts, how often rights are looked at."""

    streams_max: int
    per_person: int
    max_age_s: float
    recheck_s: float = 60.0


class Streams:
    """`allowed` answers which grants still hold; it is called in a thread. `following` feeds the ring meanwhile."""

    def __init__(
        self,
        ring: Ring,
        limits: StreamLimits,
        *,
        allowed: Callable[[Sequence[Grant]], Collection[Grant]],
        following: Callable[[], AbstractContextManager[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._ring = ring
        self._limits = limits
        self._allowed = allowed
        self._following = following
        self._now = now
        # Only the event loop touches these.
        self._open: set[Listener] = set()
        self._of_person: Counter[int] = Counter()
        self._at_door: defaultdict[Door, set[Listener]] = defaultdict(set)
        self._number, self._at, self._away = ring.number, ring.position(), ring.away
        self._looking = False
        self._closed = False
        self._rechecking: asyncio.Task[None] | None = None
        self._held = ExitStack()

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    async def begin(self) -> None:
        """Listen to the ring, and let it be fed."""
        loop = asyncio.get_running_loop()

        def bell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed a moment ago
                loop.call_soon_threadsafe(self._look_soon)

        self._held.enter_context(self._ring.heard_by(bell))
        self._held.enter_context(self._following())
        self._rechecking = asyncio.create_task(self._recheck())

    def close(self) -> None:
        """End all streams now, and let no other begin."""
        self._closed = True
        for listener in self._open:
            listener.end("closing")

    async def end(self) -> None:
        """Stop listening; the streams are closed by now."""
        if self._rechecking is not None:
            self._rechecking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._rechecking
        await asyncio.get_running_loop().run_in_executor(None, self._held.close)

    async def serve(self, answer: Answer, receive: Receive, send: Send) -> None:
        """Stream what the answer of the view grants, behind its head, until either side ends it."""
        grant: Grant = answer.stream
        if (reason := self._refusal(grant)) is not None:
            if not grant.is_probe:
                stream_metrics.REFUSED.labels(reason).inc()
            refusal = 429 if reason == "person" else 503
            await _send_refusal(refusal, answer.headers, send)
            return
        if grant.is_probe:
            await _send_head(answer, send)
            return
        listener = self._enter(grant)
        loop = asyncio.get_running_loop()
        aging = loop.call_later(self._limits.max_age_s * random.uniform(0.8, 1.0), listener.end, "age")  # noqa: S311
        running = asyncio.create_task(self._run(listener, answer.headers, send))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            aging.cancel()
            self._leave(listener)
            stream_metrics.ENDED.labels(listener.why or "left").inc()
            for task in (running, leaving):
                task.cancel()
            await asyncio.gather(running, leaving, return_exceptions=True)
        if running.done() and not running.cancelled() and (error := running.exception()) is not None:
            raise error

    async def _run(self, listener: Listener, headers: Headers, send: Send) -> None:
        head = [(name, value) for name, value in headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await listener.run(
            lambda frame: send({"type": "http.response.body", "body": frame, "more_body": True})
        )
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _refusal(self, grant: Grant) -> str | None:
        if self._closed:
            return "closing"
        if len(self._open) >= self._limits.streams_max:
            return "full"
        return "person" if self._of_person[grant.user_id] >= self._limits.per_person else None

    def _enter(self, grant: Grant) -> Listener:
        self._look()
        listener = Listener(grant, at=self._at, away=self._away, now=self._now)
        if grant.position:
            since = position_of(grant.position)
            missed = since and self._ring.missed(
                grant.organisation_id, since, upto=self._at, plants=grant.wishes.plants
            )
            listener.resume(since, missed or None)
        self._open.add(listener)
        stream_metrics.OPEN.inc()
        self._of_person[grant.user_id] += 1
        for door in grant.wishes.doors(grant.organisation_id):
            self._at_door[door].add(listener)
        return listener

    def _leave(self, listener: Listener) -> None:
        self._open.discard(listener)
        stream_metrics.OPEN.dec()
        self._of_person[listener.grant.user_id] -= 1
        if not self._of_person[listener.grant.user_id]:
            del self._of_person[listener.grant.user_id]
        for door in listener.grant.wishes.doors(listener.grant.organisation_id):
            self._at_door[door].discard(listener)
            if not self._at_door[door]:
                del self._at_door[door]

    def _look_soon(self) -> None:
        # Rings that came while the loop was busy are answered by one look.
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        if self._ring.away != self._away:
            self._away = self._ring.away
            for listener in self._open:
                listener.set_away(self._away)
        entries = self._ring.entries_since(self._number)
        if entries is None:
            self._number, self._at = self._ring.number, self._ring.position()
            for listener in self._open:
                listener.start_afresh(self._at)
        elif entries:
            for entry in entries:
                self._deliver(entry)
            self._number = entries[-1].number
            for listener in self._open:
                listener.heard(self._at)

    def _deliver(self, entry: Entry) -> None:
        if entry.is_tiles:
            self._at = self._at._replace(tiles=entry.place)
        else:
            self._at = self._at._replace(lists=entry.place)
        for event in entry.events:
            found = [at_door for door in doors_of(event) if (at_door := self._at_door.get(door))]
            if not found:
                continue
            item = item_of(entry.place, event)
            for listener in found[0] if len(found) == 1 else set[Listener]().union(*found):
                listener.offer(event, item, place=entry.place, is_tile=entry.is_tiles)

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(self._limits.recheck_s)
            asked = {listener.grant: listener for listener in self._open}
            if not asked:
                continue
            try:
                allowed = set(await asyncio.to_thread(self._allowed, list(asked)))
            except Error as error:  # the database is away: whoever was allowed may hear until the next look
                log.warning(
                    "rights of streams not looked at", action="live.recheck", error=type(error).__name__
                )
                continue
            for grant, listener in asked.items():
                if grant not in allowed:
                    listener.end("signed_out")


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_head(answer: Answer, send: Send) -> None:
    head = [(name, value) for name, value in answer.headers if name != b"content-length"]
    await send({"type": "http.response.start", "status": answer.status, "headers": head})
    await send({"type": "http.response.body", "body": b""})


async def _send_refusal(status: int, headers: Headers, send: Send) -> None:
    kept: list[Any] = [one for one in headers if one[0] not in {b"content-length", b"content-type"}]
    kept += [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"0"),
        (b"retry-after", str(RETRY_AFTER_S).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": kept})
    await send({"type": "http.response.body", "body": b""})
