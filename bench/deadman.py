"""What one evaluation of the dead-man rules costs on an installation that is full.

    python -m bench.deadman [--plants 1000] [--messages 100000] [--rounds 20]

A private PostgreSQL with 10 connections, plants that reported a meter row each minute of a day, answered commands and
dead letters. Prints the median and the longest of the evaluations in ms, and the slowest statements of the last one.
"""

import argparse
import os
import statistics
from datetime import timedelta
from time import perf_counter

import django
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scripts.production_env import production_environment
from tests.services.postgres import PostgresServer

FILL_METERS = """
INSERT INTO plants_meterreading (plant_id, device_id, reading_at, received_at, role, data_quality, quality_rank)
SELECT p.id, 'M1', m, m, 'GRID', 'GOOD', 3
FROM generate_series(%s::timestamptz - interval '1 day', %s::timestamptz, interval '1 minute') m, plants_plant p
"""
FILL_COMMANDS = """
INSERT INTO dispatch_command (organisation_id, plant_id, connection_id, kind, payload, state, state_at, cause, automatic,
    requested_by_name, requested_at, reason, request_digest, batch_ref, due_at, execution_overdue)
SELECT p.organisation_id, p.id, p.connection_id, 'mode', '{}', 'COMPLETED', %s, '', true, 'bench', %s, '', '', '', %s, false
FROM generate_series(1, %s) n JOIN plants_plant p ON p.id = (SELECT min(id) FROM plants_plant) + n %% %s
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plants", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with PostgresServer(durable=True) as server:
        os.environ |= production_environment(DATABASE_URL=server.url, LOG_LEVEL="ERROR")
        django.setup()
        call_command("migrate", verbosity=0)
        run(options)


def run(options: argparse.Namespace) -> None:
    from esm.ticks import PERIODS
    from tests.factories import AT
    from watch.limits import current_limits
    from watch.services.deadman import watch_all

    fill(options.plants, options.messages)
    watch_all(periods=PERIODS, at=AT, limits=current_limits())
    took_ms = []
    for number in range(options.rounds):
        at = AT + timedelta(seconds=15 * (number + 1))
        arrive(at)
        began = perf_counter()
        watch_all(periods=PERIODS, at=at, limits=current_limits())
        took_ms.append((perf_counter() - began) * 1000)
    print(f"{options.plants} plants, {options.messages} messages: one evaluation", end=" ")
    print(f"{statistics.median(took_ms):.0f} ms in the median, {max(took_ms):.0f} ms at most")
    with CaptureQueriesContext(connection) as captured:
        watch_all(periods=PERIODS, at=at + timedelta(seconds=15), limits=current_limits())
    print(f"{len(captured)} statements; the slowest:")
    for query in sorted(captured, key=lambda one: -float(one["time"]))[:3]:
        print(f"  {float(query['time']) * 1000:.0f} ms  {query['sql'][:110]}")


def fill(plants: int, messages: int) -> None:
    """Rows by SQL: only their number and age matter here."""
    from plants.models import Plant
    from plants.services.partitions import ensure_partitions
    from tests import factories
    from tests.factories import AT

    links = [factories.connection() for _ in range(10)]
    Plant.objects.bulk_create(
        Plant(
            organisation=links[n % 10].organisation, connection=links[n % 10], external_plant_id=f"P{n}", name=f"P{n}",
            created_at=AT, updated_at=AT,
        )
        for n in range(plants)
    )  # fmt: skip
    ensure_partitions(days=[(AT + timedelta(days=day)).date() for day in range(-2, 3)])
    with connection.cursor() as cursor:
        cursor.execute(FILL_METERS, [AT, AT])
        cursor.execute(FILL_COMMANDS, [AT, AT, AT, messages, plants])
        cursor.execute(
            "INSERT INTO dispatch_outboundmessage (connection_id, plant_id, command_id, family, routing_key, message_id, "
            "correlation_id, body, signed, urgent, made_at, attempts, outcome, outcome_at, detail"
            + place_column() + ") SELECT connection_id, plant_id, id, 'command.mode', 'k', gen_random_uuid(), "
            "gen_random_uuid(), '\\x00', true, false, %s, 1, 'CONFIRMED', %s, ''" + place_value() + " FROM dispatch_command",
            [AT, AT],
        )
        cursor.execute("ANALYZE")


def place_column() -> str:
    """Columns that later versions of the outbox need."""
    from dispatch.models import OutboundMessage

    return ", place" if any(field.column == "place" for field in OutboundMessage._meta.fields) else ""


def place_value() -> str:
    return ", id" if place_column() else ""


def arrive(at) -> None:
    """A minute's rows of every plant."""
    from plants.models import MeterReading, Plant

    MeterReading.objects.bulk_create(
        MeterReading(
            plant_id=pk, device_id="M1", reading_at=at, received_at=at, role="GRID", data_quality="GOOD", quality_rank=3
        )
        for pk in Plant.objects.values_list("pk", flat=True)
    )  # fmt: skip


if __name__ == "__main__":
    main()
