"""A plant's page in a browser: the chart of its day, the picture of the flow as it changes, both at two widths."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from esm import clock
from people.rights import Role
from plants.models import PlantState
from tests.browser.console.heard import hears_by_hand
from tests.console import seed_plant
from tests.console.seed_plant import NOON, Lived

_FITS = "document.documentElement.scrollWidth <= innerWidth"
_SHOW = """async (tile) => {
    const { Flow } = await import("/static/console/flow.js");
    const flow = new Flow(document.getElementById("flow"));
    flow.show(tile);
    flow.refresh(Date.parse(tile.measured_at) + tile.age_ms);
}"""
_MEASURED = """async ([actual, gaps]) => {
    const { measured } = await import("/static/console/day_chart_series.js");
    const { at, up } = measured(actual, gaps, actual.end);
    return at.map((moment, i) => [moment, up[i]]);
}"""
_APPEND = """async ([path, points]) => {
    const { dayChart } = await import("/static/console/day_chart.js");
    let asked = 0;
    const real = window.fetch;
    const data = await (await real(path)).json();
    window.fetch = (...words) => { asked += 1; return real(...words); };
    const place = document.body.appendChild(document.createElement("div"));
    const chart = dayChart(place, data, {});
    for (const point of points) chart.append(point);
    const told = points.map(({ at }) => chart.at(at + 1).up);
    const between = chart.at((points.at(-2).at + points.at(-1).at) / 2).up;
    chart.destroy();
    window.fetch = real;
    return { told, between, asked, left: place.childElementCount };
}"""


@pytest.fixture
def lived(organisation) -> Iterator[Lived]:
    with clock.frozen(NOON):
        yield seed_plant.lived_day(organisation, since_hour=11.5, hole=(12 * 60 + 35, 12 * 60 + 57))


@pytest.fixture
def opened(sign_in, lived) -> Callable[..., Page]:
    """`opened(width=390, day="2026-10-25")`: the plant's page, its chart drawn."""

    def make(*, day: str = "", **how: object) -> Page:
        page = sign_in(Role.VIEWER, **how)
        page.goto(f"/console/plants/{lived.plant.pk}/" + (f"?day={day}" if day else ""))
        expect(page.locator(".day-place canvas")).to_have_count(2)
        return page

    return make


def at_minute(page: Page, minute: float) -> tuple[float, float]:
    """Where a minute of the day is on the page, in the upper picture."""
    over: Locator = page.locator(".day-place .u-over").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    return box["x"] + box["width"] * minute / 1440, box["y"] + box["height"] / 2


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_the_day_is_a_picture_a_sentence_and_a_table(opened, width, theme):
    page = opened(width=width, theme=theme)

    expect(page.locator("#day-words")).to_contain_text("no data for")
    page.get_by_role("button", name="Table").click()
    rows = page.locator("#day-table tbody tr")
    expect(rows).to_have_count(96)
    expect(rows.nth(46)).to_have_text(re.compile(r"^11:30export 150.kWexport 150.kWexport 1[45]\d.kW5\d.%$"))
    expect(rows.nth(51)).to_contain_text("No data")
    expect(rows.nth(60)).to_have_text(re.compile(r"^15:00export 140.kWnothingnothingnothing$"))
    assert page.evaluate(_FITS)


def test_pointing_at_a_slot_tells_it_and_clicking_opens_its_command(opened, lived):
    page = opened()
    x, y = at_minute(page, 12 * 60 + 7)

    page.mouse.move(x, y)
    tip = page.locator(".day-tip")
    expect(tip).to_contain_text(re.compile(r"12:0\d 10:0\d UTC"))
    expect(tip).to_contain_text("short")
    page.mouse.click(x, y)

    page.wait_for_url("**/console/commands/*/")
    command = lived.version.slots.get(start_at=NOON.replace(hour=10, minute=0, second=0)).runs.get().command
    assert page.url.endswith(f"/console/commands/{command.pk}/")


def test_the_arrows_go_along_the_day_and_escape_leaves_it(opened):
    page = opened()
    tip = page.locator(".day-tip")

    page.locator(".day-place").focus()
    page.keyboard.press("ArrowLeft")
    expect(tip).to_contain_text("13:42")
    page.keyboard.press("ArrowLeft")
    expect(tip).to_contain_text("13:27")
    page.keyboard.press("PageDown")
    expect(tip).to_contain_text("14:27")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_a_span_that_is_drawn_with_the_mouse_is_asked_for_and_given_back(opened):
    page = opened()
    begin, y = at_minute(page, 12 * 60)
    end, _ = at_minute(page, 13 * 60)

    with page.expect_response(lambda answer: "from=" in answer.url) as answered:
        page.mouse.move(begin, y)
        page.mouse.down()
        page.mouse.move(end, y, steps=4)
        page.mouse.up()
    assert answered.value.json()["actual"]["tier"] == "RAW"
    with page.expect_response(lambda answer: "day=" in answer.url):
        page.get_by_role("button", name="Whole day").click()
    expect(page.get_by_role("button", name="Whole day")).to_be_hidden()


