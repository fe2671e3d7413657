"""Counting per client address and minute, in the cache that all processes share.

Counters only change how a failure is answered and journaled, never whether a right secret is accepted. Where the cache
can't be reached the answer is None and the caller takes its safe side; it is not asked again for a few seconds, because
a Redis that swallows everything would hold the thread of every refused request for its whole timeout.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from time import monotonic
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
_WINDOW_S = 60
_AWAY_FOR_S = 5.0


class Away:
    """Until when the cache is left alone; one for the process, a race between threads costs one question more."""

    def __init__(self) -> None:
        self._until = 0.0

    def note(self) -> None:
        """It did not answer just now."""
        self._until = monotonic() + _AWAY_FOR_S

    def clear(self) -> None:
        """Ask it again."""
        self._until = 0.0

    def __bool__(self) -> bool:
        return monotonic() < self._until


CACHE_AWAY: Final = Away()


@dataclass(frozen=True, kw_only=True)
class Count:
    """How often it happened within the current minute, this time included, and when the next minute begins."""

    times: int
    seconds_left: int


def client_address(*, peer: str, forwarded_for: str, trusted_proxies: int) -> str | None:
    """The address of the client: the peer, or what the outermost trusted proxy saw (X-Forwarded-For).

    Each proxy appends the address it was called from, so with n proxies of ours the n-th entry from the right was
    written by our own; everything to its left is the client's claim. None = the peer has no address (unix socket).
    """
    if trusted_proxies:
        hops = [hop.strip() for hop in forwarded_for.split(",")]
        if len(hops) >= trusted_proxies and (address := _parse(hops[-trusted_proxies])) is not None:
            return address
    return _parse(peer)


def request_address(meta: Mapping[str, Any]) -> str | None:
    """The client's address of a Django request (`request.META`)."""
    return client_address(
        peer=meta.get("REMOTE_ADDR", ""),
        forwarded_for=meta.get("HTTP_X_FORWARDED_FOR", ""),
        trusted_proxies=settings.TRUSTED_PROXY_COUNT,
    )


@lru_cache(maxsize=4096)
def _parse(text: str) -> str | None:
    """An IP address without port, brackets and zone; None when it is none.

    A listener for both families, and a proxy with one, tells IPv4 clients as ::ffff:1.2.3.4: left so, the whole IPv4
    internet would be one IPv6 network that is counted as one.
    """
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def count_in_minute(kind: str, *, address: str | None, at: datetime) -> Count | None:
    """Count one more event of this kind and address; None when the cache does not answer."""
    if CACHE_AWAY:
        return None
    minute, second = divmod(int(at.timestamp()), _WINDOW_S)
    key = f"trading:{kind}:{counted_as(address)}:{minute}"
    try:
        # The key is made first and lives two windows, so it can't expire between the two calls.
        cache.add(key, 0, 2 * _WINDOW_S)
        times = cache.incr(key)
    except (RedisError, ValueError) as error:  # ValueError: evicted between the two calls
        if isinstance(error, RedisError):
            CACHE_AWAY.note()
        log.warning("counter unavailable", action="count_failed", kind=kind, error=type(error).__name__)
        return None
    return Count(times=times, seconds_left=_WINDOW_S - second)


@lru_cache(maxsize=4096)
def counted_as(address: str | None) -> str:
    """IPv6 clients own a /64: one of them must not have 2^64 separate counters."""
    if address is None:
        return "none"
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address).replace(":", "-")
    return address
