"""Each screen's main job, done by a person in a browser at the embedded demo; everything seen comes over the wire.

One demo serves all journeys, in their order; a modelled Voke answers. A journey leaves every plant free, and asks for
nothing that the demo's own operator could take back: he steps aside when a person commands. No page may log an error or
ask anybody but the demo. The last journeys are of new organisations, between which staff have to choose from then on.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from esm import clock
from tests.browser.console.demo import PASSWORD, PATIENCE_MS, Journeys, address_of, running_demo
from tests.browser.console.steps import (
    CODE_EVERY,
    asked_by_voke,
    bundle,
    changes,
    code_of,
    issued,
    plant_page,
    setpoint,
    token_of,
)

pytestmark = pytest.mark.timeout(600)
DESKTOP, PHONE = (1440, "light"), (390, "dark")
BOTH = pytest.mark.parametrize(("width", "theme"), [DESKTOP, PHONE])
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
        made = Journeys(url=address_of(demo), browser=browser)
        door = made.visitor()
        made.sign_in(door, "/console/account/")
        door.wait_for_url("**/console/account/")
        made.session = door.context.storage_state()
        made.close_pages()
        yield made
    expect.set_options(timeout=5_000)


@pytest.fixture
def walk(journeys: Journeys) -> Iterator[Walk]:
    """`walk("/console/fleet/", width=390)`: a page of who signed in at the door."""

    def make(path: str, *, width: int = 1440, theme: str = "light") -> Page:
        page = journeys.visitor(width=width, theme=theme, is_known=True)
        page.goto(path)
        return page

    yield make
    told, journeys.errors[:] = list(journeys.errors), []
    journeys.close_pages()
    journeys.errors.clear()  # what was under way when its page closed
    assert told == []


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


@BOTH
def test_an_override_is_begun_counted_down_extended_and_ended(walk: Walk, width: int, theme: str) -> None:
    page = walk("/console/account/", width=width, theme=theme)
    page.goto(plant_page(page, "Bus depot Křimice"))
    review = setpoint(page, 60, "Import")
    review.get_by_label("Reason").fill("Late buses")
    review.get_by_role("button", name="Begin override").click()
    banner = page.get_by_role("region", name="Override in force")
    timer = banner.get_by_role("timer")
    expect(timer).to_have_text(re.compile(r"\d\d:\d\d"))
    changes(timer)
    expect(page.locator("#act-sent .chip")).to_have_text(DONE)
    assert page.evaluate(_FITS)

    ends = timer.get_attribute("data-until")
    banner.get_by_role("link", name="Extend").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("+ 1 h", exact=True).click()
    dialog.get_by_label("Reason").fill("Later still")
    dialog.get_by_role("button", name="Change its end").click()
    expect(timer).not_to_have_attribute("data-until", ends or "")
    banner.get_by_role("link", name="End now").click()
    expect(dialog.get_by_text("The plan resumes at once with")).to_be_visible()
    dialog.get_by_label("Reason").fill("They are back")
    dialog.get_by_role("button", name="End override").click()

    expect(banner).to_have_count(0)


@BOTH
def test_a_plant_is_held_and_released(walk: Walk, width: int, theme: str) -> None:
    page = walk("/console/account/", width=width, theme=theme)
    page.goto(plant_page(page, "Brewery Přerov"))
    page.locator("#act-emergency").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("HOLD", exact=True).click()
    dialog.get_by_label("Reason").fill("Smoke in hall 2")
    dialog.get_by_role("button", name="Hold to freeze").focus()
    page.keyboard.down("Space")
    banner = page.get_by_role("region", name="Emergency in force")
    expect(banner).to_contain_text("Emergency HOLD is in force")
    page.keyboard.up("Space")
    expect(banner.locator(".chip")).to_have_text(DONE)
    assert page.evaluate(_FITS)

    banner.get_by_role("link", name="Release").click()
    dialog.get_by_label("Reason").fill("Only steam")
    dialog.get_by_role("button", name="Release").click()

    expect(banner).to_have_count(0)


@BOTH
def test_an_alarm_comes_by_itself_is_taken_answered_for_and_closed(
    walk: Walk, width: int, theme: str
) -> None:
    page = walk("/console/alarms/?tab=unowned", width=width, theme=theme)
    plant = page.context.new_page()
    plant.goto(plant_page(plant, "Brewery Přerov"))
    asked = setpoint(plant, 245, "Import", with_consumption=False)
    asked.get_by_role("button", name="Send command").click()
    expect(plant.locator("#act-sent .chip")).to_have_text("Rejected")
    plant.close()

    news = page.get_by_role("button", name=re.compile("new alarm"))
    # The demo's own operator may have raised the same problem a moment ago: then its row tells of one more.
    expect(news.or_(page.locator(".al-row.fresh-row", has_text="Brewery Přerov")).first).to_be_visible()
    if news.is_visible():
        news.click()
    page.locator(".al-row", has_text="Brewery Přerov").first.get_by_role("link").click()
    case = page.locator("#alarm-case")
    case.get_by_role("button", name="Acknowledge").click()
    expect(case).to_contain_text("Acknowledged by admin")
    case.get_by_label("Owner").select_option("")
    case.get_by_role("button", name="Assign to me").click()
    expect(case.get_by_role("button", name="Assign to me")).to_have_count(0)
    case.get_by_label("Comment", exact=True).fill("Looked at the meter")
    case.locator(".al-comment").get_by_role("button").click()
    expect(case.locator(".al-history")).to_contain_text("Looked at the meter")
    assert page.evaluate(_FITS)
    case.get_by_role("button", name="Close").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("A drill")
    dialog.get_by_role("button", name="Close the alarm").click()

    expect(case).to_contain_text("Closed by admin")


@BOTH
def test_what_voke_pulls_is_seen_when_it_pulls(walk: Walk, width: int, theme: str) -> None:
    page = walk("/console/reverse/", width=width, theme=theme)
    expect(page.locator(".lanes-svg .tick-ok").first).to_be_attached()
    last = page.locator("#last time").first
    before = last.get_attribute("datetime")

    expect(last).not_to_have_attribute("datetime", before or "")
    page.get_by_role("button", name=re.compile("new")).click()
    expect(page.locator("#fresh-pulls")).to_be_hidden()
    page.locator("#journal").get_by_role("button", name="Details").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Request id")
    assert page.evaluate(_FITS)


@pytest.mark.parametrize(
    ("width", "theme", "word", "outcome", "answer"),
    [(*PHONE, "Refuse", "Refused", "REJECTED"), (*DESKTOP, "Approve", "Applied", "APPLIED")],
)
def test_an_update_of_voke_is_reviewed_decided_and_told(
    walk: Walk, journeys: Journeys, width: int, theme: str, word: str, outcome: str, answer: str
) -> None:
    page = walk("/console/connections/credentials/", width=width, theme=theme)
    token = token_of(issued(page, f"update {width}"))
    assert asked_by_voke(journeys.url, token, battery_kw=width / 100)["terminal"] is False
    page.goto("/console/reverse/")
    update = page.locator(".update", has_text="Solar park Hodonín")

    expect(update.locator(".changes")).to_contain_text("new:")
    update.get_by_role("button", name=word).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(f"Agreed by telephone: {word}")
    dialog.get_by_role("button", name=word).click()

    row = page.get_by_role("row", name=f"Agreed by telephone: {word}")
    expect(row).to_contain_text(outcome)
    assert page.evaluate(_FITS)
    told = asked_by_voke(journeys.url, token, battery_kw=width / 100)
    assert (told["resultCode"], told["terminal"]) == (answer, True)


@BOTH
def test_somebody_is_invited_and_comes_in_by_a_second_factor(
    walk: Walk, journeys: Journeys, width: int, theme: str
) -> None:
    page = walk("/console/people/", width=width, theme=theme)
    page.get_by_role("button", name="Invite").click()
    page.get_by_label("Name", exact=True).fill(f"Petr {width}")
    page.get_by_role("dialog").get_by_text("Operator", exact=True).click()
    page.get_by_role("button", name="Make the link").click()
    link = page.locator("#issued-link").inner_text()

    guest = journeys.visitor(width=width, theme=theme)
    guest.goto(link)
    guest.get_by_label("User name").fill(f"petr-{width}")
    guest.get_by_label("New password").fill(PASSWORD)
    guest.get_by_label("Once more").fill(PASSWORD)
    guest.get_by_role("button", name="Join").click()
    guest.wait_for_url("**/login/welcome/")
    journeys.sign_in(guest, "/console/account/second-factor/", name=f"petr-{width}")
    guest.get_by_role("button", name="Set up").click()
    secret = guest.locator("#secret").inner_text()
    guest.get_by_label("Code of the app").fill(code_of(secret, at=clock.now()))
    guest.get_by_role("button", name="Confirm").click()
    expect(guest.locator("#codes li")).not_to_have_count(0)
    guest.goto("/console/account/")
    guest.get_by_role("main").get_by_role("button", name="Sign out").click()
    guest.wait_for_url("**/login/**")
    journeys.sign_in(guest, "/console/account/", name=f"petr-{width}")
    # No code counts twice: the app's next one.
    guest.get_by_label("Code").fill(code_of(secret, at=clock.now() + CODE_EVERY))
    guest.get_by_role("button", name="Go on").click()
    guest.wait_for_url("**/console/account/")
    assert guest.evaluate(_FITS)

    page.goto(f"/console/audit/?q=Petr+{width}")
    for word in ("Joined", "Set up a second factor", "Signed in"):
        expect(page.locator("#audit-rows")).to_contain_text(word)
    assert page.evaluate(_FITS)


@BOTH
def test_a_newcomer_s_voke_is_connected_from_its_bundle_to_active(
    journeys: Journeys, walk: Walk, width: int, theme: str
) -> None:
    page = newcomer(journeys, f"Branch {width}", width=width, theme=theme)
    text, secret = bundle(f"branch-{width}")

    page.goto("/console/connections/new/")
    page.get_by_label("Bundle (JSON)").fill(text)
    expect(page.locator("#understood")).to_contain_text("broker.invalid")
    shown = page.locator("#understood").inner_text()
    assert [one for one in secret if one in shown or one[-4:] not in shown] == []
    page.get_by_label("Name here").fill("Voke staging")
    page.get_by_role("button", name="Import and check").click()
    page.wait_for_url("**/check/")
    page.get_by_role("button", name="Run the checks").click()
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    lines = page.locator("#lines li")
    expect(lines.filter(has_text="Stored address")).to_have_class("ok")
    expect(lines.filter(has_text="Host name")).to_contain_text("without a network")
    expect(page.locator("#lines li.failed")).to_contain_text("the host rest.invalid does not resolve")
    expect(page.locator("#lines li.open, #lines li.busy")).to_have_count(0)
    assert page.evaluate(_FITS)

    page.get_by_role("link", name="Reverse channel").last.click()
    expect(page.locator("#lamp")).to_contain_text("Voke has not pulled yet")
    line = issued(page, "Voke staging")
    row = page.get_by_role("row", name="Voke staging")
    expect(row).to_contain_text("never")
    expect(page.locator("#lamp")).to_contain_text("Voke has not pulled yet")
    assert token_of(line)
    expect(page.locator("#lamp")).to_contain_text("Voke has pulled")
    assert page.evaluate(_FITS)

    page.goto("/console/connections/")
    page.get_by_role("link", name="Voke staging").first.click()
    for button, state in (("Switch to ACTIVE", "ACTIVE:"), ("Back to OBSERVE", "OBSERVE:")):
        page.get_by_role("button", name=button).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Reason").fill("A rehearsal")
        dialog.get_by_role("button", name=button).click()
        expect(page.locator(".switch h2")).to_contain_text(state)
    assert page.evaluate(_FITS)


def newcomer(journeys: Journeys, name: str, *, width: int, theme: str) -> Page:
    """A page of an organisation that was just made in the admin."""
    page = journeys.visitor(width=width, theme=theme)
    journeys.sign_in(page, "/admin/plants/organisation/add/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Slug").fill(name.lower().replace(" ", "-"))
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/plants/organisation/")
    page.goto("/console/choose/")
    page.get_by_role("button", name=name).click()
    page.wait_for_url("**/console/fleet/**")
    return page
