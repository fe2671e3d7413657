"""The ASGI application: the shell around the synchronous Django. `manage.py web` serves it."""

import os
from collections.abc import Sequence

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esm.settings")
django.setup()

from console.live_rights import still_allowed  # noqa: E402 - what follows imports models, which need the apps
from esm import clock, error_pages  # noqa: E402
from esm.health import HEALTH_VIEWS  # noqa: E402
from esm.overload import TurnedAway  # noqa: E402
from esm.shell import Shell, ShellLimits  # noqa: E402
from esm.streams import StreamLimits, Streams  # noqa: E402
from esm.warm import load_pages  # noqa: E402
from live import feed  # noqa: E402
from live.grants import Grant  # noqa: E402
from schedules.csv_plans import MAX_BYTES  # noqa: E402
from trading_api.middleware import write_left  # noqa: E402

IMPORT_PATHS = ("/admin/schedules/dayplan/import/", "/console/plans/import/")
_FORM_BYTES = 64 * 1024
"""What stands around a file of plans in the request that brings it."""


def build_shell() -> Shell:
    """A shell with a pool of its own; it serves one server from its start to its end."""
    turned_away = TurnedAway()
    return Shell(
        get_wsgi_application(),
        ShellLimits(
            open_max=settings.WEB_CONNECTIONS_MAX,
            threads=settings.WEB_THREADS,
            queue_max=settings.WEB_QUEUE_MAX,
            body_max_bytes=settings.HTTP_MAX_BODY_BYTES,
            body_timeout_s=settings.HTTP_BODY_TIMEOUT_S,
            wide_paths=dict.fromkeys(
                IMPORT_PATHS, max(settings.HTTP_MAX_BODY_BYTES, MAX_BYTES + _FORM_BYTES)
            ),
        ),
        warm=_warm,
        overload=turned_away.overload,
        doorman=turned_away.doorman,
        line_of=turned_away.line_of,
        cut=turned_away.cut,
        after_turning_away=turned_away.write_down,
        write_left=write_left,
        always=frozenset(HEALTH_VIEWS),
        streams=Streams(
            feed.RING,
            StreamLimits(
                streams_max=settings.LIVE_STREAMS_MAX,
                per_person=settings.LIVE_STREAMS_PER_PERSON,
                max_age_s=settings.LIVE_STREAM_MAX_AGE_S,
            ),
            allowed=_allowed,
            following=feed.following,
            now=clock.now,
        ),
    )


def _allowed(grants: Sequence[Grant]) -> Sequence[Grant]:
    """In a thread that serves no requests: its connection is closed again."""
    try:
        return still_allowed(grants)
    finally:
        connection.close()


def _warm() -> None:
    """Read what the first request would wait for, in a thread that serves requests."""
    load_pages()
    error_pages.warm()
    connection.close()


application = build_shell()
