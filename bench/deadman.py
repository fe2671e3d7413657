"""What one evaluation of the dead-man rules costs on an installation that is full.

    python -m bench.deadman [--plants 1000] [--messages 100000] [--rounds 20]

A private PostgreSQL (durable) with 10 connections, plants that reported a meter row each minute of a day, and answered
commands. Before each evaluation a meter row of every plant arrives. Prints the median and the longest of the
evaluations in ms, the number of statements of the last one, and the slowest three of them.
"""

import argparse
import os
import statistics
from datetime import datetime, timedelta
from time import perf_counter

import django
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scripts.production_env import production_environment
from tests.services.postgres import PostgresServer

SERVER = PostgresServer(durable=True)
os.environ.update(production_environment(DATABASE_URL=SERVER.url, LOG_LEVEL="ERROR"))
django.setup()

from esm.ticks import PERIODS  # noqa: E402 - reads the environment prepared above
from plants.models import MeterReading, Plant  # noqa: E402
from plants.services.partitions import ensure_partitions  # noqa: E402
from tests import factories  # noqa: E402
from tests.factories import AT  # noqa: E402
from watch.limits import current_limits  # noqa: E402
from watch.services.deadman import watch_all  # noqa: E402

FILL_METERS = """
INSERT INTO plants_meterreading (plant_id, device_id, reading_at, received_at, role, data_quality, quality_rank)
SELECT p.id, 'M1', m, m, 'GRID', 'GOOD', 3
FROM generate_series(%s::timestamptz - interval '1 day', %s::timestamptz, interval '1 minute') m, plants_plant p
"""
FILL_COMMANDS = """
INSERT INTO dispatch_command (organisation_id, plant_id, connection_id, kind, payload, state, state_at, cause,
    automatic, requested_by_name, requested_at, reason, request_digest, batch_ref, due_at, execution_overdue)
SELECT p.organisation_id, p.id, p.connection_id, 'mode', '{}', 'COMPLETED', %s, '',
    true, 'bench', %s, '', '', '', %s, false
FROM generate_series(1, %s) n JOIN plants_plant p ON p.id = (SELECT min(id) FROM plants_plant) + n %% %s
"""
FILL_MESSAGES = """
INSERT INTO dispatch_outboundmessage (connection_id, plant_id, command_id, family, routing_key, message_id,
    correlation_id, body, signed, urgent, made_at, attempts, outcome, outcome_at, detail)
SELECT connection_id, plant_id, id, 'command.mode', 'k', gen_random_uuid(),
    gen_random_uuid(), '\\x00', true, false, %s, 1, 'CONFIRMED', %s, '' FROM dispatch_command
"""


def fill(plants: int, messages: int) -> None:
    """Rows by SQL: only their number and age matter here."""
    links = [factories.connection() for _ in range(10)]
    Plant.objects.bulk_create(
        Plant(
            organisation=links[number % 10].organisation,
            connection=links[number % 10],
            external_plant_id=f"P{number}",
            name=f"P{number}",
            created_at=AT,
            updated_at=AT,
        )
        for number in range(plants)
    )
    ensure_partitions(days=[(AT + timedelta(days=day)).date() for day in range(-2, 3)])
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(FILL_METERS, [AT, AT])
        cursor.execute(FILL_COMMANDS, [AT, AT, AT, messages, plants])
        cursor.execute(FILL_MESSAGES, [AT, AT])
        cursor.execute("ANALYZE")
        cursor.execute("RESET statement_timeout")


def arrive(at: datetime) -> None:
    """One meter row of every plant."""
    MeterReading.objects.bulk_create(
        MeterReading(
            plant_id=pk, device_id="M1", reading_at=at, received_at=at, data_quality="GOOD", quality_rank=3
        )
        for pk in Plant.objects.values_list("pk", flat=True)
    )


def evaluate(at: datetime) -> float:
    """One evaluation; how long it took in ms."""
    began = perf_counter()
    watch_all(periods=PERIODS, at=at, limits=current_limits())
    return (perf_counter() - began) * 1000


def run(*, plants: int, messages: int, rounds: int) -> None:
    """Measure and print."""
    call_command("migrate", verbosity=0)
    fill(plants, messages)
    evaluate(AT)
    took_ms = []
    for number in range(1, rounds + 1):
        arrive(AT + timedelta(seconds=15 * number))
        took_ms.append(evaluate(AT + timedelta(seconds=15 * number)))
    print(
        f"{plants} plants, {messages} messages: an evaluation takes {statistics.median(took_ms):.0f} ms in the median "
        f"of {rounds}, {max(took_ms):.0f} ms at most"
    )
    with CaptureQueriesContext(connection) as captured:
        evaluate(AT + timedelta(seconds=15 * (rounds + 1)))
    print(f"{len(captured)} statements; the slowest:")
    for query in sorted(captured, key=lambda one: -float(one["time"]))[:3]:
        print(f"  {float(query['time']) * 1000:.0f} ms  {query['sql'][:100]}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plants", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    with SERVER:
        run(plants=asked.plants, messages=asked.messages, rounds=asked.rounds)


if __name__ == "__main__":
    main()
