"""A fleet as an operator's page shows it: a day of plans and commands, states of now, and ten million samples behind.

All of it is made by the server itself. The samples and rollups lie in a schema of their own (`bench.seed_history`), so
that other rows do not meet them; what else is made belongs to an organisation of its own.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bench.seed_history import PERIOD_S, History, seed, use
from bench.world import World

if TYPE_CHECKING:
    from django.test import Client

PRESENT = datetime(2026, 1, 13, 13, 7, 7, tzinfo=UTC)
READINGS_FOR = timedelta(hours=28)
PLANTS, QUICK_PLANTS = 1000, 100
_STATES = """
    INSERT INTO plants_plantstate (plant_id, measured_at, received_at, grid_power_kw, fve_power_kw, battery_power_kw,
        consumption_power_kw, soc_pct, data_quality, operating_mode, mode, mode_reason, devices)
    SELECT id, %(at)s - make_interval(secs => CASE WHEN id %% 60 = 0 THEN 900 ELSE 1 + id %% 8 END), %(at)s,
           -100 + 80 * random() * (id %% 5 = 0)::int, 150 * random(), 40 * random() - 20, 60 * random(),
           100 * random(), 'GOOD', 'STANDARD', '', '', '[]'
      FROM plants_plant WHERE id = ANY(%(plants)s)
"""
_PLANS = """
    WITH plan AS (
      INSERT INTO schedules_dayplan (organisation_id, plant_id, day, time_zone, made_at)
      SELECT organisation_id, id, %(day)s, time_zone, %(at)s FROM plants_plant WHERE id = ANY(%(plants)s)
      RETURNING id
    ), version AS (
      INSERT INTO schedules_planversion (plan_id, number, state, origin, carrier, note, problems, made_at,
          made_by_name, published_at, published_by_name)
      SELECT id, 1, 'PUBLISHED', 'PERSON', 'DISPATCHER', '', '[]', %(at)s, 'ann', %(at)s, 'ann' FROM plan
      RETURNING id
    )
    INSERT INTO schedules_planslot (version_id, start_at, end_at, type, value, direction, include_consumption, priority)
    SELECT id, start_at, start_at + '15 min'::interval, 'POWER', 100, 'EXPORT', TRUE, 'NORMAL'
      FROM version CROSS JOIN generate_series(%(midnight)s::timestamptz, %(midnight)s::timestamptz + '23:45', '15 min')
           AS start_at
"""
_COMMANDS = """
    INSERT INTO dispatch_command (organisation_id, plant_id, connection_id, kind, payload, state, state_at, cause,
        automatic, requested_by_name, requested_at, reason, request_digest, batch_ref, due_at, execution_overdue)
    SELECT organisation_id, id, connection_id, 'site-setpoint', '{{}}',
           CASE WHEN id %% 50 = 7 AND moment > %(at)s - interval '15 min' THEN 'UNCONFIRMED' ELSE 'COMPLETED' END,
           moment, '', TRUE, 'plan', moment, '', '', '', moment, FALSE
      FROM plants_plant
     CROSS JOIN generate_series(%(at)s::timestamptz - interval '1 day', %(at)s::timestamptz, '15 min') AS moment
     WHERE id = ANY(%(plants)s) ORDER BY moment, id
"""
_SILENCES = """
    INSERT INTO dispatch_diagnosis (command_id, organisation_id, silence, asked_at, stage, cause, confidence, next_step,
        evidence, attempts, ended_by)
    SELECT id, organisation_id, 'NO_ACK', state_at, 'DONE', '', '', '', '[]', 0, '' FROM dispatch_command
     WHERE state = 'UNCONFIRMED' AND plant_id = ANY(%(plants)s)
"""
_ALARMS = """
    INSERT INTO plants_alarm (organisation_id, connection_id, plant_id, origin, alarm_id, severity, code, message,
        device_id, raised_at, told_at, received_at, breached_field)
    SELECT NULL, connection_id, id, 'VOKE', 'bench-' || id, 'WARNING', 'CONSTRAINT_VIOLATION', '', '', %(at)s, %(at)s,
           %(at)s, ''
      FROM plants_plant WHERE id = ANY(%(plants)s) AND id %% 30 = 0
