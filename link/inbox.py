"""Bytes -> services: what arrives from Voke becomes rows, once each.

`receive` takes a batch of one connection, parses every delivery by `vcp`, and applies the batch in one transaction:
dedupe, then the service of each family. A delivery that can't be understood becomes a dead letter in the same
transaction. If a batch fails in the database although every message was understood, it is halved until the guilty
message is alone, and that one becomes a dead letter: one poison row can't stop the rest.

Edge cases (the concurrency policy):
- Only after `receive` returned may the deliveries be acknowledged. A crash in between brings them again, and the keys
  in the database make that harmless.
- A deadlock or serialisation failure (40P01, 40001) retries the whole batch; when the database itself is gone
  (`OperationalError` otherwise) the caller backs off and nothing is acknowledged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction

from dispatch.services.life import LostRace
from dispatch.services.voke_words import Told, apply_words, store_schedule_event
from link.broker import Delivery
from plants.models import Disposition
from plants.selectors.plants import resolve_sites
from plants.services.alarms import apply_alarm
from plants.services.inbox import Arrival, Letter, register_arrivals, set_disposition, store_dead_letter
from plants.services.modes import apply_mode_event
from plants.services.partitions import ensure_partitions
from plants.services.readings import (
    MeterSample,
    RawBody,
    RealtimeSample,
    keep_recent_bodies,
    storable,
    store_meters,
    store_realtime,
)
from vcp import (
    Alarm,
    CommandAck,
    Envelope,
    Execution,
    Family,
    MeterTelemetry,
    ModeEvent,
    Payload,
    ProtocolError,
    RealtimeTelemetry,
    ScheduleEvent,
    Unknown,
    classify,
    parse_envelope,
    parse_payload,
)

log = structlog.get_logger(__name__)
MAX_ATTEMPTS = 5
_RETRYABLE = {"40P01", "40001"}


@dataclass(frozen=True, kw_only=True)
class Inlet:
    """What `receive` must know of the connection that a batch arrived on."""

    connection_id: int
    routing_prefix: str
    retention_days: int


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """One delivery, understood; `payload` None = a type that we do not know and keep."""

    delivery: Delivery
    envelope: Envelope
    family: Family | Unknown
    payload: Payload | None


@dataclass(kw_only=True)
class Report:
    """What a batch came to."""

    received: int = 0
    applied: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    by_family: dict[str, int] = field(default_factory=dict)


def receive(batch: Sequence[Delivery], *, inlet: Inlet, at: datetime) -> Report:
    """Store a batch of deliveries; when it returns, every one of them is in the database or is a dead letter."""
    report = Report(received=len(batch))
    parsed: list[Parsed] = []
    letters: list[Letter] = []
    for delivery in batch:
        try:
            parsed.append(parse(delivery, routing_prefix=inlet.routing_prefix))
        except ProtocolError as error:
            letters.append(_letter(delivery, reason=error.code, path=error.path, detail=error.detail))
    # Before the transaction: making a partition waits for locks that the batch must not hold meanwhile.
    ensure_partitions(days=_days_of(parsed, inlet=inlet, at=at))
    _apply(parsed, letters, inlet=inlet, at=at, report=report)
    return report


def _days_of(parsed: Sequence[Parsed], *, inlet: Inlet, at: datetime) -> set[date]:
    moments = (
        _moment_of(one.envelope, one.payload)
        for one in parsed
        if isinstance(one.payload, RealtimeTelemetry | MeterTelemetry)
    )
    return {
        moment.date() for moment in moments if storable(moment, at=at, retention_days=inlet.retention_days)
    }


def parse(delivery: Delivery, *, routing_prefix: str) -> Parsed:
    """Read one delivery by its routing key; raises `ProtocolError`."""
    envelope = parse_envelope(delivery.body)
    family = classify(delivery.routing_key, routing_prefix).family
    payload = None
    if isinstance(family, Family) and family.value.startswith("event."):
        payload = parse_payload(family, envelope.payload)
    return Parsed(delivery=delivery, envelope=envelope, family=family, payload=payload)


def _letter(delivery: Delivery, *, reason: str, path: str = "", detail: str = "") -> Letter:
    return Letter(
        queue=delivery.queue,
        routing_key=delivery.routing_key,
        headers={str(key): str(value)[:500] for key, value in list(delivery.headers.items())[:50]},
        body=delivery.body,
        reason=reason,
        path=path,
        detail=detail.replace("\0", "\N{SYMBOL FOR NULL}"),
    )


def _apply(
    parsed: Sequence[Parsed], letters: Sequence[Letter], *, inlet: Inlet, at: datetime, report: Report
) -> None:
    """One transaction for all; on failure halve until the guilty message is found."""
    try:
        outcome = _with_retries(lambda: _apply_together(parsed, letters, inlet=inlet, at=at))
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # whatever one message provokes must not stop the others
        if len(parsed) > 1:
            middle = len(parsed) // 2
            _apply(parsed[:middle], letters, inlet=inlet, at=at, report=report)
            _apply(parsed[middle:], [], inlet=inlet, at=at, report=report)
            return
        if not parsed:
            raise
        log.exception("dead letter", action="inbox.unusable", connection_id=inlet.connection_id)
        guilty = _letter(
            parsed[0].delivery, reason="NOT_APPLICABLE", detail=f"{type(error).__name__}: {error}"
        )
        _apply([], [*letters, guilty], inlet=inlet, at=at, report=report)
        return
    report.applied += outcome.applied
    report.duplicates += outcome.duplicates
    report.dead_letters += outcome.dead_letters
    for family, count in outcome.by_family.items():
        report.by_family[family] = report.by_family.get(family, 0) + count


def _with_retries(work: Callable[[], Report]) -> Report:
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            if _sqlstate(error) not in _RETRYABLE or attempt == MAX_ATTEMPTS:
                raise
            log.info("batch retried", action="inbox.retry", attempt=attempt, sqlstate=_sqlstate(error))
        except LostRace:
            if attempt == MAX_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _sqlstate(error: BaseException) -> str:
    cause = error.__cause__
    return str(getattr(cause, "sqlstate", "") or "")


def _apply_together(
    parsed: Sequence[Parsed], letters: Sequence[Letter], *, inlet: Inlet, at: datetime
) -> Report:
    report = Report()
    sites = resolve_sites(
        connection_id=inlet.connection_id, site_ids={one.envelope.site_id for one in parsed}
    )
    letters = list(letters)
    realtime: list[RealtimeSample] = []
    meters: list[MeterSample] = []
    bodies: list[RawBody] = []
    events: list[Parsed] = []
    for one in parsed:
        plant_id = sites.get(one.envelope.site_id)
        _count(report, one)
        if (
            plant_id is None
            and not isinstance(one.payload, CommandAck | Execution)
            and one.payload is not None
        ):
            letters.append(
                _letter(one.delivery, reason="UNKNOWN_SITE", path="siteId", detail=one.envelope.site_id)
            )
        elif isinstance(one.payload, RealtimeTelemetry | MeterTelemetry) and plant_id is not None:
            moment = _moment_of(one.envelope, one.payload)
            if not storable(moment, at=at, retention_days=inlet.retention_days):
                letters.append(_letter(one.delivery, reason="TIME_OUT_OF_RANGE", path="timestamp"))
                continue
            bodies.append(
                RawBody(plant_id=plant_id, routing_key=one.delivery.routing_key, body=one.delivery.body)
            )
            _sort_sample(one, plant_id, realtime, meters)
        else:
            events.append(one)
    store_realtime(samples=realtime, at=at)
    store_meters(samples=meters, at=at)
    keep_recent_bodies(bodies=bodies, at=at)
    fresh = _apply_events(events, sites, inlet=inlet, at=at)
    for letter in letters:
        store_dead_letter(connection_id=inlet.connection_id, letter=letter, at=at)
    report.dead_letters = len(letters)
    report.duplicates = len(events) - fresh
    report.applied = len(realtime) + len(meters) + fresh
    return report


def _count(report: Report, one: Parsed) -> None:
    name = one.family.value if isinstance(one.family, Family) else "unknown"
    report.by_family[name] = report.by_family.get(name, 0) + 1


def _moment_of(envelope: Envelope, payload: RealtimeTelemetry | MeterTelemetry) -> datetime:
    return payload.reading_at if isinstance(payload, MeterTelemetry) else envelope.timestamp


def _sort_sample(
    one: Parsed, plant_id: int, realtime: list[RealtimeSample], meters: list[MeterSample]
) -> None:
    if isinstance(one.payload, MeterTelemetry):
        meters.append(MeterSample(plant_id=plant_id, telemetry=one.payload))
    elif isinstance(one.payload, RealtimeTelemetry):
        devices: list[Any] = one.envelope.payload.get("devices") or []
        realtime.append(
            RealtimeSample(
                plant_id=plant_id,
                measured_at=one.envelope.timestamp,
                telemetry=one.payload,
                raw_devices=devices,
            )
        )


def _apply_events(events: Sequence[Parsed], sites: dict[str, int], *, inlet: Inlet, at: datetime) -> int:
    """Register events and apply the new ones; answers how many were new."""
    if not events:
        return 0
    arrivals = [
        Arrival(
            message_id=one.envelope.message_id,
            correlation_id=one.envelope.correlation_id or "",
            routing_key=one.delivery.routing_key,
            family=one.family.value if isinstance(one.family, Family) else one.family.raw,
            sent_at=one.envelope.timestamp,
            plant_id=sites.get(one.envelope.site_id),
            body=one.delivery.body,
        )
        for one in events
    ]
    fresh = register_arrivals(connection_id=inlet.connection_id, arrivals=arrivals, at=at)
    told: list[Told] = []
    dispositions: dict[int, Disposition] = {}
    waiting = dict(fresh)
    for one in events:
        inbound_id = waiting.pop(one.envelope.message_id, None)
        if inbound_id is None:
            continue
        if isinstance(one.payload, CommandAck | Execution):
            told.append(
                Told(
                    inbound_id=inbound_id,
                    correlation_id=one.envelope.correlation_id or "",
                    told_at=one.envelope.timestamp,
                    word=one.payload,
                )
            )
        else:
            dispositions[inbound_id] = _apply_other(one, sites, inbound_id, inlet=inlet, at=at)
    dispositions |= apply_words(connection_id=inlet.connection_id, told=told, at=at)
    for disposition in Disposition:
        ids = [pk for pk, one_disposition in dispositions.items() if one_disposition is disposition]
        if ids and disposition is not Disposition.APPLIED:
            set_disposition(ids=ids, disposition=disposition)
    return len(fresh)


def _apply_other(
    one: Parsed, sites: dict[str, int], inbound_id: int, *, inlet: Inlet, at: datetime
) -> Disposition:
    told_at = one.envelope.timestamp
    plant_id = sites.get(one.envelope.site_id)
    if plant_id is None:
        return Disposition.UNKNOWN_TYPE
    match one.payload:
        case Alarm() as alarm:
            changed = apply_alarm(
                connection_id=inlet.connection_id, plant_id=plant_id, event=alarm, told_at=told_at, at=at
            )
        case ModeEvent() as mode:
            changed = apply_mode_event(plant_id=plant_id, event=mode, told_at=told_at)
        case ScheduleEvent() as schedule:
            store_schedule_event(
                plant_id=plant_id, event=schedule, told_at=told_at, inbound_id=inbound_id, at=at
            )
            changed = True
        case _:
            return Disposition.UNKNOWN_TYPE
    return Disposition.APPLIED if changed else Disposition.NO_CHANGE
