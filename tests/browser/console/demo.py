"""The embedded demo as a newcomer runs it, and browser pages of somebody who signs in at its door."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from tests.browser.conftest import is_error
from tests.process.processes import ROOT
from tests.services.migrated import copy_migrated_sqlite
from tests.services.proc import ManagedProcess

PASSWORD = "correct horse battery"
START_S = 240.0
PATIENCE_MS = 90_000.0


@dataclass(kw_only=True)
class Journeys:
    """The running demo and who walks through it.

    `errors`: what any page told its browser's console, and every request that left the demo. `session`: the cookies of
    who signed in at the door, for the pages that are opened later.
    """

    url: str
    browser: Browser
    errors: list[str] = field(default_factory=list)
    session: Mapping[str, Any] | None = None
    _contexts: list[BrowserContext] = field(default_factory=list)

    def visitor(self, *, width: int = 1440, theme: str = "light", is_known: bool = False) -> Page:
        """A page of a fresh profile: of nobody, or of who signed in before."""
        context = self.browser.new_context(
            base_url=self.url,
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            storage_state=self.session if is_known else None,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        context.on("console", self._heard)
        context.on("weberror", lambda found: self.errors.append(str(found.error)))
        context.on("request", self._asked)
        return context.new_page()

    def sign_in(self, page: Page, path: str, *, name: str = "admin") -> None:
        """At the door, on the way to `path`."""
        page.goto(path)
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()

    def _heard(self, message: ConsoleMessage) -> None:
        if is_error(message):
            self.errors.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.errors.append(f"asked elsewhere: {request.url}")

    def close_pages(self) -> None:
        """At the end of a journey."""
        while self._contexts:
            self._contexts.pop().close()


@contextmanager
def running_demo(folder: Path) -> Iterator[ManagedProcess]:
    """`manage.py demo` with settings, database and keys of its own, once its operator's first round is over."""
    database = folder / "var" / "esm.sqlite3"
    database.parent.mkdir(mode=0o700)
    copy_migrated_sqlite(database)
    demo = ManagedProcess(
        "demo",
        [sys.executable, "manage.py", "demo", "--port", "0"],
        log_file=folder / "demo.log",
        env={
            "PATH": os.environ["PATH"],
            "ESM_VAR_DIR": str(folder / "var"),
            "DEMO_PASSWORD": PASSWORD,
            "PYTHONUNBUFFERED": "1",
            "LANG": "C.UTF-8",
        },
        cwd=ROOT,
    )
    try:
        demo.wait_for_line("planner   BUS-DEPOT", START_S)
        demo.wait_for_line("REJECTED", START_S)
        yield demo
    finally:
        code = demo.terminate(120)
    assert code == 0, demo.output()


def address_of(demo: ManagedProcess) -> str:
    """Where it serves, as it tells people."""
    return demo.wait_for_line(r"Console\s+(http://\S+)/console/", START_S).group(1)
