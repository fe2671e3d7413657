"""A server process of the web rows that is not `manage.py web`: the naive view, the empty view, FastAPI.

    python -m bench.web_server naive | empty | fastapi

The first two run on the platform's own server (`esm.web`) with settings of their own for middleware and URLs; FastAPI
runs on uvicorn as it comes. Listens on a free port of 127.0.0.1, says so in one line, and serves until SIGTERM.
"""

import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import django
import uvicorn

from esm.signals import stop_on_signals

HOST = "127.0.0.1"


STARTPROJECT = (
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)


def main() -> None:
    """Command line."""
    match sys.argv[1:]:
        case ["naive"]:
            _serve("bench.naive_web", middleware=STARTPROJECT)
        case ["empty"]:
            _serve("bench.floor_web", middleware=())
        case ["fastapi"]:
            _serve_fastapi()
        case other:
            sys.exit(f"no such server: {other}")


def _serve(urls: str, *, middleware: Sequence[str]) -> None:
    settings: Any = import_module("esm.settings")  # before django.conf copies it
    settings.ROOT_URLCONF, settings.MIDDLEWARE = urls, list(middleware)
    django.setup()
    from esm.web import serve  # noqa: PLC0415 - after the settings

    serve(host=HOST, port=0, stop=stop_on_signals(), ready=_announce)


def _serve_fastapi() -> None:
    django.setup()
    from django.conf import settings  # noqa: PLC0415

    from bench.reference_fastapi import build  # noqa: PLC0415

    facts = settings.DATABASES["default"]
    url = f"postgres://{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(128)  # whoever comes before uvicorn is ready waits
        _announce(listener.getsockname()[1])
        config = uvicorn.Config(build(url), log_config=None, access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


def _announce(port: int) -> None:
    print(f"listening on http://{HOST}:{port}", flush=True)


if __name__ == "__main__":
    main()
