"""A plant's page in its states, its tabs, and who may see them."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from dispatch.services.site_config import publish_changed
from esm import clock
from live import Announcement, feed
from people.rights import Role
from people.services.audit import record
from plants.models import ConnectionMode, Organisation, Plant, PlantState
from plants.services.alarm_care import close
from plants.services.alarm_filing import Told, file_alarms
from plants.telling import tell_measured
from tests import factories
from tests.console import seed_plant
from tests.console.conftest import signed_in
from tests.console.seed_plant import NOON
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
TABS = ("", "config/", "alarms/", "meter/", "history/")


@pytest.fixture
def client(person: Callable[..., Any]) -> Client:
    with clock.frozen(NOON):
        return signed_in(person(Role.VIEWER))


@pytest.fixture
def brewery(organisation: Organisation) -> Plant:
    plant = seed_plant.brewery(organisation, at=NOON)
    seed_plant.state_now(plant, at=NOON - timedelta(seconds=1))
    return plant


def shown(client: Client, plant: Plant, tab: str = "", at=NOON, **query: Any) -> str:
    with clock.frozen(at):
        answer = client.get(f"/console/plants/{plant.pk}/{tab}", query)
    assert answer.status_code == 200
    return answer.content.decode()


def words(html: str) -> str:
    """What a person reads of it."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u202f", " ")


def part(html: str, mark: str) -> str:
    """A section of the page by its id."""
    return html[html.index(f'id="{mark}"') :].split("</section>", 1)[0]


# --- the flow ---------------------------------------------------------------------------------------------------------


def test_the_flow_says_where_the_power_goes_and_draws_only_what_there_is(client, brewery):
    flow = part(shown(client, brewery), "flow")

    told = words(flow)
    for word in ("275 kW Exporting , limit 300", "286 kW Producing , 412 kWp", "120 kW Discharging , 64 %"):
        assert word in told
    assert "94 kW Load" in told, "the chargers' 37 kW are a bay of their own"
    assert "37 kW 2 of 3 EV" in told
    assert "406 kW through the plant" in told
    assert "Balanced to 1 kW" in told
    assert re.findall(r'data-bay="(\w+)"', flow) == ["grid", "pv", "battery", "load", "ev"]


def test_wires_are_as_wide_as_their_power_and_drift_where_it_goes(client, brewery):
    flow = part(shown(client, brewery), "flow")

    beds = dict(re.findall(r'data-wire="(\w+)".*?wire-bed"[^>]*stroke-width="([\d.]+)"', flow, re.DOTALL))
    ways = dict(re.findall(r'data-wire="(\w+)".*?transform="rotate\((\d+)\)"', flow, re.DOTALL))
    assert {name: float(width) for name, width in beds.items()} == {
        "grid": 10.7,
        "pv": 11.1,
        "battery": 4.7,
        "load": 3.7,
        "ev": 3.0,
    }
    assert ways == {"grid": "0", "pv": "180", "battery": "0", "load": "180", "ev": "180"}


def test_what_does_not_add_up_is_told_by_how_much(client, brewery):
    PlantState.objects.filter(plant=brewery).update(consumption_power_kw=91.0)

    assert "40 kW unexplained" in words(part(shown(client, brewery), "flow"))


def test_an_old_sample_is_grey_with_its_time(client, brewery):
    flow = part(shown(client, brewery, at=NOON + timedelta(minutes=5)), "flow")

    assert 'class="flow is-stale"' in flow
    assert "Last known at 13:42:17" in words(flow)


def test_missing_values_are_no_data_and_never_zero(client, brewery):
    PlantState.objects.filter(plant=brewery).update(fve_power_kw=None, battery_power_kw=None)

    flow = part(shown(client, brewery), "flow")

    assert "No data PV , 412 kWp" in words(flow)
    assert "No data Battery" in words(flow)


def test_a_sample_without_any_power_claims_no_sum_and_no_direction(client, brewery):
    powers = ("grid_power_kw", "fve_power_kw", "battery_power_kw", "consumption_power_kw")
    PlantState.objects.filter(plant=brewery).update(**dict.fromkeys(powers))

    flow = part(shown(client, brewery), "flow")

    assert "data-through hidden" in flow
    assert re.findall(r'bay c-(\w+) is-unknown" data-bay="(\w+)"', flow)[:3] == [
        ("idle", "grid"), ("idle", "pv"), ("idle", "battery"),
    ]  # fmt: skip


def test_what_was_last_known_on_another_day_says_which(client, brewery):
    PlantState.objects.filter(plant=brewery).update(measured_at=NOON - timedelta(days=3))

    assert "Last known at Sat 11 July, 13:42:18" in words(part(shown(client, brewery), "flow"))


