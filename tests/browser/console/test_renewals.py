"""What a page renews by itself: nothing that happened is left out, however slow or unwilling the server is."""

import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from console.connect import runs
from console.connect.steps import check_subject
from dispatch.models import Command
from people.rights import Role
from tests import factories
from tests.browser.console.heard import hears_by_hand
from tests.console.acting.helpers import acting_plant
from tests.console.seed_reverse import pulled
from tests.dispatch.helpers import ask, setpoint
from tests.factories import AT
from trading_api.models import ConfigUpdateRequest, PullJournal, UpdateState

_NO_LINE = """
() => { XMLHttpRequest.prototype.send = function () { this.onerror(new ProgressEvent("error")); }; }
"""


class Slow:
    """Requests of a page to some address, each held until it is let go; by which answer is told then."""

    def __init__(self, page: Page, address: str) -> None:
        self.held: list[Route] = []
        self._page = page
        page.route(address, self._hold)

    def _hold(self, route: Route) -> None:
        self.held.append(route)

    def next(self) -> Route:
        """The request that was asked first; waits for it."""
        while not self.held:
            self._page.wait_for_timeout(20)
        return self.held.pop(0)


def once_unwilling(page: Page, address: str) -> None:
    """The next request there gets a 503."""
    page.route(address, lambda route: route.fulfill(status=503, body="Service Unavailable"), times=1)


@pytest.fixture
def reverse_page(sign_in: Callable[..., Page], organisation) -> Page:
    pulled(organisation, at=AT)
    page = sign_in(Role.ENGINEER, provokes="503")
    hears_by_hand(page)
    page.goto("/console/reverse/")
    page.wait_for_selector("#day svg")
    return page


def test_an_update_that_comes_while_a_pull_is_still_read_is_shown_and_the_journal_stays_where_it_is(
    reverse_page: Page,
) -> None:
    page = reverse_page
    page.get_by_role("link", name="Refused").click()
    expect(page.locator("#journal [aria-current=true]")).to_have_text("Refused")
    slow = Slow(page, "**/console/reverse/")
    page.evaluate("tell('pull', {id: 1})")
    first = slow.next()
    page.evaluate("tell('update', {id: 1}); tell('pull', {id: 2})")
    ConfigUpdateRequest.objects.update(state=UpdateState.REFUSED)
    first.continue_()
    page.unroute("**/console/reverse/")
    for route in slow.held:
        route.continue_()

    expect(page.get_by_text("1 update of Voke waits for review")).to_have_count(0)
    expect(page.locator("#journal [aria-current=true]")).to_have_text("Refused")
    expect(page.locator("#fresh-pulls")).to_have_text("2 new")


def test_what_the_server_could_not_tell_is_asked_again_without_a_further_event(reverse_page: Page) -> None:
    page = reverse_page
    once_unwilling(page, "**/console/reverse/")
    PullJournal.objects.update(plant_ref="SEEN-ANEW")
    page.evaluate("tell('pull', {id: 1})")

    expect(page.locator("#last")).to_contain_text("SEEN-ANEW")
    expect(page.locator(".toast")).to_have_count(0)


def test_after_a_gap_in_the_stream_the_journal_is_read_again_and_an_older_page_says_that_there_is_more(
    reverse_page: Page,
) -> None:
    page = reverse_page
    PullJournal.objects.update(plant_ref="SEEN-ANEW")
    page.evaluate("resync(null)")
    expect(page.locator("#journal tbody")).to_contain_text("SEEN-ANEW")
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    page.evaluate("resync(null)")

    expect(page.locator("#fresh-pulls")).to_have_text("Newest")
    expect(page.get_by_role("link", name="Newest")).to_be_visible()


