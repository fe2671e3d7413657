"""`/healthz`: the process lives. `/readyz`: it can do its work: database and shared cache answer, and ticks run.

Asked from inside by address, so these two are answered before the Host header is looked at and before any redirect.
"""

import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.exceptions import RedisError

from esm import clock
from watch.bounded import ask_database
from watch.deadman import TICKS_SILENT_AFTER
from watch.selectors import newest_tick_at

log = structlog.get_logger(__name__)
STARTED = time.monotonic()
# A whole installation that starts has time to run its first tick.
TICKS_MAY_START_S = 60.0
DATABASE_WAIT_S = 2.0


def healthz(_: HttpRequest) -> JsonResponse:
    """200 as long as a worker thread can answer."""
    return JsonResponse({"status": "ok"})


def readyz(_: HttpRequest) -> JsonResponse:
    """200 when every service answers, else 503 with which one does not."""
    checks = {"database": _database_answers()}
    if not settings.EMBEDDED:
        checks["cache"] = _cache_answers()
        checks["ticks"] = checks["database"] and _ticks_run()
    ready = all(checks.values())
    words = {name: "ok" if answers else _NOT[name] for name, answers in checks.items()}
    return JsonResponse(
        {"status": "ok" if ready else "unavailable", "checks": words}, status=200 if ready else 503
    )


def _database_answers() -> bool:
    try:
        ask_database(wait_s=DATABASE_WAIT_S)
    except Error as error:
        log.error("database unavailable", action="not_ready", error=type(error).__name__)
        return False
    return True


def _cache_answers() -> bool:
    try:
        cache.get("readyz")
    except RedisError as error:
        log.error("cache unavailable", action="not_ready", error=type(error).__name__)
        return False
    return True


def _ticks_run() -> bool:
    """Whether anything by the clock did its work of late; a single tick that fails is an alarm, not this."""
    if time.monotonic() - STARTED < TICKS_MAY_START_S:
        return True
    try:
        newest = newest_tick_at()
    except Error as error:
        log.error("database unavailable", action="not_ready", error=type(error).__name__)
        return False
    if newest is not None and clock.now() - newest <= TICKS_SILENT_AFTER:
        return True
    log.error("ticks stale", action="not_ready", newest=newest.isoformat() if newest else "never")
    return False


_NOT = {"database": "unavailable", "cache": "unavailable", "ticks": "stale"}
HEALTH_VIEWS = {"/healthz": healthz, "/readyz": readyz}


class HealthMiddleware:
    """Serves the two health views to GET and HEAD."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        view = HEALTH_VIEWS.get(request.path_info)
        if view is None or request.method not in {"GET", "HEAD"}:
            return self.get_response(request)
        response = view(request)
        response["Cache-Control"] = "no-store"
        return response
