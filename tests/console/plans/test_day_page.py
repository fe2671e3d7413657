"""The page of a planned day: what it shows to whom, and that nobody else's day opens."""

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from metering.days import local_day_of
from plants.models import Plant
from tests import factories
from tests.console.seed_plans import draft_of, published, running_day
from tests.factories import AT

TODAY = local_day_of(AT, zone="Europe/Prague").day
TOMORROW = TODAY + timedelta(days=1)


def address(plant: Plant, day: date, more: str = "") -> str:
    return f"/console/plants/{plant.pk}/plan/{day}/{more}"


def document(client: Client, plant: Plant, day: date, more: str = "") -> dict[str, Any]:
    page = client.get(address(plant, day, more))
    assert page.status_code == 200
    found = re.search(
        r'<script id="plan" type="application/json">(.*?)</script>', page.content.decode(), re.S
    )
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def test_an_empty_day_opens_as_an_editor_for_an_operator(operator_client: Client, plant: Plant) -> None:
    read = document(operator_client, plant, TOMORROW)

    assert read["editable"] is True
    assert len(read["grid"]) == 96
    assert read["rows"] == [None] * 96
    assert read["mark"] == 0


def test_a_day_without_slots_can_not_be_published_and_says_why(operator_client: Client, plant: Plant) -> None:
    empty = operator_client.get(address(plant, TOMORROW)).content.decode()
    draft_of(plant, TOMORROW, at=AT)
    drawn = operator_client.get(address(plant, TOMORROW)).content.decode()

    assert re.search(r"data-publish [^>]*disabled title=\"Nothing is planned yet", empty)
    assert re.search(r"data-publish (?![^>]*disabled)", drawn)


def test_a_viewer_reads_and_is_told_which_role_edits(viewer_client: Client, plant: Plant) -> None:
    draft_of(plant, TOMORROW, at=AT)

    page = viewer_client.get(address(plant, TOMORROW, "?edit=1"))

    assert document(viewer_client, plant, TOMORROW)["editable"] is False
    assert "take the role Operator" in page.content.decode()


def test_a_draft_that_is_read_claims_nothing_of_what_the_plan_in_force_does(
    viewer_client: Client, plant: Plant
) -> None:
    published(plant, TOMORROW, at=AT)
    draft_of(plant, TOMORROW, at=AT, scale=1.5)

    page = viewer_client.get(address(plant, TOMORROW)).content.decode()

    assert document(viewer_client, plant, TOMORROW)["outcomes"] is None
    assert 'id="slot-' in page and "Waiting" not in page


def test_a_plant_of_somebody_else_does_not_exist(operator_client: Client) -> None:
    theirs = factories.plant()

    assert operator_client.get(address(theirs, TOMORROW)).status_code == 404


@pytest.mark.parametrize("day", ["2026-02-30", "tomorrow", "1999-12-31", "2200-01-01"])
def test_what_is_no_day_is_not_found(operator_client: Client, plant: Plant, day: str) -> None:
    assert operator_client.get(f"/console/plants/{plant.pk}/plan/{day}/").status_code == 404


def test_a_published_day_shows_what_became_of_its_slots(viewer_client: Client, plant: Plant) -> None:
    running_day(plant, at=AT)

    read = document(viewer_client, plant, TODAY)

    words = {one["word"] for one in read["outcomes"] if one is not None}
    assert {"Verified", "6.4\u202fkW short", "Missed", "Waiting"} <= words


def test_what_has_begun_is_locked_and_stays_as_it_is_published(operator_client: Client, plant: Plant) -> None:
    published(plant, TODAY, at=AT - timedelta(hours=8))
    draft_of(plant, TODAY, at=AT, scale=0.5)

    read = document(operator_client, plant, TODAY)

    locked = sum(start <= read["at"] for start, *_ in read["grid"])
    assert locked == 17
    assert read["rows"][:locked] == read["published"]["rows"][:locked]
    assert read["rows"][locked] != read["published"]["rows"][locked]


@pytest.mark.parametrize(("day", "slots"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_a_day_with_a_clock_change_has_its_own_number_of_slots(
    operator_client: Client, plant: Plant, day: date, slots: int
) -> None:
    read = document(operator_client, plant, day)

    labels = [label for _, _, label, _ in read["grid"]]
    assert len(labels) == len(set(labels)) == slots


def test_slots_of_five_minutes_make_a_day_of_288(
    operator_client: Client, make_plant: Callable[..., Plant]
) -> None:
    read = document(operator_client, make_plant(slot_minutes=5), TOMORROW)

    assert len(read["grid"]) == 288


def test_a_limit_behind_the_bars_is_the_one_that_the_rules_know(
    operator_client: Client, plant: Plant
) -> None:
    limits = document(operator_client, plant, TOMORROW)["limits"]

    assert limits["site"] == {"EXPORT": 50.0, "IMPORT": 100.0}
    assert limits["EXPORT"]["hard"][0] == 50.0
    assert limits["EXPORT"]["soft"][0] is None or limits["EXPORT"]["soft"][0] <= 50.0
