"""What our own tables tell of silent commands: a constant number of queries for any number of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import TextField
from django.db.models.functions import Cast

from dispatch.diagnosis import NOTHING, Check, Finding, Silence
from dispatch.models import Command, CommandEvent, Diagnosis, OutboundMessage
from dispatch.services.bulk import Among
from dispatch.stored_bytes import Expected, Sent, verify_again
from dispatch.surroundings import (
    Allowed,
    broker_finding,
    clock_finding,
    link_finding,
    publishing_finding,
    site_finding,
    skews_of,
)
from plants.encryption import UndecryptableSecret, decrypt
from plants.models import Alarm, Connection, ConnectionMode, Installation, Plant, PlantState
from plants.selectors.connections import SECRET_FIELDS
from plants.selectors.link_health import ConnectionHealth, connection_health
from vcp.said import Said, said, told_by

_OFFLINE = "OFFLINE"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """By command: the findings, and why Voke's log can't be asked ('' = it can)."""

    findings: Mapping[int, dict[Check, Finding]]
    unreadable: Mapping[int, Said]


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Everything that was read at once."""

    messages: Mapping[int, OutboundMessage]
    nacked: frozenset[int]
    connections: Mapping[int, Connection]
    keys: Mapping[int, "_Key"]
    health: Mapping[int, ConnectionHealth]
    spoke_at: Mapping[int, datetime | None]
    alarms: Mapping[int, str]
    installation_on: bool


@dataclass(frozen=True, kw_only=True)
class _Key:
    """A connection's signing key, or why there is none to verify with."""

    text: str = field(repr=False, default="")
    problem: Said = NOTHING


def gather(*, diagnoses: Sequence[Diagnosis], at: datetime) -> Evidence:
    """Look at everything but Voke's log. The diagnoses bring their commands and plants."""
    known = _read(diagnoses, at)
    findings = {row.pk: {one.check: one for one in _findings(row, known, at)} for row in diagnoses}
    unreadable = {row.pk: _unreadable(row.command, known) for row in diagnoses}
    return Evidence(findings=findings, unreadable=unreadable)


def _read(diagnoses: Sequence[Diagnosis], at: datetime) -> _Known:
    ids = [row.pk for row in diagnoses]
    plant_ids = {row.command.plant_id for row in diagnoses}
    connection_ids = {row.command.connection_id for row in diagnoses}
    connections = Connection.objects.defer(*SECRET_FIELDS).in_bulk(connection_ids)
    states = PlantState.objects.filter(plant_id__in=plant_ids).values_list("plant_id", "received_at")
    alarms = Alarm.objects.filter(plant_id__in=plant_ids, cleared_at__isnull=True, code__icontains=_OFFLINE)
    nacked = CommandEvent.objects.filter(Among(ids, of="command_id"), word="NACKED").order_by()
    return _Known(
        messages=_messages_of(diagnoses),
        nacked=frozenset(nacked.values_list("command_id", flat=True).distinct()),
        connections=connections,
        keys=_signing_keys(connection_ids),
        health=connection_health(connections=connections.values(), at=at),
        spoke_at=dict(states),
        alarms={pk: code for pk, code in alarms.values_list("plant_id", "code") if pk is not None},
        installation_on=not Installation.objects.filter(pk=1, dispatch_enabled=False).exists(),
    )


def _signing_keys(connection_ids: Collection[int]) -> dict[int, _Key]:
    """Decrypted one by one: a key that can't be read must stop no other connection."""
    rows = Connection.objects.filter(pk__in=connection_ids).annotate(
        stored=Cast("signing_key", output_field=TextField())
    )
    return {pk: _key_of(stored) for pk, stored in rows.values_list("pk", "stored")}


def _key_of(stored: str) -> _Key:
    if not stored:
        return _Key(problem=said("the connection has no signing key now"))
    try:
        return _Key(text=decrypt(stored))
    except UndecryptableSecret as error:
        return _Key(problem=said("the stored key %(problem)s", problem=told_by(error)))


def _messages_of(diagnoses: Sequence[Diagnosis]) -> dict[int, OutboundMessage]:
    """The newest attempted message of each command, of an emergency the newest of which the broker said what is asked.

    It may have been issued again meanwhile.
    """
    asked = {row.pk: row.silence for row in diagnoses}
    rows = OutboundMessage.objects.filter(Among(asked, of="command_id"), attempted_at__isnull=False).order_by(
        "pk"
    )
    found: dict[int, OutboundMessage] = {}
    for row in rows:
        pk = row.command_id
        if pk is not None and (row.outcome == asked[pk] or pk not in found or found[pk].outcome != asked[pk]):
            found[pk] = row
    return found


def _findings(row: Diagnosis, known: _Known, at: datetime) -> list[Finding]:
    command, silence = row.command, Silence(row.silence)
    connection = known.connections[command.connection_id]
    health = known.health[connection.pk]
    message = known.messages.get(row.pk)
    if silence is Silence.NO_EXECUTION:
        return _around(row, known, since=command.state_at, at=at)
    broker = broker_finding(
        outcome=None if message is None else message.outcome,
        detail="" if message is None else message.detail,
        nacked=row.pk in known.nacked,
    )
    if message is None or message.attempted_at is None:
        allowed = _allowed(connection, command.plant, known)
        return [publishing_finding(allowed=allowed, health=health), broker]
    sent = Sent(
        body=bytes(message.body),
        family=message.family,
        routing_key=message.routing_key,
        message_id=str(message.message_id),
        correlation_id=str(message.correlation_id),
        sent_at=message.attempted_at,
    )
    found = [broker, *verify_again(sent, _expected(command, connection, known.keys[connection.pk]))]
    found.append(clock_finding(skews_ms=skews_of(health)))
    return [*found, *_around(row, known, since=message.attempted_at, at=at)]


def _around(row: Diagnosis, known: _Known, *, since: datetime, at: datetime) -> list[Finding]:
    command = row.command
    health = known.health[command.connection_id]
    site = site_finding(
        health=health,
        spoke_at=known.spoke_at.get(command.plant_id),
        alarm=known.alarms.get(command.plant_id, ""),
        since=since,
        at=at,
    )
    return [link_finding(health=health, since=since, at=at), site]


def _allowed(connection: Connection, plant: Plant, known: _Known) -> Allowed:
    places = (
        (known.installation_on, said("the installation")),
        (connection.dispatch_enabled, said("the connection")),
        (plant.dispatch_enabled, said("the plant")),
    )
    return Allowed(
        observes=connection.mode != ConnectionMode.ACTIVE,
        switched_off=next((name for is_on, name in places if not is_on), NOTHING),
    )


def _expected(command: Command, connection: Connection, key: _Key) -> Expected:
    plant = command.plant
    names = {plant.external_plant_id} | ({str(plant.voke_uuid)} if plant.voke_uuid else set())
    return Expected(
        payload=command.payload,
        site_ids=frozenset(names),
        source=connection.source,
        routing_prefix=connection.routing_prefix,
        signed_families=frozenset(connection.signed_families),
        decoding=connection.key_decoding,
        key=key.text,
        key_problem=key.problem,
    )


def _unreadable(command: Command, known: _Known) -> Said:
    """Why Voke's log can't be asked; '' = it can."""
    if not known.connections[command.connection_id].rest_base_url:
        return said("the connection has no REST address")
    if command.plant.voke_uuid is None:
        return said("Voke's UUID of the plant is not known")
    return NOTHING