def test_the_hour_that_comes_twice_stands_twice_in_the_table(opened):
    page = opened(day="2026-10-25")

    page.get_by_role("button", name="Table").click()

    expect(page.locator("#day-table tbody tr")).to_have_count(100)
    expect(page.locator("#day-table tbody th").nth(12)).to_have_text("02:00 B")


def test_the_flow_follows_a_sample_in_words_colour_and_direction(opened):
    page = opened()
    tile = {
        "grid_kw": 80.0,
        "pv_kw": 0.0,
        "battery_kw": 12.4,
        "load_kw": 67.6,
        "soc_pct": 71.0,
        "measured_at": NOON.isoformat(),
        "age_ms": 1000,
    }

    page.evaluate(_SHOW, tile)

    flow = page.locator("#flow")
    for bay, word in (
        ("grid", "80kWImporting, limit 400"),
        ("pv", "0kWIdle"),
        ("battery", "12kWCharging, 71\u202f%"),
        ("load", "31kWLoad"),
    ):
        expect(flow.locator(f'[data-bay="{bay}"]')).to_contain_text(word)
    expect(flow.locator('[data-bay="battery"]')).to_have_class(re.compile("c-chg"))
    expect(flow.locator('[data-wire="pv"]')).to_have_class(re.compile("c-idle.* is-idle"))
    expect(flow.locator('[data-wire="grid"] .chevron')).to_have_attribute("transform", "rotate(180)")
    expect(flow.locator("[data-through]")).to_have_text(re.compile(r"^80kW through the plant$"))
    expect(flow.locator("[data-flow]")).not_to_have_class(re.compile("is-stale"))

    page.evaluate(_SHOW, tile | {"age_ms": 61_000})

    expect(flow.locator("[data-flow]")).to_have_class(re.compile("is-stale"))
    expect(flow.get_by_text("Last known at")).to_be_visible()


@pytest.fixture
def telling(sign_in, organisation) -> Iterator[Page]:
    """The page of a plant that discharges, 37 kW in its chargers; `tell` there is what it hears."""
    with clock.frozen(NOON):
        plant = seed_plant.brewery(organisation, at=NOON)
        seed_plant.state_now(plant, at=NOON - timedelta(seconds=1))
        page = sign_in(Role.VIEWER)
        hears_by_hand(page)
        page.goto(f"/console/plants/{plant.pk}/")
        expect(page.locator("#assets .asset")).to_have_count(7)
        yield page


def sample(
    page: Page, *, after_s: float, battery_kw: float, soc_pct: float, ev_kw: float = 15.0
) -> dict[str, object]:
    """Stored as the newest sample; what screens are told of it."""
    state = PlantState.objects.get()
    state.measured_at = NOON + timedelta(seconds=after_s)
    state.battery_power_kw, state.soc_pct = battery_kw, soc_pct
    by_name = {one["deviceId"]: one for one in state.devices}
    by_name["B1"] |= {"powerKw": battery_kw, "socPercent": soc_pct}
    by_name["EV-1"]["powerKw"] = 0
    by_name["EV-2"]["powerKw"] = ev_kw
    state.save()
    return {
        "plant": state.plant_id, "grid_kw": state.grid_power_kw, "pv_kw": state.fve_power_kw, "battery_kw": battery_kw,
        "load_kw": state.consumption_power_kw, "soc_pct": soc_pct, "quality": "GOOD",
        "measured_at": state.measured_at.isoformat(),
    }  # fmt: skip


_TELL = "tile => tell('plant', tile)"


def test_the_devices_and_the_flow_tell_the_same_after_a_sample_even_under_the_pointer(telling):
    page, asked = telling, []
    page.on("request", lambda request: asked.append(request.url) if "/now/" in request.url else None)
    battery, device = page.locator('[data-bay="battery"]'), page.locator('#assets .asset:has-text("B1")')
    expect(battery).to_contain_text("120kWDischarging, 64\u202f%")
    device.hover()

    page.evaluate(_TELL, sample(page, after_s=5, battery_kw=12.5, soc_pct=64.5))

    expect(battery).to_contain_text("12kWCharging, 64\u202f%")
    expect(device).to_contain_text(re.compile(r"12.?kWCharging, 64.?%"))
    expect(page.locator('[data-bay="ev"]')).to_contain_text("15kW1 of 3 EV")
    expect(page.locator('[data-bay="load"]')).to_contain_text("116kWLoad")
    for number in range(12):
        page.evaluate(_TELL, sample(page, after_s=6 + number, battery_kw=20.0 + number, soc_pct=65.0))
    expect(battery).to_contain_text("31kWCharging, 65\u202f%")
    expect(device).to_contain_text(re.compile(r"31.?kWCharging, 65.?%"))
    assert len(asked) <= 3, "at most one question in two seconds"


