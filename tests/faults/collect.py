"""Gathers a run's evidence: what the driver, the database, the tap and the stand-ins' journals say since a mark."""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from dispatch.models import Command, CommandEvent, Kind, OutboundMessage
from dispatch.states import FROM_VOKE, State, Verdict
from plants.models import DeadLetter, InboundMessage, MeterReading, TelemetryReading
from tests.faults.evidence import Arrival, CommandFact, Evidence, MessageFact, Told
from tests.faults.stage import Side, Stage
from tests.faults.verdict import demanded
from vcp import format_timestamp, parse_timestamp

_RELEASE = "Emergency released:"
_CHUNK = 500
_UNSENT = (State.SCHEDULED, State.QUEUED)
_OPEN = (*_UNSENT, State.SENT)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Up to where everything was judged before: command id, outbox id, and the journals' sequence by process."""

    command_id: int = 0
    outbound_id: int = 0
    asked: int = 0
    told: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Journal:
    told: list[Told]
    effects: Counter[str]
    heard: set[str]


def gather(stage: Stage, asked: list[int], since: Mark, until: Mark) -> Evidence:
    """The evidence of all commands and messages after the first mark, and of the events between the two."""
    messages = list(_messages(since))
    ids = {message.message_id for message in messages}
    arrivals = [one for side in stage.sides for one in side.tap.arrivals() if one.message_id in ids]
    # Commands of messages alone would hide those that never had one.
    sides = [side for side in stage.sides if side.journal.exists()]
    journals = [_journal(side, since, until, ids) for side in sides]
    told = [
        one for side, journal in zip(sides, journals, strict=True) for one in _still_heard(side, journal.told)
    ]
    return Evidence(
        replay_margin=timedelta(seconds=settings.REPLAY_MARGIN_S),
        asked=asked[since.asked :],
        commands=_commands(since),
        messages=messages,
        arrivals=arrivals + _strangers(stage, ids, since),
        told=told,
        effects=sum((journal.effects for journal in journals), Counter()),
        heard=frozenset(one for journal in journals for one in journal.heard),
        **_stored(told),
    )


def is_any_unsent(since: Mark) -> bool:
    """Whether a command after the mark waits to be sent: too early to gather, which costs a hundred times as much."""
    waiting = Command.objects.filter(pk__gt=since.command_id, state__in=_UNSENT)
    return waiting.exists()


def mark_of(stage: Stage, asked: list[int]) -> Mark:
    """Where things stand: before the first command that still waits, and the first event that does."""
    waiting = Command.objects.filter(state__in=_OPEN).order_by("pk").values_list("pk", flat=True).first()
    newest = Command.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    command_id = newest if waiting is None else waiting - 1
    pending = OutboundMessage.objects.filter(outcome="PENDING", command__isnull=True).order_by("pk").first()
    last = OutboundMessage.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return Mark(
        command_id=command_id,
        outbound_id=last if pending is None else pending.pk - 1,
        asked=len([pk for pk in asked if pk <= command_id]),
        told={side.process: _settled_up_to(side.journal) for side in stage.sides if side.journal.exists()},
    )


def _messages(since: Mark) -> Iterable[MessageFact]:
    of_commands = OutboundMessage.objects.filter(command_id__gt=since.command_id)
    of_sites = OutboundMessage.objects.filter(command__isnull=True, pk__gt=since.outbound_id)
    for rows in (of_commands, of_sites):
        for row in rows.select_related("plant").order_by("pk").iterator(_CHUNK):
            yield MessageFact(
                message_id=str(row.message_id),
                correlation_id=str(row.correlation_id),
                command_id=row.command_id,
                plant=str(row.plant.voke_uuid),
                sha256=hashlib.sha256(bytes(row.body)).hexdigest(),
                outcome=row.outcome,
                made_at=row.made_at,
                deliver_by_at=row.deliver_by_at,
            )


def _commands(since: Mark) -> list[CommandFact]:
    applied = CommandEvent.objects.filter(command_id__gt=since.command_id, verdict=Verdict.APPLIED)
    last = {
        event.command_id: event
        for event in applied.order_by("command_id", "-pk").distinct("command_id").iterator(_CHUNK)
    }
    rows = list(Command.objects.select_related("plant").filter(pk__gt=since.command_id).order_by("pk"))
    releases = _releases(rows)
    return [_command_fact(row, last.get(row.pk), releases) for row in rows]


def _command_fact(row: Command, event: CommandEvent | None, releases: dict[int, list[int]]) -> CommandFact:
    is_emergency = row.kind == Kind.EMERGENCY
    later = [pk for pk in releases[row.plant_id] if pk > row.pk] if is_emergency else []
    return CommandFact(
        command_id=row.pk,
        plant=str(row.plant.voke_uuid),
        kind=row.kind,
        state=row.state,
        word="" if event is None else event.word,
        cause="" if event is None else event.cause,
        from_voke=State(row.state) in FROM_VOKE,
        has_inbound=event is not None and event.inbound_id is not None,
        emergency=str(row.payload["type"]) if is_emergency else "",
        released_by=min(later, default=None),
    )


