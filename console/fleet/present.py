"""What a fleet does at the grid now, without a look at what is planned, commanded or alarmed."""

from typing import NamedTuple

from django.db import connection

from console.fleet.facts_sql import FleetAsked, sums_of_live


class Present(NamedTuple):
    """How many plants there are, how many of them are live, and what these take from the grid together."""

    plants: int
    live: int
    net_kw: float


def present(asked: FleetAsked) -> Present:
    """Of all plants of the organisation. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(*sums_of_live(asked))
        return Present(*cursor.fetchone())
