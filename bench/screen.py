"""A Chromium that looks at the fleet and the alarm inbox, and notes when each value came onto the page."""

import os
import sys
from contextlib import ExitStack
from datetime import datetime
from time import perf_counter
from typing import Self

from playwright.sync_api import BrowserContext, Page, ViewportSize, sync_playwright

from esm import clock
from tests.browser.chromium import ARGUMENTS, chromium

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
_SIZE = ViewportSize(width=1440, height=900)
_READ = {
    "plant": """[...document.querySelectorAll("tr.pr .c-fr time")].map((time) => Date.parse(time.dateTime))""",
    "alarm": """[parseInt(document.getElementById("alarm-news").textContent)]""",
}
# A promise rather than a question again and again: what is asked must not wait for the one who asks.
_WATCH = """() => {
  const seen = new Map(), waiting = new Map();
  window.heardAt = (name) => seen.get(name) ?? new Promise((tell, fail) => {
    waiting.set(name, tell);
    setTimeout(() => fail(`${name} was not seen, but ${[...seen.keys()].slice(-5)}`), 60000);
  });
  new MutationObserver(() => {
    for (const name of READ) {
      if (seen.has(name)) continue;
      seen.set(name, Date.now());
      waiting.get(name)?.(seen.get(name));
    }
  }).observe(document.body, {childList: true, subtree: true, attributeFilter: ["datetime", "hidden"]});
}"""


class Screen:
    """Two windows of one signed-in person; `at` tells on the clock of `perf_counter` when something was there."""

    def __init__(self, *, port: int, cookies: str) -> None:
        self._home = f"http://localhost:{port}"
        self._cookies = cookies
        self._alarms = 0
        self._held = ExitStack()
        self._ahead_s = clock.now().timestamp() - perf_counter()

    def __enter__(self) -> Self:
        path = chromium()
        if path is None:
            sys.exit("no Chromium: apt-get install chromium, or name it in CHROMIUM")
        playwright = self._held.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        # Windows of their own: a tab behind another one is in no hurry.
        self._fleet, self._inbox = (
            self._open(browser.new_context(base_url=self._home, viewport=_SIZE), address, topic)
            for address, topic in (("/console/fleet/?view=all", "plant"), ("/console/alarms/", "alarm"))
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def at(self, topic: str, key: str) -> float:
        """When the value of that time, or one alarm more, was on the page; waits for it."""
        if topic == "plant":
            # The platform raises alarms of its own, too.
            self._alarms = self._inbox.evaluate(f"{_READ['alarm']}[0] || 0")
            page, name = self._fleet, round(datetime.fromisoformat(key).timestamp() * 1000)
        else:
            page, name = self._inbox, self._alarms + 1
        return float(page.evaluate("(name) => window.heardAt(name)", name)) / 1000 - self._ahead_s

    def _open(self, context: BrowserContext, address: str, topic: str) -> Page:
        pairs = (one.split("=", 1) for one in self._cookies.split("; "))
        context.add_cookies([{"name": name, "value": value, "url": self._home} for name, value in pairs])
        page = context.new_page()
        answer = page.goto(address)
        if answer is None or not answer.ok:
            sys.exit(f"{address} does not open")
        page.evaluate(_WATCH.replace("READ", _READ[topic]))
        return page
