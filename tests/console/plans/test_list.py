"""The schedules' list: plants x days, in a number of statements that does not grow with the plants."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from console.plans.listing import Asked, days_of, page_of
from plants.models import Organisation, Plant
from tests import factories
from tests.console.plans.test_day_page import TODAY, TOMORROW, address
from tests.console.seed_plans import draft_of, published, running_day
from tests.factories import AT
from tests.queries import queries_of

LIST = "/console/plans/"


def names(client: Client, query: str = "") -> list[str]:
    page = client.get(f"{LIST}{query}")
    assert page.status_code == 200
    return re.findall(r'<th scope="row"><a [^>]*><b>([^<]+)</b>', page.content.decode())


def test_the_list_shows_each_plant_once_and_nobody_elses(
    viewer_client: Client, make_plant: Callable[..., Plant]
) -> None:
    make_plant(name="Beta")
    make_plant(name="Alpha")
    factories.plant(name="Theirs")

    assert names(viewer_client) == ["Alpha", "Beta"]


def test_a_cell_tells_version_draft_and_what_became_of_the_slots(
    organisation: Organisation, plant: Plant, link: object
) -> None:
    running_day(plant, at=AT)
    draft_of(plant, TOMORROW, at=AT, scale=3)

    found = page_of(organisation, Asked(first=TODAY - timedelta(days=1)), today=TODAY, at=AT)

    _, today, tomorrow, *_ = found.lines[0].cells
    assert today.in_force is not None and today.in_force.number == 1
    assert today.ended["verified"] > today.ended["doubt"] > 0
    assert today.ended["missed"] == 1
    assert tomorrow.draft is not None and tomorrow.conflicts > 0 and tomorrow.in_force is None


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        ("all", ["Drafted", "Empty", "Running", "Wrong"]),
        ("unplanned", ["Empty", "Running"]),
        ("drafts", ["Drafted", "Wrong"]),
        ("conflicts", ["Wrong"]),
        ("off", ["Running"]),
        ("nonsense", ["Drafted", "Empty", "Running", "Wrong"]),
    ],
)
def test_a_view_shows_the_plants_that_it_is_about(
    viewer_client: Client, make_plant: Callable[..., Plant], show: str, expected: list[str]
) -> None:
    made = {name: make_plant(name=name) for name in ("Running", "Drafted", "Wrong", "Empty")}
    running_day(made["Running"], at=AT)
    draft_of(made["Drafted"], TOMORROW, at=AT)
    draft_of(made["Wrong"], TOMORROW, at=AT, scale=3)

    assert names(viewer_client, f"?show={show}") == expected


def test_pages_follow_each_other_without_losing_or_repeating_a_plant(
    viewer_client: Client, make_plant: Callable[..., Plant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.plans.listing.PAGE", 2)
    for name in ("Twin", "Twin", "Twin", "Alpha", "Zulu"):
        make_plant(name=name)
    seen, address = [], LIST
    while address:
        page = viewer_client.get(address).content.decode()
        seen += re.findall(r'/console/plants/(\d+)/"><b>', page)
        more = re.search(r'href="([^"]+after=\d+[^"]*)"', page)
        address = more[1].replace("&amp;", "&") if more else ""

    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize("query", ["?from=9999-12-31", "?from=x", "?after=999999999999", "?focus=2026-13-01"])
def test_an_address_that_makes_no_sense_opens_all_the_same(
    viewer_client: Client, plant: Plant, query: str
) -> None:
    assert names(viewer_client, query) == ["Brewery Přerov"]


def test_the_list_costs_the_same_number_of_statements_for_many_plants(
    viewer_client: Client, make_plant: Callable[..., Plant]
) -> None:
    for number in range(2):
        published(make_plant(name=f"P{number}"), TODAY, at=AT - timedelta(hours=8))
    few = queries_of(lambda: viewer_client.get(LIST))
    for number in range(6):
        draft_of(make_plant(name=f"Q{number}"), TOMORROW, at=AT)

    assert queries_of(lambda: viewer_client.get(LIST)) == few <= 26


def test_a_days_page_costs_the_same_number_of_statements_for_many_slots(
    operator_client: Client, make_plant: Callable[..., Plant]
) -> None:
    quarters, fives = make_plant(), make_plant(slot_minutes=5)
    for one in (quarters, fives):
        published(one, TODAY, at=AT - timedelta(hours=8))

    few = queries_of(lambda: operator_client.get(address(quarters, TODAY)))

    assert queries_of(lambda: operator_client.get(address(fives, TODAY))) == few <= 40


def test_planning_a_day_leads_to_the_one_plant_that_fits(operator_client: Client, plant: Plant) -> None:
    answer = operator_client.get("/console/plans/start/", {"plant": "brewery", "day": str(TOMORROW)})

    assert answer.headers["Location"] == f"{address(plant, TOMORROW)}?edit=1"


def test_several_plants_that_fit_are_offered(
    operator_client: Client, make_plant: Callable[..., Plant]
) -> None:
    make_plant(name="Cold store A"), make_plant(name="Cold store B")

    page = operator_client.get(
        "/console/plans/start/", {"plant": "cold", "day": str(TOMORROW)}
    ).content.decode()

    assert "Cold store A" in page and "Cold store B" in page


def test_the_list_has_five_days() -> None:
    assert [day.day for day in days_of(TODAY)] == [2, 3, 4, 5, 6]


def test_a_search_for_what_no_name_can_hold_finds_nothing(viewer_client: Client, plant: Plant) -> None:
    assert names(viewer_client, "?q=%00") == []
