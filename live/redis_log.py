"""The log of a full installation: two streams in Redis that every process writes and every web process follows.

`<prefix>:lists` keeps items for a screen that was away for some minutes, `<prefix>:tiles` values of the last seconds
only. Each entry holds events that came together. `<prefix>:epoch` names the history: gone with the rest when Redis lost
its memory, so that nobody goes on at a place that means nothing any more.

Edge cases: no call waits longer than a second; whoever follows says `away` to its screens until Redis is back and goes
on at its place, or begins anew when what came meanwhile is no longer there.
"""

import random
import secrets
import threading
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import msgspec
import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from live.events import START, Event, Place
from live.publisher import SinkAway
from live.ring import Ring

log = structlog.get_logger(__name__)
PREFIX: Final = "esm:live"
_ENTRIES_MAX: Final = 2_000
_EVENTS_PER_ENTRY: Final = 50
_TILES_KEPT_MS: Final = 20_000
_TILES_PER_ENTRY: Final = 500
_READ_AT_ONCE: Final = 100
_BLOCK_MS: Final = 500
_AWAY_S: Final = 1.0
_LOST: Final = b"lost"
_EVENTS: Final = b"e"
_Raw: TypeAlias = tuple[bytes, Mapping[bytes, bytes]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Event]).decode


def connect(url: str, *, reads: bool = False) -> "redis.Redis":
    """A client whose calls end within a second (those that wait for news: within 1.5) and are not repeated."""
    return redis.Redis.from_url(
        url,
        socket_timeout=_BLOCK_MS / 1000 + 1.0 if reads else 1.0,
        socket_connect_timeout=1.0,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


class RedisSink:
    """Writes with one round trip for all that came together."""

    def __init__(self, url: str, *, prefix: str = PREFIX) -> None:
        self._redis = connect(url)
        self._lists, self._tiles = f"{prefix}:lists", f"{prefix}:tiles"
        self._newest_ms = 0

    def write(self, *, lists: Sequence[Event], tiles: Sequence[Event]) -> None:
        """Append events; raises `SinkAway`, and then they may be there or not."""
        pipe = self._redis.pipeline(transaction=False)
        for portion in _portions(lists, _EVENTS_PER_ENTRY):
            pipe.xadd(self._lists, {_EVENTS: _encode(portion)}, maxlen=_ENTRIES_MAX, approximate=True)
        for portion in _portions(tiles, _TILES_PER_ENTRY):
            oldest = f"{max(0, self._newest_ms - _TILES_KEPT_MS)}-0"
            pipe.xadd(self._tiles, {_EVENTS: _encode(portion)}, minid=oldest, approximate=True)
        try:
            answers = pipe.execute()
        except RedisError as error:
            raise SinkAway from error
        self._newest_ms = place_of(answers[-1])[0]

    def say_lost(self) -> None:
        """An entry without events: something is missing before it."""
        try:
            self._redis.xadd(self._lists, {_LOST: b"1"}, maxlen=_ENTRIES_MAX, approximate=True)
        except RedisError as error:
            raise SinkAway from error


def _portions(events: Sequence[Event], size: int) -> list[list[Event]]:
    rest = iter(events)
    return [portion for _ in range(0, len(events), size) if (portion := list(islice(rest, size)))]


def place_of(entry_id: bytes) -> Place:
    """The place that an id of Redis says: b"1700000000000-3"."""
    ms, _, number = entry_id.partition(b"-")
    return int(ms), int(number)


def _id_of(place: Place) -> str:
    return f"{place[0]}-{place[1]}"


class RedisReader:
    """Keeps a ring up to date with the log until it is stopped; `run` is a thread's body."""

    def __init__(self, url: str, ring: Ring, *, prefix: str = PREFIX) -> None:
        self._redis = connect(url, reads=True)
        self._ring = ring
        self._epoch_key = f"{prefix}:epoch"
        self._lists, self._tiles = f"{prefix}:lists", f"{prefix}:tiles"
        self.attached = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Follow the log."""
        while not stop.is_set():
            try:
                self._attach()
                self._ring.set_away(False)
                self.attached.set()
                while not stop.is_set():
                    self._follow()
            except Exception as error:  # whatever it is, it comes round again
                if not isinstance(error, RedisError):
                    log.exception("log unreadable", action="live.unreadable")
                elif not self._ring.away:
                    log.warning("log away", action="live.away", error=type(error).__name__)
                self.attached.clear()
                self._ring.set_away(True)
                stop.wait(_AWAY_S * random.uniform(0.5, 1.5))  # noqa: S311 - to spread retries
        self._redis.close()

    def _attach(self) -> None:
        """Find out whether what this process knows is the beginning of what Redis has; else begin anew."""
        mine = secrets.token_hex(6)
        found: bytes | None = self._call("set", self._epoch_key, mine, nx=True, get=True)
        epoch = mine if found is None else found.decode()
        if epoch == self._ring.epoch and not self._was_trimmed():
            return
        lists = self._load(self._lists, 1_000)
        tiles = self._load(self._tiles, 200)
        self._ring.begin(epoch, lists=_before(lists), tiles=_before(tiles))
        self._take(False, lists)
        self._take(True, tiles)

    def _was_trimmed(self) -> bool:
        position = self._ring.position()
        return self._first(self._lists) > position.lists or self._first(self._tiles) > position.tiles

    def _first(self, stream: str) -> Place:
        found: Sequence[_Raw] = self._call("xrange", stream, count=1)
        return place_of(found[0][0]) if found else START

    def _load(self, stream: str, count: int) -> Sequence[_Raw]:
        found: Sequence[_Raw] = self._call("xrevrange", stream, count=count)
        return found[::-1]

    def _follow(self) -> None:
        position = self._ring.position()
        streams = {self._lists: _id_of(position.lists), self._tiles: _id_of(position.tiles)}
        answer = self._call("xread", streams, count=_READ_AT_ONCE, block=_BLOCK_MS)
        for name, entries in _by_stream(answer):
            self._take(name == self._tiles.encode(), entries)

    def _take(self, is_tiles: bool, entries: Sequence[_Raw]) -> None:
        waiting: list[tuple[bool, Place, Sequence[Event]]] = []
        for entry_id, fields in entries:
            waiting.append((is_tiles, place_of(entry_id), _events(fields)))
            if _LOST in fields:
                self._ring.take_over(waiting)
                waiting = []
                self._ring.forget()
        if waiting:
            self._ring.take_over(waiting)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        return getattr(self._redis, name)(*arguments, **options)


def _before(entries: Sequence[_Raw]) -> Place:
    """From where on everything is known: just before the oldest entry at hand."""
    if not entries:
        return START
    ms, number = place_of(entries[0][0])
    return (ms, number - 1) if number else (ms - 1, 2**63)


def _events(fields: Mapping[bytes, bytes]) -> Sequence[Event]:
    """What an entry holds; one that was written by another version of ours holds nothing that can be shown."""
    body = fields.get(_EVENTS)
    if body is None:
        return ()
    try:
        return _decode(body)
    except msgspec.DecodeError:
        log.exception("entry unreadable", action="live.unreadable")
        return ()


def _by_stream(answer: Any) -> Sequence[tuple[bytes, Sequence[_Raw]]]:
    """redis-py answers a list of pairs, or a dict of lists of lists with the newer protocol."""
    if isinstance(answer, dict):
        return [(name, [entry for part in parts for entry in part]) for name, parts in answer.items()]
    return answer or ()
