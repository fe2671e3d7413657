"""Live data in Chromium over the real server: one stream for all tabs, take-over, breaks, and who is signed out."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page
from pytest_django import Settings

from esm import clock
from people.rights import Role
from people.sessions import SEEN_AT, SessionStore
from plants.models import Organisation, User
from tests import factories
from tests.live.conftest import publish, tile, told, until
from tests.web_server import Running, running

pytestmark = pytest.mark.django_db(transaction=True)
_LISTEN = """
async (topics) => {
  const live = await import("/static/console/live.js");
  window.got = []; window.resyncs = 0; window.live = live;
  for (const [topic, keys] of topics) live.onTopic(topic, keys, (event) => window.got.push(event));
  live.onResync(() => window.resyncs++);
}
"""


@pytest.fixture
def organisation(transactional_db: None) -> Organisation:
    return factories.organisation(name="Acme Energy", slug="acme")


@pytest.fixture
def person(organisation: Organisation) -> User:
    return User.objects.create_user("jana", password="x" * 20, organisation=organisation, role=Role.VIEWER)


@pytest.fixture
def server(transactional_db: None) -> Iterator[Running]:
    with running() as one:
        yield one


def sign_in(context: BrowserContext, person: User, server: Running) -> None:
    client = Client()
    client.force_login(person)
    context.add_cookies(
        [{"name": name, "value": one.value, "url": server.url} for name, one in client.cookies.items()]
    )


@pytest.fixture
def person_s_browser(browser: Browser, server: Running, person: User) -> Iterator[BrowserContext]:
    """A browser in which the person is signed in."""
    context = browser.new_context(base_url=server.url)
    sign_in(context, person, server)
    yield context
    context.close()


@pytest.fixture
def open_tab(person_s_browser: BrowserContext) -> Callable[..., Page]:
    """A tab that listens to topics."""

    def make(*topics: list[Any]) -> Page:
        page = person_s_browser.new_page()
        page.set_default_timeout(60_000)
        page.goto("/console/account/")
        page.evaluate(_LISTEN, list(topics))
        until(lambda: page.evaluate("window.live.state().live"))
        return page

    return make


def numbers(page: Page) -> list[int]:
    found: list[int] = page.evaluate("window.got.map((event) => event.data.number)")
    return found


def heard(page: Page, count: int) -> list[int]:
    until(lambda: page.evaluate("window.got.length") >= count)
    return numbers(page)


def test_tabs_share_one_stream_and_the_next_takes_over_without_loss_or_repeat(
    open_tab: Callable[..., Page], organisation: Organisation
) -> None:
    first = open_tab(["command", None])
    second = open_tab(["command", None], ["alarm", None])
    publish(told(organisation, 1))
    assert (heard(first, 1), heard(second, 1)) == ([1], [1])
    first.close()
    publish(told(organisation, 2), told(organisation, 3))
    assert heard(second, 3) == [1, 2, 3]
    publish(told(organisation, 4))
    assert heard(second, 4) == [1, 2, 3, 4]


def test_a_tab_opened_later_makes_no_other_hear_anything_twice(
    open_tab: Callable[..., Page], organisation: Organisation
) -> None:
    first = open_tab(["command", None])
    publish(*(told(organisation, number) for number in range(20)))
    heard(first, 20)
    second = open_tab(["command", None], ["plant", ["1"]])
    publish(told(organisation, 20))
    assert heard(first, 21) == list(range(21))
    assert heard(second, 1)[-1] == 20


def test_what_happened_between_the_page_and_its_stream_is_heard(
    person_s_browser: BrowserContext, organisation: Organisation
) -> None:
    page = person_s_browser.new_page()
    page.set_default_timeout(60_000)
    page.goto("/console/account/")
    publish(told(organisation, 1), tile(organisation, 5, version=2))
    page.evaluate(_LISTEN, [["command", None], ["plant", ["5"]]])
    until(lambda: page.evaluate("window.got.length") == 2)
    assert page.evaluate("window.got.map((event) => event.topic)") == ["command", "plant"]


def test_a_break_is_shown_and_what_came_meanwhile_is_heard(
    open_tab: Callable[..., Page], organisation: Organisation, person_s_browser: BrowserContext
) -> None:
    page = open_tab(["command", None])
    publish(told(organisation, 1))
    heard(page, 1)
    person_s_browser.set_offline(True)
    page.wait_for_selector("#live-bar:not([hidden])")
    assert "Live updates paused" in page.inner_text("#live-bar")
    publish(told(organisation, 2))
    person_s_browser.set_offline(False)
    assert heard(page, 2) == [1, 2]
    page.wait_for_selector("#live-bar", state="hidden")


def test_who_is_signed_out_is_told_and_led_to_the_sign_in(
    open_tab: Callable[..., Page], person: User, person_s_browser: BrowserContext
) -> None:
    page = open_tab(["command", None])
    person.sessions.all().delete()
    person_s_browser.set_offline(True)
    until(lambda: not page.evaluate("window.live.state().live"))
    person_s_browser.set_offline(False)
    page.wait_for_selector("#live-bar a")
    assert "signed out" in page.inner_text("#live-bar")


def _nobody_used_it(person: User) -> None:
    """The session of the person has run out."""
    for row in person.sessions.all():
        session = SessionStore(row.session_key)
        session[SEEN_AT] = (clock.now() - timedelta(hours=9)).isoformat()
        session.save()


def test_a_page_whose_session_has_run_out_stays_says_so_and_is_come_back_to(
    person_s_browser: BrowserContext, person: User
) -> None:
    factories.plant(on=factories.connection(owner=person.organisation))
    person.set_password("correct horse battery")
    person.save()
    page = person_s_browser.new_page()
    page.set_default_timeout(60_000)
    page.goto("/console/login/")
    page.get_by_label("User name").fill("jana")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console/fleet/")
    page.goto("/console/fleet/?q=brewery&view=all")
    _nobody_used_it(person)
    page.evaluate("htmx.trigger('#fleet-top', 'refresh')")
    page.wait_for_selector("#live-bar a")
    assert (page.url.endswith("/console/fleet/?q=brewery&view=all"), page.inner_text("#live-bar")) == (
        True,
        "You are signed out. Sign in again",
    )

    page.click("#live-bar a")
    page.get_by_label("User name").fill("jana")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()

    page.wait_for_url("**/console/fleet/?q=brewery&view=all")


def test_who_signs_in_again_in_another_window_has_live_data_there_and_the_first_page_is_told_to_be_loaded_anew(
    open_tab: Callable[..., Page],
    organisation: Organisation,
    person: User,
    person_s_browser: BrowserContext,
    server: Running,
) -> None:
    first = open_tab(["command", None])
    person.sessions.all().delete()
    first.evaluate("dispatchEvent(new Event('offline')); dispatchEvent(new Event('online'))")
    first.wait_for_selector("#live-bar a")
    sign_in(person_s_browser, person, server)

    second = open_tab(["command", None])
    publish(told(organisation, 1))

    assert heard(second, 1) == [1]
    assert second.is_hidden("#live-bar")
    first.wait_for_selector("#live-bar a >> text=Load this page anew")


def test_too_many_windows_of_a_person_are_told_apart_from_a_broken_line(
    settings: Settings, browser: Browser, person: User
) -> None:
    settings.LIVE_STREAMS_PER_PERSON = 1
    with running() as server:
        contexts = [browser.new_context(base_url=server.url) for _ in range(2)]
        pages = []
        for context in contexts:
            sign_in(context, person, server)
            page = context.new_page()
            page.goto("/console/account/")
            page.evaluate(_LISTEN, [["command", None]])
            until(lambda: page.evaluate("live.state().live || live.state().why === 'many'"))  # noqa: B023
            pages.append(page)
        pages[1].wait_for_selector("#live-bar:not([hidden])", timeout=60_000)
        assert "Too many windows of yours are open" in pages[1].inner_text("#live-bar")
        for context in contexts:
            context.close()
