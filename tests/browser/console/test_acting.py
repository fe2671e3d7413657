"""Acting in a browser: typed, checked, reviewed, sent; the emergency that is held; drafts that outlive a reload."""

from datetime import timedelta

import pytest
from playwright.sync_api import Route, expect

from dispatch.models import Command, EmergencyLatch
from dispatch.states import State
from people.rights import Role
from tests.admin.seed_plans import make_override, make_plan
from tests.browser.console.heard import hears_by_hand
from tests.console.acting.helpers import acting_plant
from tests.dispatch.helpers import ask, hold_now
from tests.factories import AT
from tests.live.conftest import until


@pytest.fixture
def plant(organisation):
    return acting_plant(organisation, max_import_kw=400.0, max_export_kw=300.0, capacity_kwh=800.0)


@pytest.fixture
def act(sign_in, plant):
    """A page of the box, for somebody of a role."""

    def make(role=Role.OPERATOR, *, heard=False, **how):
        page = sign_in(role, **how)
        if heard:
            hears_by_hand(page)
        page.goto(f"/console/plants/{plant.pk}/act/")
        return page

    return make


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_a_setpoint_from_the_first_digit_to_the_state_of_the_database(act, width, theme):
    page = act(width=width, theme=theme)
    review = page.get_by_role("button", name="Review and send")

    page.get_by_label("Power", exact=False).first.fill("320")
    expect(page.get_by_text("20 kW over the export limit")).to_be_visible()
    expect(review).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Use 300").click()
    expect(page.get_by_text("Exactly the export limit")).to_be_visible()
    review.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_contain_text("Export 300 kW at Brewery Přerov until 04:30")
    dialog.get_by_role("button", name="Send command").click()

    expect(dialog).to_have_count(0)
    expect(page.locator("#act-sent").get_by_text("Queued")).to_be_visible()
    expect(page.locator("#act-rows").get_by_text("Export 300 kW")).to_be_visible()
    assert Command.objects.get().payload["targetValueKw"] == 300.0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_slider_and_the_number_are_one(act):
    page = act()
    slider = page.get_by_label("Power, as a slider")

    slider.focus()
    for _ in range(4):
        slider.press("ArrowRight")

    expect(page.locator("#act-amount")).to_have_value("20")
    expect(page.get_by_text("280 kW below the export limit")).to_be_visible()


@pytest.mark.parametrize("by", ["pointer", "Space", "Enter"])
def test_an_emergency_is_held_and_a_short_press_sends_nothing(act, by):
    page = act()
    page.locator("#act-emergency").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("Fire alarm in hall 2")
    button = dialog.get_by_role("button", name="Hold to stop")

    button.click()
    sent_by_a_click = EmergencyLatch.objects.count()
    button.focus()
    if by == "pointer":
        button.hover()
        page.mouse.down()
    else:
        page.keyboard.down(by)
    expect(page.get_by_text("Emergency STOP is in force", exact=True)).to_be_visible()

    assert sent_by_a_click == 0
    assert EmergencyLatch.objects.get().command.reason == "Fire alarm in hall 2"


def test_enter_in_a_field_never_sends(act):
    page = act()
    page.locator("#act-amount").fill("20")
    page.locator("#act-amount").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Dry run: Export 20 kW fits")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Review and send").click()
    dialog.get_by_label("Reason").press("Enter")

    expect(dialog).to_be_visible()
    assert not Command.objects.exists()


def test_what_was_typed_outlives_a_reload_and_can_be_discarded(act):
    page = act()
    page.get_by_text("Import", exact=True).click()
    page.locator("#act-amount").fill("77")
    expect(page.get_by_text("323 kW below the import limit")).to_be_visible()

    page.reload()
    expect(page.locator("#act-amount")).to_have_value("77")
    expect(page.get_by_text("323 kW below the import limit")).to_be_visible()
    page.get_by_role("button", name="Discard").click()

    expect(page.locator("#act-amount")).to_have_value("")


def test_a_device_narrows_its_actions(act):
    page = act()
    page.get_by_role("link", name="Device").click()
    page.locator("#act-asset").select_option("S1")

    offered = page.locator("#act-action option:not([disabled])").evaluate_all(
        "all => all.map(one => one.value)"
    )
    page.locator("#act-action").select_option("FVE_REDUCE_PERCENT")

    assert offered == ["FVE_PRODUCE_MAX", "FVE_REDUCE_PERCENT", "FVE_REDUCE_POWER", "FVE_STOP"]
    expect(page.locator("[data-unit]")).to_have_text("%")


def test_the_override_counts_down_and_ends_with_its_question(act, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    make_override(plant, at=AT)
    page = act(width=390)
    banner = page.get_by_role("region", name="Override in force")

    expect(banner.get_by_role("timer")).to_contain_text("44:")
    banner.get_by_role("link", name="End now").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("The plan resumes at once with")).to_be_visible()
    dialog.get_by_label("Reason").fill("Over")
    dialog.get_by_role("button", name="End override").click()

    expect(banner).to_have_count(0)
    expect(page.get_by_text("The override is over.")).to_be_visible()


def test_what_is_heard_of_an_emergency_is_shown_until_its_last_word_while_answers_are_slow(act, plant):
    command = ask(plant, hold_now())
    page = act(heard=True)
    chip = page.get_by_role("region", name="Emergency in force").locator(".chip")
    expect(chip).to_have_attribute("data-state", "QUEUED")
    asked: list[Route] = []

    def keep(route: Route) -> None:
        asked.append(route)

    page.route("**/act/banner/", keep)
    tell = "([id, plant, state]) => tell('command', {id, plant, kind: 'emergency', state})"

    page.evaluate(tell, [command.pk, plant.pk, "SENT"])
    until(lambda: page.evaluate("true") and asked)
    page.evaluate(tell, [command.pk, plant.pk, "COMPLETED"])
    asked.pop().continue_()
    until(lambda: page.evaluate("true") and asked)
    Command.objects.filter(pk=command.pk).update(state=State.COMPLETED)
    asked.pop().continue_()

    expect(chip).to_have_attribute("data-state", "COMPLETED")


def test_a_viewer_can_look_and_not_touch(act):
    page = act(Role.VIEWER)

    expect(page.get_by_text("Sending takes the role")).to_be_visible()
    expect(page.locator("#act-amount")).to_be_disabled()
    expect(page.get_by_role("button", name="Emergency")).to_be_disabled()
