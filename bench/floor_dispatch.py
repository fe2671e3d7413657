"""The raw parts of dispatching setpoints, each alone and with everything that is not itself prepared beforehand.

Sign: the envelope's canonical text, its HMAC, the bytes. COPY: outbox and both events as the platform stores them, into
the real tables with their indexes and foreign keys, one durable transaction per batch. Publish: py-amqp, persistent and
mandatory, all written before the confirms are awaited, no database. Update: one statement moves all commands.
"""

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import takewhile
from time import perf_counter
from typing import Any

import amqp
import psycopg
from amqp import spec
from psycopg.types.json import Jsonb

from bench.dispatching import Fleet, payload, plan
from dispatch.models import Command
from dispatch.services.due import DUE_BATCH
from esm import clock
from vcp import (
    EXCHANGE,
    SIGNATURE_ALGO,
    VERSION,
    Family,
    encode_envelope,
    format_timestamp,
    parse_amqps_uri,
    routing_key,
    signed_envelope,
)

Row = tuple[Any, ...]

_PERSISTENT = 2
_OUTBOX = (
    "id, connection_id, plant_id, command_id, family, routing_key, message_id, correlation_id, body, signed, urgent, "
    "made_at, deliver_by_at, attempted_at, attempts, outcome, outcome_at, detail"
)
_OUTBOX_TYPES = (
    "int8", "int8", "int8", "int8", "varchar", "varchar", "uuid", "uuid", "bytea", "bool", "bool", "timestamptz",
    "timestamptz", "timestamptz", "int4", "varchar", "timestamptz", "varchar",
)  # fmt: skip
_EVENTS = "command_id, at, word, verdict, cause, actor, detail, outbound_id"
_EVENT_TYPES = ("int8", "timestamptz", "varchar", "varchar", "varchar", "varchar", "jsonb", "int8")


@contextmanager
def open_channel(fleet: Fleet, *, confirm_each: bool) -> Iterator[Any]:
    """A channel of py-amqp over TLS with confirms; `confirm_each`: publishing waits for its confirm."""
    partner = fleet.side.partner
    address = parse_amqps_uri(partner.uri)
    connection = amqp.Connection(
        host=f"{address.host}:{address.port}",
        userid=address.username,
        password=address.password,
        virtual_host=partner.vhost,
        ssl={"ca_certs": os.environ["AMQP_CA_FILE"], "server_hostname": address.host},
        confirm_publish=confirm_each,
    )
    connection.connect()
    try:
        yield connection.channel()
    finally:
        connection.close()


def amqp_message(body: bytes, *, message_id: str, correlation_id: str) -> Any:
    """A persistent message as Voke expects it."""
    return amqp.Message(
        body,
        content_type="application/json",
        delivery_mode=_PERSISTENT,
        message_id=message_id,
        correlation_id=correlation_id,
    )