def test_a_pull_that_comes_while_the_new_secret_is_shown_lights_the_lamp(
    sign_in: Callable[..., Page], organisation
) -> None:
    page = sign_in(Role.ENGINEER)
    hears_by_hand(page)
    page.goto("/console/connections/credentials/")
    page.get_by_role("button", name="Issue credentials").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    pulled(organisation, at=AT)
    page.evaluate("tell('pull', {id: 1})")

    expect(page.locator("#lamp")).to_contain_text("Voke has pulled")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_command_that_changes_while_the_last_ones_are_still_read_is_shown(
    sign_in: Callable[..., Page], organisation
) -> None:
    plant = acting_plant(organisation)
    page = sign_in(Role.OPERATOR)
    hears_by_hand(page)
    page.goto(f"/console/plants/{plant.pk}/act/")
    slow = Slow(page, "**/act/rows/")
    page.evaluate("document.body.dispatchEvent(new CustomEvent('acting:done'))")
    first = slow.next()
    answer = first.fetch()
    ask(plant, setpoint())
    page.evaluate(f"tell('command', {{id: 1, plant: {plant.pk}}})")
    first.fulfill(response=answer)
    page.unroute("**/act/rows/")
    for route in slow.held:
        route.continue_()

    expect(page.locator("#act-rows li .chip")).to_have_count(1)


def test_checks_are_followed_on_after_an_answer_that_did_not_come(
    sign_in: Callable[..., Page], organisation
) -> None:
    connection = factories.connection(organisation=organisation)
    go_on = threading.Event()
    runs.start(
        check_subject(connection),
        lambda _tell: go_on.wait(60) and None,
        clock=lambda: AT,
    )
    page = sign_in(Role.ENGINEER, provokes="50")
    once_unwilling(page, "**/check/lines/")
    page.goto(f"/console/connections/{connection.pk}/check/")
    expect(page.locator(".toast")).to_contain_text("503")
    go_on.set()

    expect(page.get_by_role("button", name="Run again")).to_be_visible()


def test_a_send_that_is_not_answered_in_time_says_so_and_can_be_sent_again_once(
    sign_in: Callable[..., Page], organisation
) -> None:
    plant = acting_plant(organisation)
    page = sign_in(Role.OPERATOR, provokes="htmx:")
    page.goto(f"/console/plants/{plant.pk}/act/")
    page.locator("#act-amount").fill("20")
    page.get_by_role("button", name="Review and send").click()
    send = page.get_by_role("dialog").locator("[data-busy]")
    expect(send).to_have_text("Send command")
    slow = Slow(page, "**/act/*/send/")
    page.evaluate("htmx.config.timeout = 300")
    send.click()
    expect(page.locator(".toast")).to_contain_text(
        "It may be done: look at the commands before you send it again"
    )
    expect(send).to_have_text("Send command")
    slow.next().continue_()  # it was only late
    page.unroute("**/act/*/send/")
    page.evaluate("htmx.config.timeout = 15000")
    send.click()

    expect(page.get_by_role("dialog")).to_have_count(0)
    assert Command.objects.count() == 1


def test_a_list_that_the_server_does_not_give_leaves_no_error_behind(
    sign_in: Callable[..., Page], organisation
) -> None:
    acting_plant(organisation)
    page = sign_in(Role.OPERATOR, provokes="htmx:")
    page.goto("/console/fleet/")
    page.wait_for_selector("tr.pr")
    page.evaluate("window.fails = 0; addEventListener('unhandledrejection', () => { window.fails += 1; })")
    page.evaluate(_NO_LINE)
    page.locator("tr.pr .pl a").first.focus()
    page.keyboard.press("j")
    page.keyboard.press("Space")

    expect(page.locator(".toast")).to_contain_text("can't be reached")
    expect(page.locator("#sheet")).to_be_hidden()
    assert page.evaluate("window.fails") == 0


def test_a_plan_that_changes_slot_by_slot_asks_for_the_box_s_word_a_few_times_only(
    sign_in: Callable[..., Page], organisation
) -> None:
    plant = acting_plant(organisation)
    page = sign_in(Role.OPERATOR)
    hears_by_hand(page)
    with page.expect_response("**/check/"):
        page.goto(f"/console/plants/{plant.pk}/act/")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/check/") else None)
    with page.expect_response("**/check/"):
        page.evaluate(f"for (let i = 0; i < 96; i++) tell('plan', {{id: 1, plant: {plant.pk}}})")

    assert len(asked) <= 2
