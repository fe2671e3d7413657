"""Refuses guesses of client secrets before they cost a thread, a hash or a query; in memory, within one process.

It learns from attempts that were checked and failed, per clock minute; `limit` is TRADING_FAILED_ATTEMPTS_PER_MINUTE:

- `limit` failures of a client id from one address: this client id waits at this address;
- ten times as many from one address, whatever the client ids: the address waits;
- ten times as many of one client id, wherever from: each address has one failure with it, then waits.

A wait ends with the minute. Nobody can be locked out by others, however many fail beside it (Voke calls for all
organisations from few addresses, so the guesser and the honest client may share one): a secret that was right before
passes always, and so does any right secret once the gate was told the stored hashes (`know`), which happens about a
second after it first made somebody wait.

It also tells whose new connections should come one after the other (`is_flooding`): an address that failed or was made
to wait more than 25 times within a clock second, until a minute has passed without such a second. That is far above
what a forgotten client with an old secret does, so its neighbours never notice it.

Bounds: 10,000 addresses, client ids and pairs a minute (beyond these nothing new is learnt), 1,000 flooding addresses,
1,000 right secrets as keyed digests, the hashes that `know` is given. IPv6 addresses of one /64 are one. Safe between
threads.
"""

import hashlib
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from django.conf import settings

from trading_api.auth import secret_matches
from trading_api.limits import counted_as

WIDER: Final = 10
_KEYS_MAX: Final = 10_000
_RIGHT_MAX: Final = 1_000
_WINDOW_S: Final = 60
FLOOD_PER_S: Final = 25
FLOOD_KEPT_S: Final = 60
_FLOODING_MAX: Final = 1_000
KeyT = TypeVar("KeyT")


@dataclass(kw_only=True)
class _Minute:
    number: int = 0
    by_address: Counter[str] = field(default_factory=Counter)
    by_client: Counter[bytes] = field(default_factory=Counter)
    by_pair: Counter[tuple[str, bytes]] = field(default_factory=Counter)


@dataclass(kw_only=True)
class _Second:
    number: int = 0
    by_address: Counter[str] = field(default_factory=Counter)


class SecretGate:
    """What one process knows of the failures of this minute."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._minute = _Minute()
        self._second = _Second()
        self._flooding: dict[str, float] = {}  # until when, in seconds of the epoch
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._stored: Mapping[str, tuple[str, str]] = {}

    def is_suspect(self, address: str | None, *, at: datetime) -> bool:
        """Whether anything failed from this address this minute: only then a wait has to be looked up."""
        with self._guard:
            return self._now(at).by_address[counted_as(address)] > 0

    def wait_s(self, *, address: str | None, client_id: str, client_secret: str, at: datetime) -> int | None:
        """The seconds that this attempt has to wait; None = check it. Unknown parts are given as ""."""
        place, client = counted_as(address), self._digest(client_id)
        limit: int = settings.TRADING_FAILED_ATTEMPTS_PER_MINUTE
        with self._guard:
            minute = self._now(at)
            pair = minute.by_pair[place, client]
            waits = (
                pair >= limit
                or minute.by_address[place] >= WIDER * limit
                or (pair > 0 and minute.by_client[client] >= WIDER * limit)
            )
            if not waits or self._digest(client_id, client_secret) in self._right:
                return None
            stored_hash, pepper_version = self._stored.get(client_id, (None, None))
        # Ours are ASCII; a text that can't be encoded must not raise here.
        if client_secret.isascii() and secret_matches(
            client_secret, stored_hash=stored_hash, pepper_version=pepper_version
        ):
            return None
        with self._guard:
            self._count_try(place, at)
        return _WINDOW_S - int(at.timestamp()) % _WINDOW_S

    def note_failure(self, *, address: str | None, client_id: str, client_secret: str, at: datetime) -> None:
        """An attempt was checked and was wrong, or its body was not understood (client id "")."""
        place, client = counted_as(address), self._digest(client_id)
        with self._guard:
            minute = self._now(at)
            _count(minute.by_address, place)
            self._count_try(place, at)
            if client_id:
                _count(minute.by_client, client)
                _count(minute.by_pair, (place, client))
                self._right.pop(self._digest(client_id, client_secret), None)

    def is_flooding(self, address: str | None, *, at: datetime) -> bool:
        """Whether new connections of this address should wait for their turn; cheap while nobody floods."""
        if not self._flooding:
            return False
        now, place = at.timestamp(), counted_as(address)
        with self._guard:
            until = self._flooding.get(place, 0.0)
            if now < until <= now + FLOOD_KEPT_S:  # a clock that was set back must not keep anybody longer
                return True
            self._flooding.pop(place, None)
            return False

    def note_right(self, *, client_id: str, client_secret: str) -> None:
        """This secret opened its client id."""
        known = self._digest(client_id, client_secret)
        with self._guard:
            self._right[known] = None
            self._right.move_to_end(known)
            if len(self._right) > _RIGHT_MAX:
                self._right.popitem(last=False)

    def know(self, stored: Mapping[str, tuple[str, str]]) -> None:
        """{client id: (secret's hash, pepper version)} of credentials that may be used: what is right need not wait."""
        with self._guard:
            self._stored = dict(stored)

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._minute, self._right, self._stored = _Minute(), OrderedDict(), {}
            self._second, self._flooding = _Second(), {}

    def _now(self, at: datetime) -> _Minute:
        number = int(at.timestamp()) // _WINDOW_S
        if self._minute.number != number:
            self._minute = _Minute(number=number)
        return self._minute

    def _count_try(self, place: str, at: datetime) -> None:
        now = at.timestamp()
        if self._second.number != int(now):
            self._second = _Second(number=int(now))
        _count(self._second.by_address, place)
        if self._second.by_address[place] > FLOOD_PER_S:
            if place not in self._flooding and len(self._flooding) >= _FLOODING_MAX:
                self._flooding = {other: until for other, until in self._flooding.items() if until > now}
            if place in self._flooding or len(self._flooding) < _FLOODING_MAX:
                self._flooding[place] = now + FLOOD_KEPT_S

    def _digest(self, *parts: str) -> bytes:
        # Surrogates can't come from JSON that we accept; here nothing may raise.
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._key, digest_size=16).digest()


def _count(counter: Counter[KeyT], key: KeyT) -> None:
    if key in counter or len(counter) < _KEYS_MAX:
        counter[key] += 1


GATE: Final = SecretGate()
