"""Connecting without waiting: runs end before the answer, unknown names are known to be so at once."""

import socket

import pytest
from django.core.cache import cache

from console.connect import runs


@pytest.fixture(autouse=True)
def _fresh_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end before the answer: the test's transaction is this thread's."""
    monkeypatch.setattr(runs, "spawn_thread", lambda body: body())


@pytest.fixture(autouse=True)
def _names_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody knows is told so at once, whatever the machine's name servers do."""
    asked = socket.getaddrinfo

    def told(host: str, *words: object, **options: object) -> object:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return asked(host, *words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", told)