def test_limits_from_a_megawatt_on_are_told_in_megawatts(client, brewery):
    Plant.objects.filter(pk=brewery.pk).update(max_export_kw=99_999.0, fve_peak_power_kwp=1_234_567.0)

    told = words(part(shown(client, brewery), "flow"))

    assert "Exporting , limit 100.00 MW" in told
    assert "Producing , 1234.57 MWp" in told


def test_the_quality_of_a_sample_that_is_not_good_is_a_word(client, brewery):
    good = shown(client, brewery)
    PlantState.objects.filter(plant=brewery).update(data_quality="STALE")

    assert re.search(r"data-quality [^>]*hidden>", good)
    assert re.search(r"data-quality (?![^>]*hidden)[^>]*>Stale<", shown(client, brewery))


def test_a_plant_that_never_spoke_says_so(client, organisation):
    plant = factories.plant(on=factories.connection(owner=organisation), assets=[])

    told = words(shown(client, plant))

    for word in (
        "Nothing was measured yet",
        "No devices are declared",
        "Nothing was sent yet",
        "No plan today",
    ):
        assert word in told


# --- the devices ------------------------------------------------------------------------------------------------------


def test_devices_with_a_fault_come_first_and_lead_to_a_command(client, brewery):
    assets = part(shown(client, brewery), "assets")

    names = re.findall(r'mono">([A-Z0-9-]+)<', assets)
    assert names == ["EV-3", "INV-2", "INV-1", "B1", "EV-1", "EV-2", "M1"]
    assert "Charger 3 EV-3 Offline" in words(assets)
    assert "Battery hall B1 120 kW Discharging, 64 %" in words(assets)
    assert f"/console/plants/{brewery.pk}/?act=device&amp;asset=B1#act" in assets


def test_the_part_that_is_renewed_is_the_same(client, brewery):
    whole = part(shown(client, brewery), "assets")

    assert part(shown(client, brewery, "now/"), "assets") == whole


def test_the_list_of_devices_says_which_sample_it_is_of_in_the_shape_of_live_values(
    client, brewery, monkeypatch, django_capture_on_commit_callbacks
):
    announced: list[Announcement] = []
    monkeypatch.setattr(feed, "publish", announced.extend)
    state = PlantState.objects.get(plant=brewery)
    row = (
        brewery.pk, state.measured_at, None, state.grid_power_kw, state.fve_power_kw, state.battery_power_kw,
        state.consumption_power_kw, state.soc_pct, None, None, None, state.data_quality,
    )  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        tell_measured([row], organisation_id=brewery.organisation_id, at=NOON)

    assets = part(shown(client, brewery, "now/"), "assets")
    told = re.search(r'data-tile="([^"]*)"', assets)

    assert told is not None
    assert {"plant": brewery.pk} | json.loads(unescape(told[1])) == announced[0].data
    assert ('data-ev="37.0"' in assets, 'data-ev-word="2 of 3 EV"' in assets) == (True, True)


# --- head, last commands, other days ----------------------------------------------------------------------------------


def test_the_head_names_the_plan_that_is_in_force_and_tells_a_draft_from_it(client, brewery):
    midnight = NOON.replace(hour=22, minute=0, second=0) - timedelta(days=1)
    seed_plant.draft_day(brewery, midnight=midnight)
    draft = words(shown(client, brewery))
    seed_plant.plan_day(brewery, midnight=midnight)

    assert "Draft v1, not published" in draft
    assert "Plan v1" in words(shown(client, brewery))


def test_the_last_commands_say_what_became_of_them(client, organisation):
    lived = seed_plant.lived_day(organisation, since_hour=12.5, hole=(0, 0))

    last = words(part(shown(client, lived.plant), "last"))

    assert "Export 275 kW 13:15:02 , Jana Dvořáková Executing" in last
    assert "Export 160 kW 13:00:00 , plan Verified" in last


def test_a_day_that_is_no_day_shows_today_and_says_why(client, brewery):
    told = words(shown(client, brewery, day="someday"))

    assert "is no day like 2026-07-14" in told
    assert "Tue 14 July" in told


@pytest.mark.parametrize(
    ("day", "hours", "change"),
    [
        ("2026-10-25", "25 hours, the clock changes", {"at": 1792890000000, "text": "clock goes back"}),
        ("2026-03-29", "23 hours, the clock changes", {"at": 1774746000000, "text": "clock leaps forward"}),
        ("2026-07-14", "", None),
    ],
)
def test_a_day_on_which_the_clock_changes_says_so_in_words_and_in_its_chart(
    client, brewery, day, hours, change
):
    head = part(shown(client, brewery, day=day), "day")
    chart = json.loads(shown(client, brewery, "day/", day=day))

    assert ("the clock changes" in head, hours in words(head)) == (bool(hours), True)
    assert chart["change"] == change


# --- the other tabs ---------------------------------------------------------------------------------------------------


