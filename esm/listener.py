"""One open stream of live data: what waits for it, and when which frame of it is sent.

Rules:
- Every frame has the position up to which the screen has heard when it has that frame. A frame that was cut off counts
  as not sent, so that whoever comes back with the last whole one gets the rest: nothing is lost, no item repeated.
- Items of lists are sent at once. Values wait until a quarter of a second has passed since the last ones (the first at
  once), and of each only the newest is sent; a stream that nobody looks at gets them every ten seconds.
- What waits is bounded: when more items wait than that, one `resync` stands for them all.

Frames: `hello` first, `live` (a list of events), `resync` (topics whose page has to be read again, null = all), `away`
and `back` (news can't come, can again), `beat`, and `end` with why.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import Final

import msgspec

from esm.stream_metrics import OF_FRAME
from live.events import Event, Place, Position, Topic
from live.grants import Grant
from live.ring import Missed

BEAT_S: Final = 15.0
TILES_EVERY_S: Final = 0.25
SLOW_TILES_EVERY_S: Final = 10.0
LISTS_MAX: Final = 500
TILES_PER_FRAME: Final = 500
_RETRY_MS: Final = 1_000
_encode = msgspec.json.Encoder().encode
_NO_PLACE: Final[Place] = (0, 0)


class Listener:
    """Only the event loop touches it. `now`: the platform's clock, told to screens for their ages."""

    def __init__(self, grant: Grant, *, at: Position, away: bool, now: Callable[[], datetime]) -> None:
        self.grant = grant
        self._now = now
        self._heard = at  # all up to here is sent or waits here
        self._sent = at
        self._skip = Position(at.epoch, _NO_PLACE, _NO_PLACE)
        self._away = self._away_told = away
        self._lists: list[bytes] = []
        self._tiles: dict[tuple[str, str], bytes] = {}
        self._resync: set[str] | None = set()  # None: all topics
        self._wake = asyncio.Event()
        self._why = ""
        self._tiles_every_s = SLOW_TILES_EVERY_S if grant.slow else TILES_EVERY_S
        self._tiles_at = self._frame_at = -TILES_EVERY_S

    def resume(self, since: Position | None, missed: Missed | None) -> None:
        """Go on where a screen stood; None = its place means nothing here."""
        if since is None or missed is None or missed.lists_lost:
            self._resync = None
            return
        if missed.tiles_lost and Topic.PLANT.value in self.grant.wishes.topics:
            self._resync = {Topic.PLANT.value}
        # Another web process may have told it more than this one knows yet.
        self._skip = since
        self._sent = since
        wanted = self.grant.wishes.include
        self._take([item_of(place, event) for place, event in missed.lists if wanted(event)])
        for place, event in missed.tiles:
            if wanted(event):
                self._tiles[event.key, event.part] = item_of(place, event)

    @property
    def why(self) -> str:
        """Why it was ended; "" = nobody ended it."""
        return self._why

    def heard(self, at: Position) -> None:
        """Everything up to there was offered."""
        self._heard = at

    def offer(self, event: Event, item: bytes, *, place: Place, is_tile: bool) -> None:
        """An event that is wished for, and its item in a frame."""
        if place <= (self._skip.tiles if is_tile else self._skip.lists):
            return
        if is_tile:
            self._tiles[event.key, event.part] = item
        else:
            self._take([item])
        self._wake.set()

    def start_afresh(self, at: Position) -> None:
        """Something was lost on the way here."""
        self._lists.clear()
        self._tiles.clear()
        self._resync = None
        self._skip = Position(at.epoch, _NO_PLACE, _NO_PLACE)
        self._heard = at
        self._wake.set()

    def set_away(self, away: bool) -> None:
        """News can't come at present, or can again."""
        self._away = away
        self._wake.set()

    def end(self, why: str) -> None:
        """Send what waits and a last frame."""
        self._why = self._why or why
        self._wake.set()

    async def run(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send frames until it is ended or cancelled."""
        await send(self._hello())
        while True:
            self._wake.clear()
            wait_s = self._wait_s()
            if wait_s > 0 and not self._why:
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:  # nothing happened until the next frame is due
                    pass
                continue
            for frame in self._frames():
                await send(frame)
            if self._why:
                await send(self._last())
                return

    def _take(self, items: Sequence[bytes]) -> None:
        if self._resync is None:
            return
        self._lists += items
        if len(self._lists) > LISTS_MAX:
            self._lists.clear()
            self._tiles.clear()
            self._resync = None

    def _wait_s(self) -> float:
        """Until the next frame is due."""
        if self._lists or self._resync is None or self._resync or self._away != self._away_told:
            return 0.0
        now = monotonic()
        beat_s = self._frame_at + BEAT_S - now
        if not self._tiles:
            return beat_s
        return min(beat_s, self._tiles_at + self._tiles_every_s - now)

    def _frames(self) -> list[bytes]:
        """What is due; nothing of it waits any more."""
        now = monotonic()
        frames: list[bytes] = []
        epoch, heard = self._heard.epoch, self._heard
        if self._away != self._away_told:
            self._away_told = self._away
            frames.append(self._frame("away" if self._away else "back", self._moment()))
        if self._resync is None or self._resync:
            topics = None if self._resync is None else sorted(self._resync)
            self._sent = Position(
                epoch, _most(heard.lists, self._skip.lists), _most(heard.tiles, self._skip.tiles)
            )
            self._resync = set()
            frames.append(self._frame("resync", _encode({"topics": topics})))
        if self._lists:
            self._sent = self._sent._replace(lists=_most(heard.lists, self._skip.lists))
            frames.append(self._live(self._lists))
            self._lists = []
        if not self._tiles:
            self._sent = Position(
                epoch, _most(heard.lists, self._skip.lists), _most(heard.tiles, self._skip.tiles)
            )
        elif self._why or now >= self._tiles_at + self._tiles_every_s:
            frames += self._tile_frames()
            self._tiles_at = now
        if not frames and now >= self._frame_at + BEAT_S:
            frames.append(self._frame("beat", self._moment()))
        if frames:
            self._frame_at = now
        return frames

    def _tile_frames(self) -> list[bytes]:
        """In portions; only the last one says that all were told."""
        waiting, self._tiles = list(self._tiles.values()), {}
        frames = [
            self._live(waiting[at : at + TILES_PER_FRAME])
            for at in range(0, len(waiting) - TILES_PER_FRAME, TILES_PER_FRAME)
        ]
        rest = waiting[len(frames) * TILES_PER_FRAME :]
        heard = self._heard
        self._sent = Position(
            heard.epoch, _most(heard.lists, self._skip.lists), _most(heard.tiles, self._skip.tiles)
        )
        return [*frames, self._live(rest)]

    def _hello(self) -> bytes:
        self._frame_at = monotonic()
        facts = _encode({"at": self._now(), "away": self._away, "beat_s": BEAT_S})
        return b"retry: %d\n" % _retry_ms() + self._frame("hello", facts)

    def _last(self) -> bytes:
        return b"retry: %d\n" % _retry_ms() + self._frame("end", _encode({"why": self._why}))

    def _moment(self) -> bytes:
        return _encode({"at": self._now()})

    def _live(self, items: Sequence[bytes]) -> bytes:
        return self._frame("live", b"[" + b",".join(items) + b"]")

    def _frame(self, name: str, data: bytes) -> bytes:
        OF_FRAME[name].inc()
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(self._sent).encode(), name.encode(), data)


def item_of(place: Place, event: Event) -> bytes:
    """An event in a frame, with its place: `["1700000000000-0", {"topic": …}]`."""
    return b'["%d-%d",%s]' % (*place, event.body)


def _most(one: Place, other: Place) -> Place:
    return max(one, other)


def _retry_ms() -> int:
    return int(_RETRY_MS * random.uniform(0.5, 2.0))  # noqa: S311 - so that not all come back at once
