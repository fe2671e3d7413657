"""The data of the day chart: what was planned, commanded and measured, with holes as holes."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import accumulate
from typing import Any

import pytest
from django.test import Client

from esm import clock
from metering.tiers import to_ms
from people.rights import Role
from plants.models import Organisation, Plant
from tests import factories
from tests.console import seed_plant
from tests.console.conftest import signed_in
from tests.console.seed_plant import NOON
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
MIDNIGHT = NOON.replace(hour=22, minute=0, second=0) - timedelta(days=1)


@pytest.fixture
def client(person: Callable[..., Any]) -> Client:
    with clock.frozen(NOON):
        return signed_in(person(Role.VIEWER))


def asked(client: Client, plant: Plant, at=NOON, **query: Any) -> dict[str, Any]:
    with clock.frozen(at):
        answer = client.get(f"/console/plants/{plant.pk}/day/", query)
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def at_minute(minute: float) -> int:
    return to_ms(MIDNIGHT + minute * MINUTE)


def rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


class TestLivedDay:
    @pytest.fixture
    def lived(self, organisation: Organisation) -> seed_plant.Lived:
        return seed_plant.lived_day(organisation, since_hour=11.5, hole=(12 * 60 + 35, 12 * 60 + 57))

    def test_the_whole_day_is_told_at_once(self, client, lived):
        data = asked(client, lived.plant, width=600)

        assert (data["from"], data["to"], data["now"]) == (at_minute(0), at_minute(1440), to_ms(NOON))
        planned = rows(data["planned"])
        assert (len(planned), planned[0]["grid_import_kw"], planned[-1]["grid_import_kw"]) == (50, -150, 40)
        assert data["plans"] == ["v1"]
        assert [row["text"] for row in planned[:2]] == ["Verified", "Verified"]
        assert planned[2]["text"].endswith("kW short")
        assert data["limits"] == {"import_kw": 400.0, "export_kw": 300.0}
        assert data["has_battery"] is True
        assert [(row["from"], row["min_pct"], row["max_pct"]) for row in rows(data["soc_window"])] == [
            (at_minute(0), 20.0, 95.0),
            (at_minute(360), 30.0, 95.0),
            (at_minute(1080), 15.0, 90.0),
        ]
        assert data["summary"].startswith("Export up to 275\u202fkW; no data for ")
        self._commanded_follows_the_plan_until_the_override(data, lived)
        self._the_hole_is_a_hole(data)

    def _commanded_follows_the_plan_until_the_override(self, data, lived):
        commanded = rows(data["commanded"])
        assert [row["grid_import_kw"] for row in commanded[:3]] == [-150, -150, -160]
        last = commanded[-1]
        assert (last["grid_import_kw"], last["command"], last["automatic"]) == (
            -275,
            lived.override.command_id,
            False,
        )
        assert last["to"] == to_ms(lived.override.until_at)
        (shade,) = rows(data["overrides"])
        assert (shade["from"], shade["to"]) == (
            to_ms(lived.override.begun_at),
            to_ms(lived.override.until_at),
        )

    def _the_hole_is_a_hole(self, data):
        before, hole = rows(data["gaps"])
        assert (before["from"], before["to"]) == (at_minute(0), at_minute(690))
        assert (hole["from"], hole["to"], hole["open"]) == (at_minute(755), at_minute(777), False)
        actual = data["actual"]
        assert actual["tier"] == "QUARTER"
        times = list(accumulate(actual["deltas"], initial=actual["start"]))
        within = actual["grid_import_kw"][times.index(at_minute(690))]
        assert round(within) == -150

    def test_a_wide_chart_has_every_sample_and_a_narrow_one_no_more_than_it_can_show(self, client, lived):
        wide, narrow = (asked(client, lived.plant, width=width)["actual"] for width in (900, 100))

        assert (wide["tier"], narrow["tier"]) == ("RAW", "QUARTER")
        assert len(wide["grid_import_kw"]) > 100
        assert len(narrow["grid_import_kw"]) <= 200

    def test_a_span_is_told_finer_than_its_day(self, client, lived):
        data = asked(client, lived.plant, width=400, **{"from": at_minute(720), "to": at_minute(780)})

        assert data["actual"]["tier"] == "RAW"
        assert (len(data["actual"]["grid_import_kw"]), len(data["planned"]["from"])) == (39, 4), (
            "22 minutes are missing, and a break stands for them"
        )
        assert data["ticks"]["text"][:2] == ["12:00", "12:05"]

    def test_a_span_over_midnight_has_the_plans_of_both_days(self, client, lived):
        seed_plant.plan_day(lived.plant, midnight=MIDNIGHT + timedelta(days=1))

        data = asked(client, lived.plant, **{"from": at_minute(1380), "to": at_minute(1500)})

        assert (len(data["planned"]["from"]), data["plans"]) == (8, ["v1", "v1"])

    def test_silence_until_now_is_an_open_hole(self, client, lived):
        data = asked(client, lived.plant, at=NOON + 20 * MINUTE, width=900)

        last = rows(data["gaps"])[-1]
        assert last["open"] is True
        assert (last["from"] < to_ms(NOON + 2 * MINUTE), last["to"]) == (True, to_ms(NOON + 20 * MINUTE))

    def test_the_number_of_statements_is_fixed(self, client, lived):
        asked(client, lived.plant)

        assert queries_of(lambda: asked(client, lived.plant, width=600)) == STATEMENTS


STATEMENTS = 26


class TestNothing:
    def test_a_plant_that_never_spoke_has_a_day_that_says_so(self, client, organisation):
        plant = factories.plant(on=factories.connection(owner=organisation), assets=[])

        data = asked(client, plant)

        assert data["planned"]["from"] == data["commanded"]["from"] == data["overrides"]["from"] == []
        assert [value for value in data["actual"]["grid_import_kw"] if value is not None] == []
        assert data["summary"] == "Nothing is measured yet; no plan is in force."
        assert data["has_battery"] is False

    def test_a_day_to_come_has_no_measurements_and_no_holes(self, client, organisation):
        plant = factories.plant(on=factories.connection(owner=organisation))

        data = asked(client, plant, day="2026-07-15")

        assert (data["actual"]["start"], data["gaps"]["from"]) == (None, [])

    def test_a_draft_is_no_plan(self, client, organisation):
        plant = seed_plant.brewery(organisation, at=NOON)
        seed_plant.draft_day(plant, midnight=MIDNIGHT)

        assert asked(client, plant)["planned"]["from"] == []

    @pytest.mark.parametrize(
        ("query", "path"),
        [
            ({"day": "soon"}, "day"),
            ({"from": "1784030000000"}, "to"),
            ({"from": "x", "to": "y"}, "from"),
            ({"width": "wide"}, "width"),
            ({"from": "1784030000000", "to": "1784930000000"}, "to"),
        ],
    )
    def test_what_can_not_be_shown_is_refused_with_its_place(self, client, organisation, query, path):
        plant = factories.plant(on=factories.connection(owner=organisation))

        with clock.frozen(NOON):
            answer = client.get(f"/console/plants/{plant.pk}/day/", query)

        assert (answer.status_code, answer.json()["path"]) == (422, path)

    def test_another_organisations_plant_is_unknown(self, client):
        plant = factories.plant()

        assert client.get(f"/console/plants/{plant.pk}/day/").status_code == 404