def test_an_answer_of_a_newer_sample_takes_the_flow_along_and_a_mode_alone_leaves_it(telling):
    page = telling
    heard = sample(page, after_s=5, battery_kw=-80.0, soc_pct=60.0)
    sample(page, after_s=9, battery_kw=33.0, soc_pct=61.0)

    page.evaluate(_TELL, heard)

    expect(page.locator('#assets .asset:has-text("B1")')).to_contain_text("Charging")
    expect(page.locator('[data-bay="battery"]')).to_contain_text("33kWCharging, 61\u202f%")
    page.evaluate(_TELL, {"plant": heard["plant"], "mode": "ZERO_EXPORT"})
    expect(page.locator(".plant-head [data-mode]")).to_have_text("Zero export")
    expect(page.locator('[data-bay="battery"]')).to_contain_text("33kWCharging, 61\u202f%")
    stale_at = page.locator(".plant-head [data-fresh] time").get_attribute("datetime") or ""
    assert stale_at.startswith("2026-07-14T11:42:27")


def test_the_chart_is_drawn_anew_when_something_was_asked_of_the_plant_and_not_for_each_word_of_it(telling):
    page, asked = telling, []
    expect(page.locator(".day-place canvas")).to_have_count(2)
    plant = PlantState.objects.get().plant
    seed_plant.begin(plant, kw=80.0, at=NOON, until=NOON + timedelta(hours=1))
    page.on("request", lambda request: asked.append(request.url) if "/day/?" in request.url else None)

    with page.expect_response(lambda answer: "/day/?" in answer.url) as answered:
        for topic in ("command", "override", "command", "command"):
            page.evaluate("([topic, plant]) => tell(topic, {id: 7, plant})", [topic, plant.pk])

    assert answered.value.json()["overrides"]["text"] == ["Jana Dvořáková"]
    assert len(asked) == 1


def test_scripts_round_as_the_server_does(telling):
    values = [
        0.5,
        1.5,
        2.5,
        12.5,
        64.5,
        0.25,
        2.25,
        0.75,
        9.35,
        0.35,
        8.45,
        1.005,
        1.125,
        3.42,
        0.0,
        99.5,
        7.0,
    ]
    ask = """async (values) => { const { fixed } = await import("/static/console/words.js");
        return values.map((value) => [0, 1, 2].map((places) => fixed(value, places))); }"""

    found = telling.evaluate(ask, values)

    assert found == [[f"{value:.{places}f}" for places in range(3)] for value in values]


def test_what_was_measured_is_drawn_up_to_where_a_hole_begins(opened):
    page = opened()
    actual = {
        "tier": "QUARTER",
        "start": 0,
        "deltas": [900_000],
        "end": 1_800_000,
        "grid_import_kw": [-5, -6],
    }
    actual |= {"grid_import_kw_min": [-5, -6], "grid_import_kw_max": [-5, -6], "soc_pct": [50, 51]}

    found = page.evaluate(_MEASURED, [actual, [{"from": 1_000_000, "to": 1_200_000}]])

    assert found == [
        [0, 5], [900_000, 6], [999_999, 6], [1_000_000, None], [1_200_000, 6], [1_799_999, 6], [1_800_000, None],
    ]  # fmt: skip


def test_live_points_are_appended_and_the_day_is_not_asked_for_again(opened, lived):
    page = opened()
    moments = [NOON + timedelta(seconds=seconds) for seconds in (30, 90, 600)]
    points = [
        {"at": int(moment.timestamp() * 1000), "grid_kw": -270.0 - number, "soc_pct": 60.0}
        for number, moment in enumerate(moments)
    ]

    found = page.evaluate(_APPEND, [f"/console/plants/{lived.plant.pk}/day/?width=900", points])

    assert found == {"told": [270, 271, 272], "between": None, "asked": 0, "left": 0}


def test_a_chart_that_can_not_be_loaded_says_so_and_is_asked_for_again(sign_in, lived):
    page = sign_in(Role.VIEWER)
    page.route("**/day/?*", lambda route: route.fulfill(status=422, body="{}"), times=1)
    page.context.clear_permissions()

    page.goto(f"/console/plants/{lived.plant.pk}/")
    expect(page.get_by_text("The chart's data could not be loaded.")).to_be_visible()
    page.get_by_role("button", name="Try again").click()

    expect(page.locator(".day-place canvas")).to_have_count(2)
    expect(page.get_by_text("The chart's data could not be loaded.")).to_be_hidden()
