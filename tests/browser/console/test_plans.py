"""The day plan in a browser: drawn, typed, pasted, checked, kept, published; two people; a phone."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from metering.days import local_day_of
from people.rights import Role
from plants.models import Organisation, Plant
from schedules.models import PlanState, PlanVersion, SlotRun
from tests import factories
from tests.console.seed_plans import draft_of, published, running_day
from tests.factories import AT

TODAY = local_day_of(AT, zone="Europe/Prague").day
TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
def plant(organisation: Organisation) -> Plant:
    link = factories.connection(owner=organisation, name="Voke production")
    return factories.plant(
        on=link, name="Brewery Přerov", external_plant_id="PREROV-02", capacity_kwh=80.0, soc_max_pct=95.0
    )


def open_day(page: Page, plant: Plant, *, day: object = TOMORROW, more: str = "") -> None:
    page.goto(f"/console/plants/{plant.pk}/plan/{day}/{more}")
    expect(page.locator(".p-chart .p-zero")).to_be_attached()


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of the picture to another, as shares of its width and height."""
    box = page.locator(".p-chart").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()


def saved(page: Page) -> None:
    expect(page.locator("#save-state")).to_have_text("Draft saved")


def values() -> dict[str, float]:
    """The only draft's slots: UTC start -> value, export positive."""
    version = PlanVersion.objects.get(state__in=["DRAFT", "CHECKED"])
    return {
        f"{row.start_at:%H:%M}": row.value * (1 if row.direction == "EXPORT" else -1)
        for row in version.slots.all()
    }


def paste(page: Page, text: str) -> None:
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.locator(".p-chart").focus()
    page.keyboard.press("Control+V")


def test_a_day_is_drawn_corrected_published_and_then_watched(
    sign_in: Callable[..., Page], plant: Plant
) -> None:
    page = sign_in(Role.OPERATOR)
    open_day(page, plant)
    drag(page, (0.4, 0.12), (0.5, 0.02))
    expect(page.locator("#findings li.fail").first).to_contain_text("Over the grid limit")
    page.get_by_role("button", name="Use all that fits").or_(
        page.locator("#findings li.fail .btn").first
    ).first.click()
    expect(page.locator("#findings li.fail")).to_have_count(0)
    saved(page)

    page.get_by_role("button", name="Publish", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("setpoint messages")
    if dialog.get_by_label("Publish in spite of the warnings").count():
        dialog.get_by_label("Publish in spite of the warnings").check()
    dialog.get_by_role("button", name="Publish v1").click()

    expect(page.locator("#version-word")).to_have_text("v1 published")
    expect(page.locator(".p-fate").first).to_be_attached()
    version = PlanVersion.objects.get()
    assert version.state == PlanState.PUBLISHED
    assert SlotRun.objects.count() == version.slots.count() > 3


def test_a_power_is_typed_undone_nudged_and_cleared_with_keys_alone(
    sign_in: Callable[..., Page], plant: Plant
) -> None:
    page = sign_in(Role.OPERATOR)
    open_day(page, plant)
    page.locator(".p-chart").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("2")
    page.keyboard.type("0")
    page.keyboard.press("Enter")
    saved(page)
    assert values() == {"23:00": 20, "23:15": 20}

    page.locator(".p-chart").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+Z")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    expect(page.locator("#tab-blocks tbody tr").first).to_contain_text("Export 25")
    saved(page)
    page.reload()

    expect(page.locator("#tab-blocks tbody tr").first).to_contain_text("00:00–00:15")
    assert values() == {"23:00": 25}


def test_a_column_of_a_spreadsheet_fills_the_slots_from_the_selected_one_on(
    sign_in: Callable[..., Page], plant: Plant
) -> None:
    page = sign_in(Role.OPERATOR)
    open_day(page, plant)
    page.locator(".p-chart").focus()
    page.keyboard.press("Home")

    paste(page, "12,5\r\n\r\n-8\r\n")

    expect(page.locator(".toast")).to_contain_text("3 slots pasted, positive read as export")
    saved(page)
    assert values() == {"23:00": 12.5, "23:30": -8}


def test_times_beside_powers_go_to_their_slots_and_a_copy_comes_back_the_same(
    sign_in: Callable[..., Page], plant: Plant
) -> None:
    page = sign_in(Role.OPERATOR)
    open_day(page, plant)

    paste(page, "time\tgrid_import_kw\n06:00\t15\n07:00\t-9\n")
    saved(page)
    assert values() == {
        f"0{hour}:{minute:02}": kw for hour, kw in ((5, -15), (6, 9)) for minute in (0, 15, 30, 45)
    }
    page.locator(".p-chart").focus()
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+C")
    copied = page.evaluate("navigator.clipboard.readText()")
    page.keyboard.press("Delete")
    saved(page)
    paste(page, copied)
    expect(page.locator(".toast")).to_contain_text("96 slots pasted")
    saved(page)

    assert values()["05:00"] == -15 and values()["06:45"] == 9


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("Theirs with my changes", {"Mine", "Theirs"}),
        ("Keep only mine", {"Mine"}),
        ("Take theirs", {"Theirs"}),
    ],
)
def test_the_second_of_two_editors_sees_what_differs_and_decides(
    sign_in: Callable[..., Page], plant: Plant, way: str, expected: set[str]
) -> None:
    page = sign_in(Role.OPERATOR)
    open_day(page, plant)
    draft_of(plant, TOMORROW, at=AT)

    paste(page, "time\tgrid_export_kw\n11:00\t7\n")
    dialog = page.get_by_role("dialog", name="Somebody else changed this day meanwhile")
    expect(dialog).to_contain_text("11:00–11:15")
    dialog.get_by_role("button", name=way).click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#save-state")).to_have_text("Draft saved")

    found = values()
    told = {"Mine": found.get("10:00") == 7, "Theirs": found.get("23:00") == -34}
    assert {name for name, there in told.items() if there} == expected


