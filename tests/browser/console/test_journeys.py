"""Each screen's main job, done by a person in a browser at the embedded demo; everything seen comes over the wire.

One demo serves all journeys, in their order; a modelled Voke answers. No page may log an error.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from esm import clock
from tests.browser.console.demo import PASSWORD, PATIENCE_MS, Journeys, address_of, running_demo
from tests.browser.console.screens import settle

pytestmark = pytest.mark.timeout(600)
BOTH = pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
DONE = re.compile("Completed|Verified")
_FITS = "document.documentElement.scrollWidth <= innerWidth"
_PICTURE = "document.querySelector('.day-place canvas').toDataURL()"
_CHANGED = """(before) => new Promise((done, failed) => {
    const until = performance.now() + 180000;
    const look = () => {
        if (PICTURE !== before) done();
        else if (performance.now() > until) failed(new Error("the picture stayed as it was"));
        else requestAnimationFrame(look);
    };
    look();
})""".replace("PICTURE", _PICTURE)
Walk = Callable[..., Page]


@pytest.fixture(scope="module")
def journeys(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journeys]:
    expect.set_options(timeout=PATIENCE_MS)
    folder: Path = tmp_path_factory.mktemp("demo")
    with running_demo(folder) as demo:
        yield Journeys(url=address_of(demo), browser=browser, demo=demo)
    expect.set_options(timeout=5_000)


@pytest.fixture
def walk(journeys: Journeys) -> Iterator[Walk]:
    """`walk("/console/fleet/", width=390)`: a page of who signed in at the door."""

    def make(path: str, *, width: int = 1440, theme: str = "light") -> Page:
        page = journeys.visitor(width=width, theme=theme)
        page.goto(path)
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**{path}*")
        return page

    yield make
    told, journeys.errors[:] = list(journeys.errors), []
    journeys.close_pages()
    journeys.errors.clear()  # what was under way when its page closed
    assert told == []


def plant_page(page: Page, name: str) -> str:
    """The address of a plant's page, as the fleet's list links it."""
    settle(page, "/console/fleet/?view=all")
    path = page.locator("tr.pr", has_text=name).locator(".pl a").get_attribute("href")
    assert path is not None
    return path


def changes(place: Locator) -> None:
    """What stands there becomes something else while the page stays."""
    expect(place).not_to_have_text(place.inner_text())


def setpoint(page: Page, kw: int, way: str) -> Locator:
    """Typed, checked and reviewed: the dialog before the sending."""
    page.get_by_role("radiogroup", name="Direction").get_by_text(way, exact=True).click()
    page.locator("#act-amount").fill(str(kw))
    expect(page.locator("#act")).to_contain_text(re.compile(r"below the (ex|im)port limit"))
    page.get_by_role("button", name="Review and send").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_contain_text(f"{way} {kw}")
    return dialog


@BOTH
def test_a_setpoint_goes_from_the_first_digit_to_voke_s_last_word(walk: Walk, width: int, theme: str) -> None:
    page = walk("/console/account/", width=width, theme=theme)
    page.goto(plant_page(page, "Brewery Přerov"))
    kw, way = (40, "Export") if width > 390 else (35, "Import")

    setpoint(page, kw, way).get_by_role("button", name="Send command").click()

    sent = page.locator("#act-sent")
    expect(sent).to_contain_text(f"{way} {kw}")
    expect(sent.locator(".chip")).to_have_text(DONE)
    expect(page.locator("#last [data-command]").first).to_contain_text(DONE)
    assert page.evaluate(_FITS)


@BOTH
def test_the_fleet_ticks_is_searched_and_peeked_at(walk: Walk, width: int, theme: str) -> None:
    page = walk("/console/fleet/?view=all", width=width, theme=theme)
    row = page.locator("tr.pr", has_text="Bus depot Křimice")

    changes(row.locator("[data-f=load]"))
    page.locator("#fleet-q").fill("depot")
    expect(page.locator("tr.pr")).to_have_count(1)
    assert page.evaluate(_FITS)
    if width > 390:
        page.locator("#fleet-q").blur()
        page.keyboard.press("j")
        page.keyboard.press("Space")
        expect(page.locator("#sheet").get_by_role("heading", name="Bus depot Křimice")).to_be_focused()


@BOTH
def test_a_plant_s_flow_and_its_day_move_while_somebody_looks(walk: Walk, width: int, theme: str) -> None:
    page = walk("/console/account/", width=width, theme=theme)
    page.goto(plant_page(page, "Bus depot Křimice"))
    expect(page.locator(".day-place canvas")).to_have_count(2)
    before = page.evaluate(_PICTURE)

    changes(page.locator('#flow [data-bay="load"]'))
    if width > 390:  # on a phone one pixel stands for five minutes
        page.evaluate(_CHANGED, before)
    assert page.evaluate(_FITS)


def test_a_day_is_typed_and_published_and_slots_go_out(walk: Walk) -> None:
    page = walk("/console/account/")
    brewery = plant_page(page, "Brewery Přerov")
    depot = plant_page(page, "Bus depot Křimice")
    tomorrow = clock.now().astimezone(ZoneInfo("Europe/Prague")).date() + timedelta(days=1)

    page.goto(f"{brewery}plan/{tomorrow.isoformat()}/")
    page.evaluate("navigator.clipboard.writeText('time\\tgrid_export_kw\\n06:00\\t15\\n')")
    page.locator(".p-chart").focus()
    page.keyboard.press("Control+V")
    expect(page.locator("#save-state")).to_have_text("Draft saved")
    page.get_by_role("button", name="Publish", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name=re.compile("Publish v"))).to_be_enabled()
    if dialog.get_by_label("Publish in spite of the warnings").count():
        dialog.get_by_label("Publish in spite of the warnings").check()
    dialog.get_by_role("button", name=re.compile("Publish v")).click()
    expect(page.locator("#version-word")).to_have_text(re.compile(r"v\d+ published"))

    page.goto(f"{depot}plan/")
    expect(page.locator("#version-word")).to_have_text(re.compile(r"v\d+ published"))
    expect(page.locator("#tab-told")).to_contain_text(
        re.compile("Sent|Accepted|Completed|Verified|On target")
    )


@BOTH
def test_a_chip_leads_to_the_command_its_timeline_and_its_bytes(walk: Walk, width: int, theme: str) -> None:
    page = walk("/console/account/", width=width, theme=theme)
    page.goto(plant_page(page, "Brewery Přerov"))

    page.locator("#last [data-command]").first.click()

    page.wait_for_url("**/console/commands/*/")
    expect(page.locator("#life .tl")).to_contain_text("Accepted")
    page.locator("#message").get_by_role("link", name="Raw").click()
    expect(page.locator("#message pre")).to_contain_text('"correlationId"')
    # Setpoints need none, modes and devices do; which of them came last is the demo's affair.
    expect(page.get_by_text(re.compile("Signature matches|No signature required"))).to_be_visible()
    assert page.evaluate(_FITS)
