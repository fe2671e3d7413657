"""The ASGI application: the shell around the synchronous Django. `manage.py web` serves it."""

from django.conf import settings
from django.db import connection
from django.urls import get_resolver

from esm.health import HEALTH_VIEWS
from esm.overload import Overload
from esm.shell import Shell, ShellLimits
from esm.wsgi import application as django_application


def _warm() -> None:
    """Import what the first request would wait for: the URL map with every view behind it."""
    get_resolver().url_patterns  # noqa: B018 - a lazy property
    connection.close()


_overload = Overload()
application = Shell(
    django_application,
    ShellLimits(
        threads=settings.WEB_THREADS,
        queue_max=settings.WEB_QUEUE_MAX,
        body_max_bytes=settings.HTTP_MAX_BODY_BYTES,
        body_timeout_s=settings.HTTP_BODY_TIMEOUT_S,
    ),
    warm=_warm,
    overload=_overload.answer,
    after_overload=_overload.write_down,
    always=frozenset(HEALTH_VIEWS),
)
