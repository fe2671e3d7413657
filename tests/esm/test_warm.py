"""Before a web process takes its first request: pages are read, and the collector looks briefly."""

import gc
import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.template import engines

from esm import embedded
from esm.clock import now
from esm.management.commands import web
from esm.warm import load_pages
from link.garbage import PAGES_OLDER, PAGES_YOUNG
from link.memory import MemoryTransport
from membroker import MemBroker

BRIEFLY = (PAGES_YOUNG, *PAGES_OLDER)


def test_every_template_of_ours_is_read_before_the_first_request() -> None:
    loader = engines["django"].engine.template_loaders[0]
    loader.reset()

    load_pages()

    read = {key.partition("-")[0] for key in loader.get_template_cache}
    assert {"console/base.html", "console/fleet/_list.html", "console/plant/_page.html", "500.html"} <= read


def test_the_web_process_serves_with_a_collector_that_looks_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        web, "serve", lambda **_: seen.append((gc.get_threshold(), gc.get_freeze_count() > 0))
    )
    monkeypatch.setattr(web, "serve_metrics", lambda *_, **__: None)
    monkeypatch.setattr(web, "stop_on_signals", lambda: None)

    call_command("web")

    assert seen == [(BRIEFLY, True)]


def test_so_does_the_one_process_of_an_embedded_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = gc.get_threshold(), []

    def serve(*, ready: threading.Event, **_: Any) -> None:
        seen.append((gc.get_threshold(), gc.get_freeze_count() > 0))
        ready.set()

    monkeypatch.setattr(embedded, "serve", serve)
    one = embedded.Embedded(host="127.0.0.1", port=0, transport=MemoryTransport(MemBroker()), clock=now)
    monkeypatch.setattr(one, "_run", lambda name, target: target() if name == "web" else None)
    monkeypatch.setattr(one, "_join", lambda *_: None)

    one.start()
    one.stop_consuming()

    assert seen == [(BRIEFLY, True)]
    assert gc.get_threshold() == before