def test_the_config_tab_tells_what_voke_was_sent(client, brewery):
    before = words(shown(client, brewery, "config/"))
    publish_changed(at=NOON, policy=factories.policy())

    after = words(shown(client, brewery, "config/"))

    assert before.count("Never sent") == 3
    assert (after.count("Never sent"), after.count("Voke was sent this")) == (0, 3)
    assert "maxExportKw" in after
    assert "00:00 06:00 240 kW 240 kW 20 to 95 %" in after


def test_the_alarms_tab_has_raised_ones_first(client, brewery):
    seed_plant.fault(brewery, at=NOON)

    told = words(shown(client, brewery, "alarms/"))

    assert "Warning Schedule slot missed The slot of 12:00 was not carried out" in told


def test_the_meter_tab_tells_how_much_of_each_hour_is_known(client, brewery):
    seed_plant.known_weeks(brewery, at=NOON)

    html = shown(client, brewery, "meter/")

    assert re.search(r"9\d % of the last 35 days is known", html)
    assert _nothing(html, "18 Jun") + _nothing(html, "19 Jun") == 11, "eleven hours of the night"
    assert _nothing(html, "20 Jun") == 0
    assert "Import No data" in words(html)


def _nothing(html: str, day: str) -> int:
    """Hours of a day of which nothing is known."""
    return len(re.findall(rf"<title>\w+ {day} \d\d:00, 0\u202f%", html))


def test_the_history_tab_merges_what_was_changed_with_who_did_it(client, brewery, person):
    midnight = NOON.replace(hour=22, minute=0, second=0) - timedelta(days=1)
    seed_plant.plan_day(brewery, midnight=midnight)
    record(
        user=person(Role.OPERATOR),
        organisation_id=brewery.organisation_id,
        action="command.sent",
        subject=brewery.name,
        subject_path=f"/console/plants/{brewery.pk}/act/",
        reason="price",
        at=NOON,
    )

    told = words(shown(client, brewery, "history/"))

    assert told.index("Command sent operator price") < told.index("Plan published, 14 July v1")
    assert told.index("Plan published") < told.index("Time config v1 Jana Dvořáková")


@pytest.mark.parametrize("tab", TABS)
def test_an_empty_plant_has_every_tab(client, organisation, tab):
    plant = factories.plant(
        on=factories.connection(owner=organisation, mode=ConnectionMode.OBSERVE), assets=[]
    )

    assert plant.name in shown(client, plant, tab)


@pytest.mark.parametrize("tab", [*TABS, "now/", "last/"])
def test_another_organisations_plant_is_unknown(client, tab):
    plant = factories.plant()

    with clock.frozen(NOON):
        assert client.get(f"/console/plants/{plant.pk}/{tab}").status_code == 404


def test_a_stranger_is_led_to_the_sign_in():
    plant = factories.plant()

    answer = Client().get(f"/console/plants/{plant.pk}/")

    assert (answer.status_code, answer.url.split("?")[0]) == (302, "/console/login/")


def test_no_page_has_a_style_or_a_script_of_its_own(client, brewery):
    for tab in TABS:
        html = shown(client, brewery, tab)
        assert not re.search(
            r'\sstyle="|<style|\son\w+="|<script(?![^>]*src=)(?![^>]*application/json)', html
        )


def test_the_number_of_statements_does_not_grow_with_what_the_plant_has(client, brewery):
    until = NOON + timedelta(hours=1)
    seed_plant.begin(brewery, kw=5.0, at=NOON, until=until)
    soon = NOON + timedelta(seconds=10)
    shown(client, brewery, at=soon)
    few = queries_of(lambda: shown(client, brewery, at=soon))
    for number in range(1, 8):
        factories.battery(f"X{number}", plant=brewery).save()
        seed_plant.begin(brewery, kw=5.0 + number, at=NOON + timedelta(seconds=number), until=until)

    many = queries_of(lambda: shown(client, brewery, at=soon))

    assert many == few <= 26


def test_an_alarm_that_a_person_closed_marks_its_device_no_more_and_is_still_listed(
    client, brewery, person
) -> None:
    raised = seed_plant.fault(brewery, at=NOON)
    raised.device_id = "B1"
    raised.save()
    told = Told(
        alarm=raised, organisation_id=brewery.organisation_id, raised_at=raised.raised_at, cleared_at=None
    )
    (case,) = file_alarms(told=[told], at=NOON)
    marked = part(shown(client, brewery), "assets")
    close(case_id=case.pk, why="known, a technician comes", by=person(Role.OPERATOR), at=NOON)

    page = shown(client, brewery)
    listed = words(shown(client, brewery, "alarms/"))

    assert "Schedule slot missed" in words(marked)
    assert "Schedule slot missed" not in words(part(page, "assets"))
    assert "Raised, closed by a person" in listed
