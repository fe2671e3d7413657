"""Prometheus: what is shown, to whom, and what the web process counts of its requests.

Two ways in, and none without one of them: `/metrics` of the web server for who brings METRICS_TOKEN (without a token
set there is no such page), and a port of its own in web, relay and consume (METRICS_PORT), asked for a token as well
when one is set. Every process shows what it counts itself; web adds what the database tells (`watch.metrics`), worker
and beat need no page: their ticks are told by the database.

Each web process is one Python process with threads, so its registry is whole: no multiprocess mode.
"""

import hmac
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from threading import BoundedSemaphore
from time import monotonic
from typing import Any

import structlog
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest

from esm import (
    clock,
    stream_metrics,  # noqa: F401 - registers what it counts
)
from trading_api.journal import Pull
from trading_api.paths import Endpoint, endpoint_of, is_reverse_channel
from watch.metrics import DatabaseCollector

log = structlog.get_logger(__name__)
PATH = "/metrics"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNCOUNTED = frozenset({PATH, "/healthz", "/readyz"})
_TRY_AGAIN_S = 10.0
_SCRAPES_AT_ONCE = 4
_READ_WITHIN_S = 5
_PLACE_WITHIN_S = 6

REQUESTS = Counter(
    "esm_http_requests_total",
    "Answered HTTP requests: token, list, config and update are the reverse channel. What the shell turned away before"
    " a thread took it is in the pull journal only.",
    ("route", "method", "status"),
)
REQUEST_SECONDS = Histogram(
    "esm_http_request_seconds",
    "From the request's arrival (body included) until its answer was made.",
    ("route",),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
TOKEN_ATTEMPTS = Counter(
    "esm_token_attempts_total", "Requests for a token of the reverse channel, by result code.", ("result",)
)
DATABASE = DatabaseCollector(clock=clock.now)


def render(*, with_database: bool) -> bytes:
    """Everything that this process shows, in Prometheus' text format."""
    own: bytes = generate_latest(REGISTRY)
    return own + generate_latest(DATABASE) if with_database else own


def is_allowed(authorization: str | None, *, token: str) -> bool:
    """Whether a header `Authorization: Bearer TOKEN` brings the token; takes as long whatever it brings."""
    scheme, _, given = (authorization or "").partition(" ")
    # Bytes: the comparison refuses texts beyond ASCII.
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
    return same and scheme.lower() == "bearer"


class MetricsMiddleware:
    """Answers `/metrics` before the Host header is looked at, and counts every other request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token: str = settings.METRICS_TOKEN
        if request.path_info == PATH and token and request.method in {"GET", "HEAD"}:
            return _page(request, token)
        started: float = request.META.get("asgi.scope", {}).get("esm.arrived") or monotonic()
        response = self.get_response(request)
        if request.path_info not in _UNCOUNTED:
            _count(request, response, monotonic() - started)
        return response


def _page(request: HttpRequest, token: str) -> HttpResponse:
    if not is_allowed(request.headers.get("Authorization"), token=token):
        headers = {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}
        return HttpResponse("a token is needed\n", status=401, content_type="text/plain", headers=headers)
    return HttpResponse(
        render(with_database=True), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
    )


def _count(request: HttpRequest, response: HttpResponse, took_s: float) -> None:
    route = _route(request.path_info)
    method = request.method if request.method in _METHODS else "OTHER"
    REQUESTS.labels(route, method, str(response.status_code)).inc()
    REQUEST_SECONDS.labels(route).observe(took_s)
    pull: Pull | None = getattr(request, "pull", None)
    if route == Endpoint.TOKEN and pull is not None:
        TOKEN_ATTEMPTS.labels(pull.result).inc()


def _route(path: str) -> str:
    """One of a few words, whatever the path."""
    if is_reverse_channel(path):
        return endpoint_of(path).value
    first = path.strip("/").partition("/")[0]
    return first if first in {"admin", "static"} else "site"


# --- a port of its own ------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    """At most a few scrapes at once; one more waits for a place, and is closed unanswered when none becomes free.

    A scrape is answered before its place is free, so the next one may find all taken for a moment. Clients that say
    nothing lose theirs within the same time.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], *, token: str, with_database: bool) -> None:
        self.token = token
        self.with_database = with_database
        self._places = BoundedSemaphore(_SCRAPES_AT_ONCE)
        super().__init__(address, _Handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """A place first, then a thread."""
        if not self._places.acquire(timeout=_PLACE_WITHIN_S):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had
            self._places.release()
            raise

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """In the scrape's own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            connections.close_all()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away, most of the time."""
        log.warning("scrape failed", action="metrics.failed", error=str(sys.exc_info()[0]))


class _Handler(BaseHTTPRequestHandler):
    timeout = _READ_WITHIN_S
    server: _Server

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._answer(404, b"there is only /metrics\n", "text/plain")
        elif self.server.token and not is_allowed(self.headers["Authorization"], token=self.server.token):
            self._answer(401, b"a token is needed\n", "text/plain")
        else:
            self._answer(200, render(with_database=self.server.with_database), CONTENT_TYPE_LATEST)

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response_only(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not logged."""


def serve_metrics(stop: threading.Event, *, with_database: bool = False) -> threading.Thread | None:
    """Show this process's metrics on METRICS_PORT until `stop`, in a thread of its own; None when the port is 0.

    A port that is taken (the process before this one is still ending) is tried again every 10 s: metrics are no reason
    not to run.
    """
    if not settings.METRICS_PORT:
        return None
    thread = threading.Thread(target=_serve_until, args=(stop, with_database), name="metrics", daemon=True)
    thread.start()
    return thread


def _serve_until(stop: threading.Event, with_database: bool) -> None:
    address = (settings.METRICS_HOST, settings.METRICS_PORT)
    while not stop.is_set():
        try:
            server = _Server(address, token=settings.METRICS_TOKEN, with_database=with_database)
        except OSError as error:
            log.error("metrics not shown", action="metrics.port", port=address[1], error=error.strerror)
            stop.wait(_TRY_AGAIN_S)
            continue
        threading.Thread(target=_shutdown_on, args=(stop, server), name="metrics-stop", daemon=True).start()
        with server:
            server.serve_forever(poll_interval=0.2)


def _shutdown_on(stop: threading.Event, server: _Server) -> None:
    stop.wait()
    server.shutdown()