def _releases(rows: list[Command]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        if row.kind == Kind.MODE and str(row.payload.get("reason", "")).startswith(_RELEASE):
            found[row.plant_id].append(row.pk)
    return found


def _strangers(stage: Stage, known: set[str], since: Mark) -> list[Arrival]:
    """Arrivals that are in no outbox at all; those of judged messages were judged."""
    unknown = [one for side in stage.sides for one in side.tap.arrivals() if one.message_id not in known]
    if since == Mark():
        return unknown
    stored: set[str] = set()
    ids = sorted({one.message_id for one in unknown})
    for start in range(0, len(ids), _CHUNK):
        rows = OutboundMessage.objects.filter(message_id__in=ids[start : start + _CHUNK])
        stored |= {str(pk) for pk in rows.values_list("message_id", flat=True)}
    return [one for one in unknown if one.message_id not in stored]


# --- the stand-ins' journals ----------------------------------------------------------------------------------------


def _rows(journal: Path, query: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()


def _journal(side: Side, since: Mark, until: Mark, ids: set[str]) -> _Journal:
    confirmed = _rows(
        side.journal,
        "SELECT message_id, COALESCE(correlation_id, ''), family, site_id, created_at, MIN(settled_at) FROM published "
        "WHERE state = 'confirmed' AND seq > ? AND seq <= ? GROUP BY 1, 2, 3, 4, 5",
        since.told.get(side.process, 0),
        until.told.get(side.process, 0),
    )
    effects = _rows(side.journal, "SELECT message_id, COUNT(*) FROM effects GROUP BY message_id")
    heard = _rows(side.journal, "SELECT DISTINCT message_id FROM messages")
    return _Journal(
        told=[
            Told(
                message_id=message_id,
                correlation_id=correlation_id,
                family=family,
                plant=plant,
                created_at=created_at,
                confirmed_at=confirmed_at,
            )
            for message_id, correlation_id, family, plant, created_at, confirmed_at in confirmed
        ],
        effects=Counter({message_id: count for message_id, count in effects if message_id in ids}),
        heard={message_id for (message_id,) in heard if message_id in ids},
    )


def _still_heard(side: Side, told: list[Told]) -> list[Told]:
    side.connection.refresh_from_db(fields=["retired_at"])
    return demanded(told, retired_at=side.connection.retired_at)


def _settled_up_to(journal: Path) -> int:
    (first, last) = _rows(
        journal,
        "SELECT (SELECT MIN(seq) FROM published WHERE state = 'pending'), (SELECT MAX(seq) FROM published)",
    )[0]
    return int(first - 1 if first is not None else last or 0)


def is_all_heard(side: Side) -> bool:
    """Whether the stand-in wrote down everything that the tap saw arrive."""
    heard = {message_id for (message_id,) in _rows(side.journal, "SELECT DISTINCT message_id FROM messages")}
    return all(arrival.message_id in heard for arrival in side.tap.arrivals())


def newest_event(side: Side) -> int:
    """Sequence number of the last event that the broker took from the stand-in."""
    query = "SELECT COALESCE(MAX(seq), 0) FROM published WHERE state = 'confirmed'"
    return int(_rows(side.journal, query)[0][0])


def newest_message(side: Side) -> int:
    """Sequence number of the last delivery that the stand-in wrote down."""
    return int(_rows(side.journal, "SELECT COALESCE(MAX(seq), 0) FROM messages")[0][0])


# --- what is stored of Voke's events ---------------------------------------------------------------------------------


def _stored(told: list[Told]) -> dict[str, Any]:
    if not told:
        return {}
    earliest = parse_timestamp(min(one.created_at for one in told))
    ids = [one.message_id for one in told if not one.family.startswith("event.telemetry.")]
    inbound: Counter[str] = Counter()
    for start in range(0, len(ids), _CHUNK):
        chunk = InboundMessage.objects.filter(message_id__in=ids[start : start + _CHUNK])
        inbound.update(chunk.values_list("message_id", flat=True))
    realtime = TelemetryReading.objects.filter(measured_at__gte=earliest)
    meters = MeterReading.objects.filter(reading_at__gte=earliest)
    return {
        "inbound": inbound,
        "realtime": _stamps(realtime.values_list("plant__voke_uuid", "measured_at").iterator(_CHUNK)),
        "meters": _stamps(meters.values_list("plant__voke_uuid", "reading_at").iterator(_CHUNK)),
        "letters": frozenset(_letter_ids()),
    }


def _stamps(rows: Iterable[tuple[Any, Any]]) -> frozenset[tuple[str, str]]:
    return frozenset((str(plant), format_timestamp(at)) for plant, at in rows)


def _letter_ids() -> Iterable[str]:
    for body in DeadLetter.objects.values_list("body", flat=True):
        yield str(json.loads(bytes(body))["messageId"])
