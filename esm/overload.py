"""Requests that found every thread taken and the queue full: answered without a thread, journaled as counted rows."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog
from django.conf import settings
from django.db import Error, connection

from esm import clock
from esm.errors import envelope, unavailable
from esm.middleware import choose_request_id
from esm.security_headers import FOR_PROGRAMS
from esm.shell import Answer, Headers, Scope
from trading_api.journal import count_refused
from trading_api.limits import client_address
from trading_api.paths import is_reverse_channel

log = structlog.get_logger(__name__)
_ADDRESSES_MAX = 256


class Overload:
    """Counts what was turned away per address until `write_down` takes the counts to the pull journal.

    At most 256 addresses are told apart between two writes; the rest are counted without one.
    """

    def __init__(self, *, now: Callable[[], datetime] = clock.now) -> None:
        self._now = now
        self._guard = threading.Lock()
        self._turned_away: Counter[str | None] = Counter()

    def answer(self, scope: Scope) -> Answer:
        """503 with Retry-After: the error envelope on the reverse channel, a plain line elsewhere."""
        request_id = choose_request_id(_header(scope, b"x-request-id"))
        problem = unavailable("Too many requests wait to be served.")
        if is_reverse_channel(scope["path"]):
            self._count(scope)
            kind, body = "application/json", msgspec.json.encode(envelope(problem, request_id=request_id))
        else:
            kind, body = "text/plain; charset=utf-8", b"Service Unavailable\n"
        given = {
            **FOR_PROGRAMS,
            **problem.headers,
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "X-Request-Id": request_id,
        }
        headers: Headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
        return Answer(status=problem.status, headers=headers, body=body)

    def _count(self, scope: Scope) -> None:
        peer, _ = scope.get("client") or ("", 0)
        address = client_address(
            peer=peer,
            forwarded_for=_header(scope, b"x-forwarded-for"),
            trusted_proxies=settings.TRUSTED_PROXY_COUNT,
        )
        with self._guard:
            known = address in self._turned_away or len(self._turned_away) < _ADDRESSES_MAX
            self._turned_away[address if known else None] += 1

    def write_down(self) -> None:
        """Move the counts into the journal; called in a worker thread, which has its own database connection."""
        with self._guard:
            counts, self._turned_away = self._turned_away, Counter()
        at = self._now()
        try:
            for address, times in counts.items():
                count_refused(address=address, at=at, times=times, status=503, result="SERVICE_UNAVAILABLE")
        except Error as error:
            log.error(
                "overload not journaled",
                action="journal_failed",
                times=counts.total(),
                error=type(error).__name__,
            )
        finally:
            connection.close()


def _header(scope: Scope, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)
