"""The fleet in a real browser: at a glance, live, stopped in one go, at desktop and phone width, in both themes."""

import pytest
from playwright.sync_api import Page, expect

from dispatch.models import EmergencyLatch, EmergencyOrder
from esm import clock
from people.rights import Role
from tests.console import seed_fleet as seed
from tests.console.seed_fleet import NOW

pytestmark = pytest.mark.django_db(transaction=True)
FLEET = "/console/fleet/"


@pytest.fixture
def fleet(organisation, sign_in):
    """After `sign_in`, which has a clock of its own."""
    with clock.frozen(NOW):
        yield seed.make_fleet(organisation, NOW)


def no_sideways_scroll(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_the_page_shows_the_fleet_and_what_needs_a_person_first(fleet, sign_in, width, theme):
    page = sign_in(Role.VIEWER, width=width, theme=theme)
    page.goto(FLEET)

    expect(page.get_by_text("747")).to_be_visible()
    expect(page.locator("tr.pr").first).to_contain_text("Quarry Kamenec")
    expect(page.locator("tr.pr").first).to_contain_text("STOP latched")
    assert no_sideways_scroll(page)


def test_nothing_of_the_list_is_beside_its_card_at_any_width(fleet, sign_in):
    page = sign_in(Role.VIEWER)
    page.goto(f"{FLEET}?view=all")
    beside = {}
    for width in [*range(641, 1441, 37), 901, 1060, 1080, 1081, 1160, 1161]:
        page.set_viewport_size({"width": width, "height": 900})
        place = page.locator(".fleet .scroll-x")
        beside[width] = place.evaluate("one => document.querySelector('.ft').offsetWidth - one.clientWidth")

    assert {width: px for width, px in beside.items() if px > 0} == {}


def test_a_card_filters_the_list_and_a_search_narrows_it_and_the_address_says_so(fleet, sign_in):
    page = sign_in(Role.VIEWER)
    page.goto(FLEET)
    page.get_by_role("link", name="2 off plan").click()
    expect(page.locator("tr.pr")).to_have_count(2)

    page.locator("#fleet-q").fill("dairy")

    expect(page.locator("tr.pr")).to_have_count(1)
    assert "view=off-plan" in page.url and "q=dairy" in page.url
    page.reload()
    expect(page.locator("tr.pr")).to_have_count(1)


def test_space_peeks_at_the_plant_and_escape_comes_back_to_where_it_was(fleet, sign_in):
    page = sign_in(Role.VIEWER)
    page.goto(FLEET)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Space")

    expect(page.locator("#sheet").get_by_role("heading", name="Cold store Olomouc")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#sheet")).to_be_hidden()
    expect(page.locator(f"#p{fleet.unanswered.pk} .pl a")).to_be_focused()


def test_a_live_value_is_written_in_place_and_no_row_moves(fleet, sign_in):
    page = sign_in(Role.VIEWER)
    page.goto(FLEET)
    row = page.locator(f"#p{fleet.calm.pk}")
    before = page.locator("tr.pr").evaluate_all("rows => rows.map(row => row.id)")
    expect(row.locator("[data-f=grid]")).to_have_text("100kW")
    seed.measured(fleet.calm, NOW, grid_power_kw=212.0)

    page.evaluate(
        """async (id) => {
          const { showTile } = await import(document.querySelector('script[src*="fleet"]').src);
          showTile(document.getElementById(`p${id}`), { grid_kw: 212, pv_kw: 0, battery_kw: -40, soc_pct: 33 });
        }""",
        str(fleet.calm.pk),
    )

    expect(row.locator("[data-f=grid]")).to_have_text("212kW")
    expect(row.locator("[data-f=grid-word]")).to_have_text("Importing")
    expect(row.locator("[data-f=battery-word]")).to_have_text("Discharging")
    expect(row.locator("[data-f=soc]")).to_have_text("33%")
    assert page.locator("tr.pr").evaluate_all("rows => rows.map(row => row.id)") == before


def test_plants_are_chosen_and_stopped_by_holding_and_released_as_one(fleet, sign_in):
    page = sign_in(Role.OPERATOR)
    page.goto(f"{FLEET}?view=all")
    for plant in (fleet.calm, fleet.alarmed):
        page.locator(f"#p{plant.pk} .pick input").check()
    page.get_by_role("button", name="Emergency for these").click()
    expect(page.get_by_role("heading", name="Emergency for 2 plants?")).to_be_visible()
    page.get_by_label("Reason").fill("Storm over the valley")
    button = page.get_by_role("button", name="Hold to send to 2 plants")
    button.click()  # a tap sends nothing
    assert not EmergencyOrder.objects.exists()
    button.hover()
    page.mouse.down()
    page.wait_for_url("**/emergencies/*/")
    page.mouse.up()

    expect(page.get_by_role("heading", name="STOP of 2 plants")).to_be_visible()
    assert EmergencyLatch.objects.filter(order__isnull=False, released_at__isnull=True).count() == 2
    page.get_by_role("link", name="Release all").click()
    page.get_by_label("Reason").fill("The storm is over")
    page.get_by_role("button", name="Release 2 plants").click()
    expect(page.locator(".phead").get_by_text("Released")).to_be_visible()
    assert not EmergencyLatch.objects.filter(order__isnull=False, released_at__isnull=True).exists()


def test_cards_are_chosen_on_a_desktop_and_are_all_there_is_on_a_phone(fleet, sign_in):
    page = sign_in(Role.VIEWER)
    page.goto(FLEET)
    page.get_by_role("link", name="Cards").click()
    expect(page.locator("tr.pr").first).to_have_css("display", "grid")

    phone = sign_in(Role.VIEWER, width=390)
    phone.goto(f"{FLEET}?show=table")
    expect(phone.locator("tr.pr").first).to_have_css("display", "grid")
    assert no_sideways_scroll(phone)


def test_a_plant_that_falls_silent_is_said_to_though_nothing_tells_it(fleet, sign_in):
    page = sign_in(Role.VIEWER)
    page.clock.install()
    page.goto(FLEET)
    row = page.locator(f"#p{fleet.calm.pk}")
    expect(row).not_to_contain_text("No data")
    seed.measured(fleet.calm, NOW, age_s=14 * 60)

    page.clock.run_for(31_000)

    expect(row.locator(".c-pc")).to_contain_text("No data")
    expect(row).to_have_class("pr old")
