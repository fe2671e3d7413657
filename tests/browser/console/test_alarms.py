"""The alarm inbox in a browser: keys, fingers, undo, and what changes while somebody looks."""

from datetime import timedelta

import pytest
from django.db import transaction
from playwright.sync_api import Page, expect

from people.rights import Role
from plants.models import AlarmCase
from plants.services.alarm_care import acknowledge
from tests.browser.console.heard import hears_by_hand
from tests.console.seed_alarms import Seeded, seed, tell
from tests.factories import AT

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/console/alarms/"


@pytest.fixture
def seeded(organisation) -> Seeded:
    return seed(organisation, at=AT)


@pytest.fixture
def look(sign_in, seeded):
    """`look(Role.OPERATOR, "?tab=mine", width=390)`: the inbox, its script at work."""

    def make(role: Role = Role.OPERATOR, path: str = "", **how: object) -> Page:
        page = sign_in(role, **how)
        hears_by_hand(page)
        page.goto(LIST + path)
        page.wait_for_function("window.tell !== undefined")
        return page

    return make


def row(page: Page, case: AlarmCase):
    return page.locator(f"#alarm-{case.pk}")


def title(page: Page):
    return page.locator("#alarm-case h2[data-focus]")


def test_the_worst_is_open_at_once_and_j_and_k_go_through_the_list(look):
    page = look()
    expect(title(page)).to_have_text("Constraint violation")

    page.keyboard.press("j")
    expect(title(page)).to_have_text("Operating mode not honored")
    page.keyboard.press("k")

    expect(title(page)).to_have_text("Constraint violation")
    assert page.url.endswith(f"/{AlarmCase.objects.get(code='CONSTRAINT_VIOLATION').pk}/")


def test_an_alarm_that_its_list_does_not_show_stays_open_at_its_own_address(look, seeded):
    closed = seeded.case("SOC_OUT_OF_RANGE")

    page = look(path=f"{closed.pk}/")
    page.wait_for_load_state("networkidle")

    expect(title(page)).to_have_text("Soc out of range")
    assert page.url.endswith(f"/{closed.pk}/")


