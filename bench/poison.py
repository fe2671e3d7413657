"""How long a batch with poison messages keeps its good ones waiting.

    python -m bench.poison [--batch 500] [--repeat 5] 2>/dev/null

On a private PostgreSQL (durable: every commit reaches the disk). A batch of one connection, 60 % realtime telemetry of
50 plants, 20 % meters, 20 % alarms, holds 0, 1, 5 and 50 of them as alarms that parse and that the database refuses, at
random places. Prints for each number of them the median and the worst of: seconds until the last good message is
committed (seen by another connection), seconds until `receive` is done, seconds of this process's CPU; transactions.
"""

import argparse
import json
import os
import random
import statistics
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import perf_counter, process_time
from typing import Any

import django
import msgspec
import psycopg
from django.core.management import call_command

from scripts.production_env import production_environment
from tests.services.postgres import PostgresServer

POISON = (0, 1, 5, 50)
PLANTS = 50
START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
_LOOK_EVERY_S = 0.002
_REFUSED = "dead0000-"
_STORED = """
SELECT (SELECT count(*) FROM plants_inboundmessage WHERE received_at = %(at)s)
     + (SELECT count(*) FROM plants_telemetryreading WHERE measured_at >= %(day)s AND received_at = %(at)s)
     + (SELECT count(*) FROM plants_meterreading WHERE reading_at >= %(day)s AND received_at = %(at)s)
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One batch: until the last good message was committed, until the call returned, our own work, transactions."""

    good_s: float
    whole_s: float
    cpu_s: float
    transactions: int


@dataclass(kw_only=True)
class Bench:
    """The platform's side: a connection with plants, and where to look from outside."""

    url: str
    link: Any
    plants: Sequence[Any]
    chance: random.Random = field(default_factory=lambda: random.Random(20260102))

    def run(self, *, batch: int, poison: int, at: datetime) -> Run:
        """Receive one batch and watch its good messages arrive."""
        from link.inbox import receive  # noqa: PLC0415 - models need the settings of this run
        from tests.link.helpers import inlet  # noqa: PLC0415

        messages = self._batch(batch - poison, poison, at=at)
        steps: list[float] = []
        with self._watched(at=at, good=batch - poison) as seen_at:
            began, cpu_began = perf_counter(), process_time()
            report = receive(
                messages, inlet=inlet(self.link), at=at, on_step=lambda: steps.append(perf_counter())
            )
            ended, cpu_s = perf_counter(), process_time() - cpu_began
        assert (report.applied, report.dead_letters) == (batch - poison, poison), report
        return Run(good_s=seen_at[0] - began, whole_s=ended - began, cpu_s=cpu_s, transactions=len(steps))

    def _batch(self, good: int, poison: int, *, at: datetime) -> list[Any]:
        from tests.link.helpers import alarm, meter, realtime  # noqa: PLC0415

        made: list[Any] = []
        for number in range(good):
            plant, moment = self.plants[number % PLANTS], at + timedelta(milliseconds=number)
            kind = number % 5
            if kind < 3:
                made.append(realtime(plant, at=moment))
            else:
                made.append(meter(plant, at=moment) if kind == 3 else alarm(plant, f"a{at}{number}", at=at))
        for number in range(poison):
            message_id = _REFUSED + str(uuid.UUID(int=self.chance.getrandbits(128), version=4))[9:]
            place = self.chance.randrange(len(made) + 1)
            plant = self.plants[number % PLANTS]
            made.insert(place, self._with_id(alarm(plant, f"p{number}", at=at), message_id))
        return made

    @staticmethod
    def _with_id(message: Any, message_id: str) -> Any:
        members = json.loads(message.body) | {"messageId": message_id}
        return msgspec.structs.replace(message, body=json.dumps(members).encode())

    @contextmanager
    def _watched(self, *, at: datetime, good: int) -> Iterator[list[float]]:
        """When the last good message was seen, once the block has ended."""
        seen_at: list[float] = []
        given_up = threading.Event()

        def look() -> None:
            with psycopg.connect(self.url, autocommit=True) as database:
                while not given_up.wait(_LOOK_EVERY_S):
                    row = database.execute(_STORED, {"at": at, "day": START}).fetchone()
                    if row is not None and row[0] >= good:
                        seen_at.append(perf_counter())
                        return

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield seen_at
            watcher.join(30)
        finally:
            given_up.set()
            watcher.join()


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.poison", description=__doc__)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with PostgresServer(durable=True) as server:
        os.environ.update(production_environment(DATABASE_URL=server.url, LOG_LEVEL="ERROR"))
        bench = prepared(server.url)
        runs = measure(bench, batch=options.batch, repeat=options.repeat)
    print(f"batch of {options.batch}, {options.repeat} repeats: median (worst)")
    print("poison  good committed s   receive done s     our CPU s          transactions")
    for count, found in runs.items():
        columns = [_column([getattr(one, name) for one in found]) for name in ("good_s", "whole_s", "cpu_s")]
        print(f"{count:>6}  {columns[0]:<17}  {columns[1]:<17}  {columns[2]:<17}  {found[0].transactions}")


def prepared(url: str) -> Bench:
    """Tables, one connection with plants, and a rule of the database that refuses poison."""
    django.setup()
    from django.db import connection  # noqa: PLC0415

    from tests import factories  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    link = factories.connection()
    plants = [factories.plant(on=link, assets=[]) for _ in range(PLANTS)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE plants_inboundmessage ADD CONSTRAINT poison CHECK (message_id NOT LIKE '{_REFUSED}%')"
        )
    return Bench(url=url, link=link, plants=plants)


def measure(bench: Bench, *, batch: int, repeat: int) -> dict[int, list[Run]]:
    """Runs by number of poison messages, interleaved so that the machine's moods spread over all."""
    runs: dict[int, list[Run]] = {count: [] for count in POISON}
    for number in range(repeat + 1):
        for place, count in enumerate(POISON):
            at = START + timedelta(minutes=number, seconds=place)
            found = bench.run(batch=batch, poison=count, at=at)
            if number:  # the first round warms up
                runs[count].append(found)
    return runs


def _column(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({max(values):.3f})"


if __name__ == "__main__":
    main()
