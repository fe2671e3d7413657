"""Setpoints that are due at once, for whichever way sends them: made, awaited and counted in the same way for all.

Rules:
- Every way starts from the same rows: commands in SCHEDULED, all due, one for each plant unless told otherwise.
- A run counts only when every command is SENT and the broker holds as many messages as there were commands.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from time import perf_counter
from typing import Any

import psycopg

from bench.house import processes
from bench.world import START, Side, World
from dispatch.models import Command, Kind
from dispatch.states import State
from esm import clock
from plants.models import Connection, Plant
from vcp import Direction, Priority, SetpointType, SiteSetpoint, to_wire

TABLES = ("dispatch_command", "dispatch_outboundmessage", "dispatch_commandevent")
LONGEST_S = 300.0
LOOK_EVERY_S = 0.01


class Fleet:
    """A connection and its plants, made when first asked for."""

    def __init__(self, world: World, *, plants: int) -> None:
        self.world = world
        self._count = plants
        self._made: tuple[Side, Sequence[Plant]] | None = None

    @property
    def side(self) -> Side:
        """The partner key and our connection."""
        return self._make()[0]

    @property
    def plants(self) -> Sequence[Plant]:
        """The plants of the connection."""
        return self._make()[1]

    def empty(self) -> None:
        """From here on: no command and no message, neither in the database nor at the broker."""
        self.world.truncate(*TABLES)
        self.world.rabbit.purge(self.side.partner)

    def at_the_broker(self) -> int:
        """How many commands the broker holds for Voke."""
        partner = self.side.partner
        return self.world.rabbit.queue_depth(partner, partner.queues["command"])

    def _make(self) -> tuple[Side, Sequence[Plant]]:
        if self._made is None:
            side = self.world.side()
            self._made = side, self.world.plants(side.connection, self._count)
        return self._made


def payload() -> dict[str, Any]:
    """A setpoint as Voke is sent one."""
    return to_wire(
        SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=12.5,
            direction=Direction.EXPORT,
            include_consumption=True,
            priority=Priority.NORMAL,
            valid_from=START,
            valid_until=START + timedelta(minutes=15),
        )
    )


def plan(fleet: Fleet, count: int, *, each: int = 1) -> Sequence[Command]:
    """Store `count` setpoints that are due by now, `each` of them for one plant, round after round."""
    at = clock.now()
    words = payload()
    drafts = [
        Command(
            organisation_id=plant.organisation_id,
            plant=plant,
            connection=fleet.side.connection,
            kind=Kind.SITE_SETPOINT,
            payload=words,
            state=State.SCHEDULED,
            state_at=at,
            automatic=True,
            requested_by_name="plan",
            requested_at=at,
            request_digest="0" * 64,
            batch_ref="bench",
            due_at=at,
            deliver_by_at=at + timedelta(minutes=15),
        )
        for _ in range(each)
        for plant in fleet.plants[: count // each]
    ]
    made: Sequence[Command] = Command.objects.bulk_create(drafts, batch_size=2000)
    with fleet.world.database() as database:  # commands are planned hours ahead: autovacuum has been there
        database.execute("VACUUM ANALYZE dispatch_command")
    return made


@contextmanager
def running_relay(fleet: Fleet, *, amqps_uri: str | None = None) -> Iterator[None]:
    """`manage.py relay`, connected, until the block ends; `amqps_uri`: another way to the same broker."""
    row = Connection.objects.get(pk=fleet.side.connection.pk)
    row.amqps_uri = amqps_uri or fleet.side.partner.uri
    row.save()
    with processes(fleet.world, [fleet.side], "relay"):
        yield


def until_sent(fleet: Fleet, count: int, *, began: float) -> float:
    """Wait until every command is SENT; the seconds since `began` (perf_counter)."""
    pause = Event()
    with fleet.world.database() as database:
        while any_unsent(database):
            if perf_counter() - began > LONGEST_S:
                raise RuntimeError("the commands were not sent in time")
            pause.wait(LOOK_EVERY_S)
    took_s = perf_counter() - began
    check_sent(fleet, count)
    return took_s


def check_sent(fleet: Fleet, count: int) -> None:
    """Raises RuntimeError unless `count` commands are SENT and the broker holds `count` messages."""
    sent, held = Command.objects.filter(state=State.SENT).count(), fleet.at_the_broker()
    if (sent, held) != (count, count):
        raise RuntimeError(f"of {count} commands {sent} are SENT and {held} are at the broker")


def any_unsent(database: "psycopg.Connection[Any]") -> bool:
    """Whether a command still waits to be sent; on one connection, so that looking costs little."""
    query = "SELECT EXISTS (SELECT 1 FROM dispatch_command WHERE state IN ('SCHEDULED', 'QUEUED'))"
    row = database.execute(query).fetchone()
    return bool(row and row[0])