"""
_OVERRIDES = """
    INSERT INTO schedules_override (organisation_id, plant_id, payload, begun_at, until_at, by_name, reason, end_cause,
        ended_by_name)
    SELECT organisation_id, id, '{{}}', %(at)s - interval '10 min', %(at)s + interval '30 min', 'ann', 'price', '', ''
      FROM plants_plant WHERE id = ANY(%(plants)s) AND id %% 70 = 0
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one address costs: milliseconds of the whole of Django, statements, and bytes."""

    p50_ms: float
    p99_ms: float
    queries: int
    size: int


class Fleet:
    """The pages of an organisation; made when first asked for.

    More plants than PLANTS speak the more seldom, so that there are ten million samples at most; there are as many
    quarter-hours, plans and commands of each plant.
    """

    def __init__(self, world: World, *, plants: int | None = None) -> None:
        self.world = world
        self.plants = plants or (QUICK_PLANTS if world.quick else PLANTS)
        """How many there are."""
        self._told: dict[str, Answer] = {}

    @cached_property
    def history(self) -> History:
        """The samples and what is made of them."""
        side = self.world.side()
        made = self.world.plants(side.connection, self.plants)
        history = History(
            schema="console",
            plant_ids=[plant.pk for plant in made],
            rollups_from=PRESENT - READINGS_FOR,
            readings_from=PRESENT - READINGS_FOR,
            present=PRESENT,
            period_s=PERIOD_S * max(1, round(self.plants / PLANTS)),
        )
        readings = seed(self.world.postgres.url, history)
        began = perf_counter()
        self._seed_present(history)
        print(
            f"console: {self.plants} plants, {readings:,} samples; plans and commands in"
            f" {perf_counter() - began:.1f} s",
            file=sys.stderr,
            flush=True,
        )
        return history

    def _seed_present(self, history: History) -> None:
        about: Mapping[str, Any] = {
            "plants": list(history.plant_ids),
            "at": PRESENT,
            "day": PRESENT.date(),
            "midnight": datetime(2026, 1, 12, 23, 0, tzinfo=UTC),
        }
        with self.world.database() as database:
            for statement in (_STATES, _PLANS, _COMMANDS, _SILENCES, _ALARMS, _OVERRIDES):
                database.execute(statement.replace("{{}}", "{}"), about)
            for table in (
                "plants_plant", "plants_plantstate", "schedules_dayplan", "schedules_planversion", "schedules_planslot",
                "dispatch_command", "dispatch_diagnosis", "plants_alarm", "schedules_override",
            ):  # fmt: skip
                database.execute(f"VACUUM (ANALYZE) {table}")

    @cached_property
    def client(self) -> "Client":
        """Signed in as an operator of the organisation."""
        from django.conf import settings  # noqa: PLC0415
        from django.test import Client  # noqa: PLC0415 - after the settings

        from plants.models import Plant, User  # noqa: PLC0415

        owner = Plant.objects.select_related("organisation").get(pk=self.history.plant_ids[0]).organisation
        user = User.objects.create_user("bench-operator", organisation=owner, role="OPERATOR")
        settings.TWO_FACTOR = "optional"  # signing in is not what is measured
        client = Client(SERVER_NAME="localhost")
        client.force_login(user)
        return client

    def answer(self, address: str, **headers: str) -> Answer:
        """Asked for many times; the first answers do not count."""
        with self.there():
            queries, size = self._look(address, headers)
            times_ms = [self._time(address, headers) for _ in range(30 if self.world.quick else 200)][5:]
        cuts = statistics.quantiles(times_ms, n=100)
        found = Answer(p50_ms=cuts[49], p99_ms=cuts[98], queries=queries, size=size)
        if address not in self._told:
            self._told[address] = found
            print(
                f"{address}: p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, {queries} statements,"
                f" {size / 1024:.0f} kB",
                file=sys.stderr,
                flush=True,
            )
        return found

    @contextmanager
    def there(self) -> Iterator[None]:
        """At the present of the samples, with their schema first on the path."""
        from django.db import connection  # noqa: PLC0415

        from esm import clock  # noqa: PLC0415

        history = self.history
        self.client  # noqa: B018 - made before anything is measured
        with clock.frozen(PRESENT):
            with connection.cursor() as cursor:
                use(cursor, history.schema)
            try:
                yield
            finally:
                with connection.cursor() as cursor:
                    use(cursor, "public")

    def _look(self, address: str, headers: Mapping[str, str]) -> tuple[int, int]:
        from django.db import connection  # noqa: PLC0415
        from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

        with CaptureQueriesContext(connection) as context:
            response = self.client.get(address, headers=headers)
        if response.status_code != 200:
            raise RuntimeError(f"{address} answers {response.status_code}")
        return len(context), len(response.content)

    def _time(self, address: str, headers: Mapping[str, str]) -> float:
        began = perf_counter()
        self.client.get(address, headers=headers)
        return (perf_counter() - began) * 1000


def addresses() -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """What is measured, by name: the page and each part of it."""
    return {
        "page": ("/console/fleet/", {}),
        "list": ("/console/fleet/?view=all", {"HX-Request": "true", "HX-Target": "fleet-list"}),
        "search": ("/console/fleet/?q=7", {"HX-Request": "true", "HX-Target": "fleet-list"}),
        "top": ("/console/fleet/top/", {"HX-Request": "true"}),
        "day": ("/console/fleet/day/", {"HX-Request": "true"}),
    }


def rows_address(fleet: Fleet) -> str:
    """The address of 50 rows anew."""
    return f"/console/fleet/rows/?ids={','.join(map(str, fleet.history.plant_ids[:50]))}"
