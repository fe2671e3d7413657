"""What one scrape costs the database and the process on an installation that is full.

    python -m bench.metrics [--plants 1000] [--commands 100000] [--rounds 20]

A private PostgreSQL (durable) with 10 connections; every command has a message and three events, 2,000 of them within
the last minutes. Each scrape asks the database anew (in operation at most one in 5 s does). Prints the median and the
longest of the scrapes in ms, the parts by their cost, the number of statements and the size of the answer; then what a
backup of that database takes, with and without digests.
"""

import argparse
import os
import statistics
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
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

from prometheus_client import generate_latest  # noqa: E402 - what follows reads the environment prepared above

from esm.backup import make_backup  # noqa: E402
from esm.postgres_tools import configured_database  # noqa: E402
from plants.models import LinkHealth, Plant, StreamHealth  # noqa: E402
from tests import factories  # noqa: E402
from tests.factories import AT  # noqa: E402
from watch.metrics import PARTS, DatabaseCollector  # noqa: E402

FILL_COMMANDS = """
INSERT INTO dispatch_command (organisation_id, plant_id, connection_id, kind, payload, state, state_at, cause,
    automatic, requested_by_name, requested_at, reason, request_digest, batch_ref, due_at, execution_overdue)
SELECT p.organisation_id, p.id, p.connection_id, 'mode', '{}', 'COMPLETED', at, '',
    true, 'bench', at, '', '', '', at, false
FROM generate_series(1, %s) n
    JOIN plants_plant p ON p.id = (SELECT min(id) FROM plants_plant) + n %% %s
    CROSS JOIN LATERAL (SELECT %s::timestamptz - (%s - n) * interval '0.25 second' AS at) t
"""
FILL_MESSAGES = """
INSERT INTO dispatch_outboundmessage (connection_id, plant_id, command_id, family, routing_key, message_id,
    correlation_id, body, signed, urgent, made_at, attempts, outcome, outcome_at, detail)
SELECT connection_id, plant_id, id, 'command.mode', 'k', gen_random_uuid(),
    gen_random_uuid(), '\\x00', true, false, requested_at, 1, 'CONFIRMED', requested_at, '' FROM dispatch_command
"""
FILL_EVENTS = """
INSERT INTO dispatch_commandevent (command_id, at, word, verdict, cause, actor, detail, outbound_id)
SELECT m.command_id, m.made_at, w.word, 'APPLIED', '', 'Voke', '{}', m.id
FROM dispatch_outboundmessage m CROSS JOIN (VALUES ('SENT'), ('ACCEPTED'), ('COMPLETED')) w (word) ORDER BY m.id
"""


def fill(plants: int, commands: int) -> None:
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
    for link in links:
        for role in LinkHealth.Role:
            LinkHealth.objects.create(connection=link, role=role, state="CONNECTED", since=AT, seen_at=AT)
        for stream in StreamHealth.Stream:
            StreamHealth.objects.create(
                connection=link, stream=stream, last_at=AT, last_sent_at=AT, skew_ms=1
            )
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(FILL_COMMANDS, [commands, plants, AT, commands])
        cursor.execute(FILL_MESSAGES)
        cursor.execute(FILL_EVENTS)
        cursor.execute("UPDATE dispatch_outboundmessage SET outcome = 'PENDING' WHERE id %% 1000 = 0", [])
        cursor.execute("ANALYZE")
        cursor.execute("RESET statement_timeout")


def scrape(at: datetime, *parts: str) -> tuple[float, int]:
    """One gathering of these parts, or of all: (how long it took in ms, bytes of the answer)."""
    began = perf_counter()
    chosen = {name: PARTS[name] for name in parts or PARTS}
    text = generate_latest(DatabaseCollector(clock=lambda: at, parts=chosen))
    assert b"part_up 0" not in text
    return (perf_counter() - began) * 1000, len(text)


def run(*, plants: int, commands: int, rounds: int) -> None:
    """Measure and print."""
    call_command("migrate", verbosity=0)
    fill(plants, commands)
    scrape(AT)
    took = [scrape(AT + timedelta(milliseconds=number)) for number in range(rounds)]
    times_ms = [one[0] for one in took]
    with CaptureQueriesContext(connection) as captured:
        scrape(AT)
    print(
        f"{plants} plants, {commands} commands: a scrape takes {statistics.median(times_ms):.0f} ms in the median of"
        f" {rounds}, {max(times_ms):.0f} ms at most; {len(captured)} statements, {took[0][1]} bytes"
    )
    costs = {name: statistics.median(scrape(AT, name)[0] for _ in range(5)) for name in PARTS}
    print(
        "  "
        + ", ".join(f"{name} {cost:.0f} ms" for name, cost in sorted(costs.items(), key=lambda one: -one[1]))
    )
    for digests in (True, False):
        with tempfile.TemporaryDirectory() as directory:
            began = perf_counter()
            dump, manifest = make_backup(
                directory=Path(directory),
                at=AT,
                database=configured_database(),
                digests=digests,
                timeout_s=600,
            )
            rows = sum(facts.rows for facts in manifest.tables.values())
            took_s, size_mb = perf_counter() - began, dump.stat().st_size / 1e6
        print(
            f"backup {'with' if digests else 'without'} digests: {took_s:.1f} s, {rows} rows, {size_mb:.1f} MB"
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plants", type=int, default=1000)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    with SERVER:
        run(plants=asked.plants, commands=asked.commands, rounds=asked.rounds)


if __name__ == "__main__":
    main()
