"""Requests that are answered without a thread: every one was taken, or they guess client secrets.

They are journaled as counted rows, so that a flood costs one statement a second and address.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic

import msgspec
import structlog
from django.conf import settings
from django.db import Error, connection

from esm import clock
from esm.error_pages import HTML, error_page, wants_page
from esm.errors import CODES, Problem, envelope, too_many_attempts, unavailable
from esm.middleware import choose_request_id
from esm.security_headers import FOR_PEOPLE, FOR_PROGRAMS, IN_THE_ADMIN
from esm.shell import Answer, Headers, Scope
from trading_api.gate import GATE
from trading_api.journal import count_refused
from trading_api.limits import client_address, counted_as
from trading_api.paths import Endpoint, endpoint_of, is_admin, is_reverse_channel
from trading_api.selectors import usable_secrets

log = structlog.get_logger(__name__)
_ADDRESSES_MAX = 256
_SECRETS_MAX = 5_000
_KNOWN_FOR_S = 10.0
_CUT_COUNTS_AS = 429
_TOKEN_BODY_MAX = 8192  # what names no client id is let in until its address has failed too often


class _Asked(msgspec.Struct):
    clientId: str
    clientSecret: str


class TurnedAway:
    """Answers and counts what is turned away, until `write_down` takes the counts to the pull journal.

    At most 256 addresses are told apart between two writes; the rest are counted without one.
    """

    def __init__(self, *, now: Callable[[], datetime] = clock.now) -> None:
        self._now = now
        self._guard = threading.Lock()
        self._counts: Counter[tuple[str | None, int]] = Counter()
        self._cut = 0
        self._told_gate_at: float | None = None

    def overload(self, scope: Scope) -> Answer:
        """503 with Retry-After.

        The error envelope on the reverse channel and for who asks for JSON, a page for browsers, a line for others.
        """
        problem = unavailable("Too many requests wait to be served.")
        if is_reverse_channel(scope["path"]):
            self._count(_address(scope), problem.status)
            return _answer(scope, problem)
        accept = _header(scope, b"accept")
        if wants_page(accept=accept, by_script=bool(_header(scope, b"hx-request"))):
            return _page(scope, problem)
        if "application/json" in accept:
            return _answer(scope, problem)
        return _answer(scope, problem, plain=b"Service Unavailable\n")

    def doorman(self, scope: Scope, body: bytes) -> Answer | None:
        """429 for a guess of a client secret that has to wait (see `trading_api.gate`); None for everything else."""
        if scope["method"] != "POST" or endpoint_of(scope["path"]) is not Endpoint.TOKEN:
            return None
        address, at = _address(scope), self._now()
        if not GATE.is_suspect(address, at=at):
            return None
        client_id, client_secret = _credentials(body)
        wait_s = GATE.wait_s(address=address, client_id=client_id, client_secret=client_secret, at=at)
        if wait_s is None:
            return None
        problem = too_many_attempts(wait_s)
        self._count(address, problem.status)
        return _answer(scope, problem)

    def line_of(self, peer: str) -> str | None:
        """The line for a new connection of this address (see `esm.door`): only that of an address that floods.

        Behind a proxy there is none: its connections are everybody's, and they stay.
        """
        if settings.TRUSTED_PROXY_COUNT:
            return None
        address = client_address(peer=peer, forwarded_for="", trusted_proxies=0)
        return counted_as(address) if GATE.is_flooding(address, at=self._now()) else None

    def cut(self, peer: str) -> None:
        """A connection was cut because its line was full: in the journal one more that came too often (429)."""
        self._count(client_address(peer=peer, forwarded_for="", trusted_proxies=0), _CUT_COUNTS_AS)
        with self._guard:
            self._cut += 1

    def _count(self, address: str | None, status: int) -> None:
        key = (address, status)
        with self._guard:
            known = key in self._counts or len(self._counts) < _ADDRESSES_MAX
            self._counts[key if known else (None, status)] += 1

    def write_down(self) -> None:
        """Move the counts into the journal, and tell the gate which secrets are right; called in a worker thread.

        It has its own database connection.
        """
        with self._guard:
            counts, self._counts = self._counts, Counter()
            cut, self._cut = self._cut, 0
        if cut:
            log.warning(
                "connections of addresses that guess secrets were cut", action="connections_cut", times=cut
            )
        at = self._now()
        try:
            for (address, status), times in counts.items():
                count_refused(address=address, at=at, times=times, status=status, result=CODES[status])
            self._tell_gate()
        except Error as error:
            log.error(
                "requests turned away not journaled",
                action="journal_failed",
                times=counts.total(),
                error=type(error).__name__,
            )
        finally:
            connection.close()

    def _tell_gate(self) -> None:
        """Who shares its address with a guesser, and was never seen by this process, gets in from now on."""
        now = monotonic()
        if self._told_gate_at is None or now - self._told_gate_at >= _KNOWN_FOR_S:
            GATE.know(usable_secrets(limit=_SECRETS_MAX))
            self._told_gate_at = now


def _answer(scope: Scope, problem: Problem, *, plain: bytes | None = None) -> Answer:
    request_id = choose_request_id(_header(scope, b"x-request-id"))
    kind = "application/json" if plain is None else "text/plain; charset=utf-8"
    body = msgspec.json.encode(envelope(problem, request_id=request_id)) if plain is None else plain
    return _complete(problem, body, {**FOR_PROGRAMS, "Content-Type": kind, "X-Request-Id": request_id})


def _page(scope: Scope, problem: Problem) -> Answer:
    request_id = choose_request_id(_header(scope, b"x-request-id"))
    is_read = scope["method"] in ("GET", "HEAD")
    text = error_page(problem.status, request_id=request_id, is_read=is_read, is_certain=True)
    allowed = IN_THE_ADMIN if is_admin(scope["path"]) else FOR_PEOPLE
    return _complete(problem, text.encode(), {**allowed, "Content-Type": HTML, "X-Request-Id": request_id})


def _complete(problem: Problem, body: bytes, given: Mapping[str, str]) -> Answer:
    every = {**given, **problem.headers, "Cache-Control": "no-store"}
    headers: Headers = [(name.lower().encode(), value.encode()) for name, value in every.items()]
    return Answer(status=problem.status, headers=headers, body=body)


def _credentials(body: bytes) -> tuple[str, str]:
    """Client id and secret as the token endpoint would read them; "" where it would not."""
    if len(body) > _TOKEN_BODY_MAX:
        return "", ""
    try:
        asked = msgspec.json.decode(body, type=_Asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    return asked.clientId, asked.clientSecret


def _address(scope: Scope) -> str | None:
    peer, _ = scope.get("client") or ("", 0)
    return client_address(
        peer=peer,
        forwarded_for=_header(scope, b"x-forwarded-for"),
        trusted_proxies=settings.TRUSTED_PROXY_COUNT,
    )


def _header(scope: Scope, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)
