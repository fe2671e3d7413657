"""The raw parts of answering a list, each alone: an empty view of the same server, the SQL, the encoding, the INSERT.

The empty view has Django's handler and the URL map and no middleware. SQL and INSERT are prepared statements of psycopg
on as many connections, in as many threads, as the server has; each INSERT is durable before the next one of its thread.
A part knows nothing of the others.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter
from typing import Any

import msgspec
import psycopg
from django.http import HttpRequest, HttpResponse
from django.urls import path

from bench.world import START

SELECT = """
SELECT external_plant_id, name, NULLIF(description, ''), capacity_kwh, fve_peak_power_kwp, plant_with_load,
    config_enabled, esi_state
FROM plants_plant WHERE organisation_id = %s ORDER BY external_plant_id LIMIT 10001
"""
INSERT = """
INSERT INTO trading_api_pulljournal (at, count, organisation_id, credential_id, client_id, address, request_id,
    endpoint, method, plant_ref, status, result, detail, latency_ms, bytes_in, bytes_out, body)
VALUES (%s, 1, %s, %s, %s, '127.0.0.1', %s, 'list', 'GET', '', 200, '50 plants', '', 1.5, 0, 12000, '')
"""


def empty(_: HttpRequest) -> HttpResponse:
    """Nothing."""
    return HttpResponse()


urlpatterns = [path("trading/plant/list", empty)]


class Plant(msgspec.Struct, rename="camel"):
    """An item of the list."""

    plantId: str
    externalPlantId: str
    name: str
    description: str | None
    capacityKwh: float
    fvePeakPowerKwp: float | None
    plantWithLoad: bool
    configEnabled: bool
    esiState: str


def select_rate(url: str, *, organisation_id: int, threads: int, seconds: float) -> float:
    """Lists read a second."""

    def read(database: "psycopg.Connection[Any]", _: int) -> None:
        database.execute(SELECT, (organisation_id,)).fetchall()

    return _rate(url, read, threads=threads, seconds=seconds)


def insert_rate(url: str, *, organisation_id: int, credential_id: int, threads: int, seconds: float) -> float:
    """Journal rows a second."""

    def write(database: "psycopg.Connection[Any]", number: int) -> None:
        at = START + timedelta(milliseconds=number)
        values = (at, organisation_id, credential_id, "bench-client", f"{number:032x}")
        database.execute(INSERT, values)

    return _rate(url, write, threads=threads, seconds=seconds)


def encode_rate(url: str, *, organisation_id: int, seconds: float) -> float:
    """Bodies a second of rows that were read once."""
    with psycopg.connect(url, autocommit=True) as database:
        rows = database.execute(SELECT, (organisation_id,)).fetchall()
    encode = msgspec.json.Encoder().encode
    done, began = 0, perf_counter()
    while (took_s := perf_counter() - began) < seconds:
        encode([Plant(row[0], *row) for row in rows])
        done += 1
    return done / took_s


def _rate(
    url: str, once: Callable[["psycopg.Connection[Any]", int], None], *, threads: int, seconds: float
) -> float:
    counts = [0] * threads
    line = threading.Barrier(threads + 1)

    def body(place: int) -> None:
        with psycopg.connect(url, autocommit=True) as database:
            database.prepare_threshold = 0
            once(database, 0)
            line.wait(30)
            end = perf_counter() + seconds
            while perf_counter() < end:
                once(database, counts[place])
                counts[place] += 1

    workers = [threading.Thread(target=body, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    line.wait(30)
    began = perf_counter()
    for worker in workers:
        worker.join()
    return sum(counts) / (perf_counter() - began)
