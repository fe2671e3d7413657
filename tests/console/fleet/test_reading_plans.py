"""What PostgreSQL makes of the fleet's statement: what is joined is put together once, not for each plant."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from console.fleet.facts_sql import FleetAsked, facts_of_plants
from dispatch.verification import ProofRules
from plants.models import Organisation
from tests.console import seed_fleet as seed
from tests.console.seed_fleet import NOW as AT

pytestmark = pytest.mark.django_db


def steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from steps(inner)


def executed(statement: str, values: list[Any]) -> list[dict[str, Any]]:
    """The steps of its plan, as they were carried out."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
        return list(steps(cursor.fetchone()[0][0]["Plan"]))


def test_open_alarms_are_counted_once_for_all_plants_even_where_the_server_expects_a_single_one(
    organisation: Organisation,
) -> None:
    seed.make_fleet(organisation, AT)
    asked = FleetAsked(organisation_id=organisation.pk, at=AT, proof=ProofRules(), tolerated_s={})
    statement, values = facts_of_plants(asked)
    with connection.cursor() as cursor:
        # What it does by itself of tables that nobody has analysed.
        cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        cursor.execute("SET LOCAL enable_material = off")

    found = executed(f"{statement} SELECT * FROM judged", values)

    (counted,) = [step for step in found if step["Node Type"] == "Aggregate"]
    assert counted["Actual Loops"] == 1


def test_the_slots_that_run_now_are_one_range_of_their_starts(organisation: Organisation) -> None:
    on = seed.link(organisation, AT)
    plants = [seed.plant(on, f"Depot {number}", number) for number in range(40)]
    seed.planned(plants, AT)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE schedules_planslot, schedules_planversion, schedules_dayplan, plants_plant")
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_nestloop = off")
    asked = FleetAsked(organisation_id=organisation.pk, at=AT, proof=ProofRules(), tolerated_s={})
    statement, values = facts_of_plants(asked)

    found = executed(f"{statement} SELECT * FROM judged", values)

    (by_start,) = [step for step in found if step.get("Index Name") == "slot_by_start"]
    assert by_start["Actual Loops"] == 1
