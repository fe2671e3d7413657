"""Voke's side as a background: telemetry of many sites at a steady rate, from a process of its own.

    python -m bench.chorus     a `Song` as one line of JSON on standard input; says `speaking`, goes on until killed

The first `ahead` messages are made before it begins, the rest on the way.
"""

import json
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from time import perf_counter

import pika
from pika.adapters.blocking_connection import BlockingChannel

from bench.messages import METERS_EVERY, ROUND_S, Voice, Wire
from tests.services.ca import client_context

SLICE_S = 0.02
MOST_WAITING, LOOK_AFTER = 2_000, 200
"""As fast as it can: after so many messages it looks how many of them wait in the queue."""


@dataclass(frozen=True, kw_only=True)
class Song:
    """Who speaks where, how many messages a second; `start` is the time that the first ones tell, ISO 8601.

    `per_s` 0 = as fast as it can, while no more than MOST_WAITING messages lie in `queue`.
    """

    uri: str
    ca_file: str
    prefix: str
    sites: list[str]
    per_s: float
    start: str
    ahead: int
    queue: str


def sing(song: Song) -> None:
    """Publish, persistent, `per_s` messages a second in slices of 20 ms, or as many as are taken."""
    words = _words(song)
    ahead = deque(islice(words, song.ahead))
    parameters = pika.URLParameters(song.uri)
    parameters.ssl_options = pika.SSLOptions(client_context(Path(song.ca_file)), "localhost")
    persistent = pika.BasicProperties(content_type="application/json", delivery_mode=2)
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        print("speaking", flush=True)
        pace, began, said = threading.Event(), perf_counter(), 0
        while True:
            wanted = _wanted(song, channel, said=said, passed_s=perf_counter() - began)
            for _ in range(wanted):
                wire = ahead.popleft() if ahead else next(words)
                channel.basic_publish("vcp", wire.routing_key, wire.body, persistent)
            said += wanted
            connection.process_data_events(0)
            if song.per_s or not wanted:
                pace.wait(SLICE_S)


def _wanted(song: Song, channel: BlockingChannel, *, said: int, passed_s: float) -> int:
    """How many messages are to be said now."""
    if song.per_s:
        return max(0, int(passed_s * song.per_s) - said)
    waiting = channel.queue_declare(song.queue, passive=True).method.message_count
    return LOOK_AFTER if waiting <= MOST_WAITING - LOOK_AFTER else 0


def _words(song: Song) -> Iterator[Wire]:
    voice, start = Voice(prefix=song.prefix, seed=hash(song.start)), datetime.fromisoformat(song.start)
    while True:
        yield from voice.rounds(song.sites, count=METERS_EVERY, start=start)
        start += timedelta(seconds=ROUND_S * METERS_EVERY)


if __name__ == "__main__":
    sing(Song(**json.loads(sys.stdin.readline())))