def test_what_the_server_did_not_take_survives_a_reload(sign_in: Callable[..., Page], plant: Plant) -> None:
    page = sign_in(Role.OPERATOR)
    open_day(page, plant)
    page.on("dialog", lambda dialog: dialog.accept())
    page.route("**/save/", lambda route: route.fulfill(status=204))
    paste(page, "time\tgrid_export_kw\n11:00\t7\n")
    expect(page.locator("#save-state")).to_contain_text("Kept in this browser")
    page.unroute("**/save/")

    page.reload()

    expect(page.locator(".toast")).to_contain_text("What was not saved is back")
    saved(page)
    assert values() == {"10:00": 7}


def test_on_a_phone_a_block_is_changed_in_a_sheet(sign_in: Callable[..., Page], plant: Plant) -> None:
    draft_of(plant, TOMORROW, at=AT)
    page = sign_in(Role.OPERATOR, width=390, theme="dark")
    open_day(page, plant)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")

    page.get_by_role("button", name="Edit 12:00–15:00").click()
    sheet = page.get_by_role("dialog", name="Edit a block")
    sheet.get_by_label("Amount").fill("9")
    sheet.get_by_text("Export", exact=True).click()
    sheet.get_by_role("button", name="Done").click()

    expect(sheet).to_be_hidden()
    saved(page)
    assert {kw for at, kw in values().items() if "11:00" <= at < "14:00"} == {9}


def test_a_viewer_watches_a_running_day_and_can_not_change_it(
    sign_in: Callable[..., Page], plant: Plant
) -> None:
    running_day(plant, at=AT)
    page = sign_in(Role.VIEWER, theme="dark")
    open_day(page, plant, day=TODAY)

    expect(page.locator("#tab-told")).to_contain_text("6.4\u202fkW short")
    expect(page.locator("#plan-counts")).to_contain_text("Missed 1")
    expect(page.get_by_role("button", name="Edit")).to_be_disabled()


def test_two_versions_are_compared(sign_in: Callable[..., Page], plant: Plant) -> None:
    published(plant, TOMORROW, at=AT)
    draft_of(plant, TOMORROW, at=AT, scale=0.5)
    page = sign_in(Role.OPERATOR)
    open_day(page, plant, more="?tab=versions")

    page.get_by_role("button", name="Compare").click()

    expect(page.locator("#versions")).to_contain_text("From v1 to v2")
    expect(page.locator("#versions")).to_contain_text("Import 17")


def test_the_schedules_lead_to_a_day(sign_in: Callable[..., Page], plant: Plant) -> None:
    published(plant, TOMORROW, at=AT)
    page = sign_in(Role.OPERATOR, width=390)
    page.goto("/console/plans/")
    page.get_by_role("link", name="Sat 3").click()
    page.locator("td:not(.not-focus) a.cell").click()

    expect(page.locator("#version-word")).to_have_text("v1 published")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(
    sign_in: Callable[..., Page], plant: Plant, width: int, theme: str
) -> None:
    published(plant, TOMORROW, at=AT)
    draft_of(plant, TOMORROW, at=AT, scale=1.6)
    page = sign_in(Role.OPERATOR, width=width, theme=theme)
    found = []
    for address in (
        "/console/plans/",
        "/console/plans/import/",
        f"/console/plants/{plant.pk}/plan/{TOMORROW}/",
        f"/console/plants/{plant.pk}/plan/{TOMORROW}/?tab=slots",
        f"/console/plants/{plant.pk}/plan/{TOMORROW}/?version={plant.day_plans.get().versions.get(number=1).pk}",
    ):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        violations = Axe().run(page).response["violations"]
        found += [
            (address, one["id"], one["nodes"][0]["html"][:120])
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]

    assert found == []