def test_a_acknowledges_and_undo_takes_it_back(look, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")
    page = look(path=f"{case.pk}/")

    page.keyboard.press("a")
    expect(row(page, case)).to_contain_text("Acknowledged")
    expect(page.locator("#alarm-tabs")).to_contain_text("Mine1")
    page.get_by_role("button", name="Undo").click()

    expect(row(page, case)).not_to_contain_text("Acknowledged")
    expect(page.locator("[data-key=a]")).to_be_visible()
    case.refresh_from_db()
    assert (case.acknowledged_at, case.owner) == (None, None)


def test_g_then_a_goes_to_the_inbox_and_acknowledges_nothing(look, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")
    page = look(path=f"{case.pk}/")

    page.keyboard.press("g")
    with page.expect_navigation():
        page.keyboard.press("a")

    case.refresh_from_db()
    assert case.acknowledged_at is None


def test_c_asks_why_before_it_closes_what_is_raised(look, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")
    page = look(path=f"{case.pk}/")

    page.keyboard.press("c")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Close the alarm").click()
    expect(dialog).to_be_visible()
    dialog.get_by_label("Why").fill("The meter was replaced")
    dialog.get_by_role("button", name="Close the alarm").click()

    expect(page.locator("#alarm-case")).to_contain_text("Closed by Jana Dvořáková")
    expect(row(page, case)).to_contain_text("Closed")


def test_who_comes_second_sees_who_was_first(look, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")
    page = look(path=f"{case.pk}/")
    acknowledge(case_id=case.pk, by=seeded.people[0], at=AT)

    page.locator("[data-key=a]").click()

    expect(page.get_by_role("alert")).to_contain_text("Somebody else was first")
    expect(page.locator("#alarm-case")).to_contain_text("Acknowledged by Petr Novák")


def test_what_is_raised_meanwhile_is_counted_above_the_list_and_moves_nothing(look, seeded):
    page = look()
    expect(title(page)).to_have_text("Constraint violation")
    before = page.locator(".al-title").all_inner_texts()

    with transaction.atomic():
        tell(seeded.plants[1], code="NEW_ONE", severity="CRITICAL", raised_at=AT - timedelta(minutes=1))
    page.evaluate("id => window.tell('alarm', {id})", seeded.case("NEW_ONE").pk)

    expect(page.locator("#alarm-news")).to_have_text("1 new alarm, show")
    expect(page.get_by_role("alert")).to_contain_text("Critical alarm: New one")
    assert page.locator(".al-title").all_inner_texts() == before
    page.locator("#alarm-news").click()
    expect(page.locator(".al-title").first).to_have_text("New one")


def test_a_severity_changes_in_its_place(look, seeded):
    page = look()
    case = seeded.case("SCHEDULE_SLOT_MISSED")
    before = page.locator(".al-title").all_inner_texts()

    with transaction.atomic():
        tell(
            seeded.plants[1],
            code="SCHEDULE_SLOT_MISSED",
            severity="CRITICAL",
            alarm_id="again",
            raised_at=AT - timedelta(minutes=1),
        )
    page.evaluate("id => window.tell('alarm', {id})", case.pk)

    expect(row(page, case)).to_contain_text("Critical")
    assert page.locator(".al-title").all_inner_texts() == before


def test_on_a_phone_an_alarm_takes_the_list_s_place_and_back_returns(look, seeded):
    page = look(width=390, theme="dark")
    expect(page.locator("#alarm-rows")).to_be_visible()

    row(page, seeded.case("COMMUNICATION_LOST")).locator("a").click()
    expect(title(page)).to_have_text("Communication lost")
    expect(page.locator("#alarm-rows")).to_be_hidden()
    page.go_back()

    expect(page.locator("#alarm-rows")).to_be_visible()
    page.wait_for_load_state()  # with its styles
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def swipe(page: Page, place, by: int) -> None:
    box = place.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *points: dict[str, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    send("touchStart", {"x": x, "y": y})
    for part in range(1, 7):
        send("touchMove", {"x": x + by * part / 6, "y": y})
    send("touchEnd")


def test_a_swipe_to_the_right_acknowledges_with_undo_and_to_the_left_takes_it(look, seeded):
    page = look(width=390)
    worst, missed = seeded.case("CONSTRAINT_VIOLATION"), seeded.case("COMMUNICATION_LOST")

    swipe(page, row(page, worst), 130)
    expect(page.locator(".toast")).to_contain_text("Acknowledged")
    expect(row(page, worst)).to_contain_text("Acknowledged")
    swipe(page, row(page, missed), -130)

    expect(row(page, missed).locator(".al-owner.mine")).to_be_visible()
    expect(page.locator("#alarm-rows")).to_be_visible()
    worst.refresh_from_db()
    assert worst.acknowledged_by.first_name == "Jana"


def test_a_short_swipe_does_nothing(look, seeded):
    page = look(width=390)
    case = seeded.case("CONSTRAINT_VIOLATION")

    swipe(page, row(page, case), 60)

    expect(row(page, case)).not_to_have_attribute("data-swiping", "")
    case.refresh_from_db()
    assert case.acknowledged_at is None


def test_the_chart_marks_the_moment(look, seeded):
    page = look(path=f"{seeded.case('CONSTRAINT_VIOLATION').pk}/")

    expect(page.locator("[data-chart] canvas").first).to_be_visible()
    page.goto(f"{LIST}{seeded.case('SCHEDULE_SLOT_MISSED').pk}/")

    expect(page.locator("[data-chart]")).to_contain_text("Nothing was measured")


def test_a_viewer_s_keys_do_nothing(look, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")
    page = look(Role.VIEWER, f"{case.pk}/")

    page.keyboard.press("a")
    page.keyboard.press("c")

    expect(page.locator("#alarm-case")).to_contain_text("Takes the role Operator.")
    case.refresh_from_db()
    assert case.acknowledged_at is None
