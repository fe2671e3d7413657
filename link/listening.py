"""Hears what other processes ring (`dispatch.bell`): LISTEN on a connection of its own, outside of the pool.

While it can't hear, the doorbell is told so and relays look as often as if there were no rings. A server that vanishes
without a word is noticed by TCP within half a minute; until then a relay finds what is new at its look of each second.
"""

import re
import threading
from typing import Any

import psycopg
import structlog
from django.db import DatabaseError, connection

from dispatch.bell import CHANNEL, heard_by
from link.doorbell import Doorbell
from link.reconnect import Backoff

log = structlog.get_logger(__name__)
STOP_WITHIN_S = 0.5
_ID = re.compile(r"[0-9]{1,18}")


def listen(doorbell: Doorbell, stop: threading.Event) -> None:
    """Pass every ring on to the doorbell until `stop`, which ends it within half a second."""
    with heard_by(doorbell.ring):
        if connection.vendor != "postgresql":  # one process writes, and it calls directly
            doorbell.rely(True)
            stop.wait()
            doorbell.rely(False)
            return
        backoff = Backoff()
        while not stop.is_set():
            try:
                _hear(doorbell, stop, backoff)
            except (psycopg.Error, DatabaseError) as error:
                log.warning("outbox bell not heard", action="relay.deaf", error=type(error).__name__)
                backoff.wait(stop)


def _hear(doorbell: Doorbell, stop: threading.Event, backoff: Backoff) -> None:
    with _session() as session:
        session.execute(f"LISTEN {CHANNEL}")
        backoff.reset()
        doorbell.rely(True)
        try:
            while not stop.is_set():
                for note in session.notifies(timeout=STOP_WITHIN_S):
                    # Whoever may connect to the database may say anything on the channel.
                    if _ID.fullmatch(note.payload):
                        doorbell.ring(int(note.payload))
        finally:
            doorbell.rely(False)


def _session() -> "psycopg.Connection[Any]":
    """With the parameters of Django's connections, time limits and keepalives among them."""
    return psycopg.connect(**connection.get_connection_params(), autocommit=True)
