"""Headless Chromium over a live server: pages that log an error to the console fail their test."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from esm import clock
from plants.models import User
from tests.browser.chromium import ARGUMENTS, chromium
from tests.factories import AT

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module: its event loop must be gone before other tests run loops of their own."""
    found = chromium()
    if found is None:
        pytest.fail("these tests need Chromium: apt-get install chromium, or name it in CHROMIUM")
    # Playwright's event loop lives in this thread, and Django would refuse the test's own queries beside it.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        launched = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield launched
        launched.close()


def is_error(message: ConsoleMessage) -> bool:
    """Whether a line of the browser's console is an error.

    It also tells there of forms that were refused in words; and htmx of what a newer request or another page ended.
    """
    ended = message.text.startswith(("htmx:sendAbort,", "htmx:afterRequest,"))
    return message.type == "error" and "status of 422" not in message.text and not ended


@pytest.fixture
def open_page(browser: Browser, live_server) -> Iterator[Callable[..., Page]]:
    """`open_page(width=390, theme="dark")`: a fresh profile; at the end no page may have logged an error.

    `provokes`: what stands in the errors that the test itself brings about.
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def make(*, width: int = 1440, theme: str = "light", provokes: str | None = None) -> Page:
        def note(text: str) -> None:
            if provokes is None or provokes not in text:
                errors.append(text)

        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: note(message.text) if is_error(message) else None)
        page.on("pageerror", lambda error: note(str(error)))
        return page

    with clock.frozen(AT):
        yield make
        for context in contexts:
            context.close()
    assert errors == []


@pytest.fixture
def admin_user(transactional_db: None) -> User:
    return User.objects.create_superuser("jana", "jana@example.com", PASSWORD)


@pytest.fixture
def enter(open_page: Callable[..., Page], admin_user: User) -> Callable[..., Page]:
    """`enter(width=..., theme=...)`: a page of the signed-in administrator."""

    def make(**how: object) -> Page:
        page = open_page(**how)
        page.goto("/admin/")
        page.get_by_label("User name").fill("jana")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/admin/")
        return page

    return make