class Floor:
    """The parts for `count` setpoints of a fleet; each answers setpoints per second."""

    def __init__(self, fleet: Fleet, count: int) -> None:
        self._fleet = fleet
        self._count = count

    def sign(self) -> float:
        """Sign and encode."""
        key, at, source = (
            self._fleet.side.partner.signing_key,
            clock.now(),
            self._fleet.side.connection.source,
        )
        envelopes = [
            _envelope(at, source, str(plant.voke_uuid), payload())
            for plant in self._fleet.plants[: self._count]
        ]
        began = perf_counter()
        for envelope in envelopes:
            encode_envelope(signed_envelope(envelope, key))
        return self._count / (perf_counter() - began)

    def copy(self) -> float:
        """Store the rows of outbox and events."""
        self._fleet.empty()
        rows = self._rows(self._plan())
        with self._fleet.world.database() as database:
            began = perf_counter()
            for first in range(0, self._count, DUE_BATCH):
                batch = rows[first : first + DUE_BATCH]
                with database.transaction():
                    _copy(
                        database,
                        "dispatch_outboundmessage",
                        _OUTBOX,
                        _OUTBOX_TYPES,
                        [row for row, _ in batch],
                    )
                    events = [event for _, both in batch for event in both]
                    _copy(database, "dispatch_commandevent", _EVENTS, _EVENT_TYPES, events)
            return self._count / (perf_counter() - began)

    def publish(self) -> float:
        """Write everything, then read until the last confirm."""
        self._fleet.empty()
        key = routing_key(self._fleet.side.connection.routing_prefix, Family.COMMAND_SITE_SETPOINT)
        words = (0, EXCHANGE, key, True, False)
        ids = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(self._count)]
        body = _bodies(self._fleet, 1)[0]
        unconfirmed = dict.fromkeys(range(1, self._count + 1))

        def on_ack(tag: int, multiple: bool) -> None:
            for one in list(takewhile(lambda other: other <= tag, unconfirmed)) if multiple else (tag,):
                del unconfirmed[one]

        with open_channel(self._fleet, confirm_each=False) as channel:
            channel.confirm_select()
            channel.events["basic_ack"].add(on_ack)
            began = perf_counter()
            for message_id, correlation_id in ids:
                message = amqp_message(body, message_id=message_id, correlation_id=correlation_id)
                channel.send_method(spec.Basic.Publish, "Bssbb", words, message)
            while unconfirmed:
                channel.connection.drain_events(timeout=30)
            took_s = perf_counter() - began
        if self._fleet.at_the_broker() != self._count:
            raise RuntimeError("the broker does not hold what was published")
        return self._count / took_s

    def update(self) -> float:
        """Move all commands to SENT."""
        self._fleet.empty()
        ids, at = [one.pk for one in self._plan()], clock.now()
        with self._fleet.world.database() as database:
            began = perf_counter()
            database.execute(
                "UPDATE dispatch_command SET state = 'SENT', state_at = %(at)s, cause = 'CONFIRMED', "
                "ack_due_at = %(at)s WHERE id = ANY(%(ids)s) AND state = 'SCHEDULED'",
                {"at": at, "ids": ids},
            )
            return self._count / (perf_counter() - began)

    def _plan(self) -> Sequence[Command]:
        return plan(self._fleet, self._count)

    def _rows(self, commands: Sequence[Command]) -> list[tuple[Row, tuple[Row, Row]]]:
        """For each command its row of the outbox, and its events QUEUED and SENT."""
        at = clock.now()
        key = routing_key(self._fleet.side.connection.routing_prefix, Family.COMMAND_SITE_SETPOINT)
        rows: list[tuple[Row, tuple[Row, Row]]] = []
        bodies = _bodies(self._fleet, len(commands))
        for number, (command, body) in enumerate(zip(commands, bodies, strict=True), start=1):
            outbound = (
                number, command.connection_id, command.plant_id, command.pk, Family.COMMAND_SITE_SETPOINT.value, key,
                uuid.uuid4(), uuid.uuid4(), body, True, False, at, command.deliver_by_at, at, 1, "CONFIRMED", at, "",
            )  # fmt: skip
            queued = (command.pk, at, "QUEUED", "APPLIED", "DUE", "", Jsonb({}), number)
            sent = (command.pk, at, "SENT", "APPLIED", "CONFIRMED", "relay", Jsonb({}), number)
            rows.append((outbound, (queued, sent)))
        return rows


def _copy(
    database: "psycopg.Connection[Any]", table: str, columns: str, types: Sequence[str], rows: Sequence[Row]
) -> None:
    with (
        database.cursor() as cursor,
        cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _bodies(fleet: Fleet, count: int) -> list[bytes]:
    """Signed messages for the first plants, as they go on the wire."""
    at, key, source = clock.now(), fleet.side.partner.signing_key, fleet.side.connection.source
    return [
        encode_envelope(signed_envelope(_envelope(at, source, str(plant.voke_uuid), payload()), key))
        for plant in fleet.plants[:count]
    ]


def _envelope(at: datetime, source: str, site_id: str, words: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "messageId": str(uuid.uuid4()),
        "timestamp": format_timestamp(at),
        "source": source,
        "siteId": site_id,
        "payload": words,
        "correlationId": str(uuid.uuid4()),
        "signatureAlgo": SIGNATURE_ALGO,
    }
