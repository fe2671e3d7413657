"""Compares what the modelled Voke did and said with what the platform holds: lost and doubled, both ways.

The stand-in's journal is the witness: every event that the broker confirmed to it must be in our database once, and
every message that the broker confirmed to us must have had exactly one effect there.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dispatch.models import OutboundMessage, Outcome
from plants.models import Alarm, Connection, InboundMessage, MeterReading, Plant, TelemetryReading
from vcp import Family, format_timestamp


class Witness(Protocol):
    """The part of the stand-in's journal that the audit reads."""

    def rows(self, query: str, *values: object) -> list[dict[str, object]]:
        """The rows of a SELECT."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was compared; `lost` and `doubled` must both be 0."""

    lost: int
    doubled: int
    telemetry_rows: int
    meter_rows: int
    alarm_rows: int
    event_rows: int


def audit(*, connection: Connection, journal: Witness, since: datetime) -> Audit:
    """Compare everything since `since`; call when the broker's queues are empty and nobody publishes."""
    plants = {str(plant.voke_uuid): plant.pk for plant in Plant.objects.filter(connection=connection)}
    start = format_timestamp(since)
    confirmed = journal.rows(
        "SELECT DISTINCT message_id, family, site_id, created_at FROM published"
        " WHERE state = 'confirmed' AND created_at >= ?",
        start,
    )
    realtime = TelemetryReading.objects.filter(plant__in=plants.values(), measured_at__gte=since)
    meters = MeterReading.objects.filter(plant__in=plants.values(), reading_at__gte=since)
    events = InboundMessage.objects.filter(connection=connection, sent_at__gte=since)
    told = Counter(str(row["family"]) for row in confirmed)
    lost = _missing_telemetry(
        confirmed, plants, Family.EVENT_TELEMETRY_REALTIME, realtime.values_list("plant_id", "measured_at")
    )
    lost += _missing_telemetry(
        confirmed,
        plants,
        Family.EVENT_TELEMETRY_METER,
        meters.values_list("plant_id", "reading_at").distinct(),
    )
    others = {
        str(row["message_id"]) for row in confirmed if not str(row["family"]).startswith("event.telemetry.")
    }
    stored = list(events.values_list("message_id", flat=True))
    lost += len(others - set(stored))
    doubled = (
        len(stored) - len(set(stored)) + max(0, realtime.count() - told[Family.EVENT_TELEMETRY_REALTIME])
    )
    lost_out, doubled_out = _outgoing(connection, journal, since)
    return Audit(
        lost=lost + lost_out,
        doubled=doubled + doubled_out,
        telemetry_rows=realtime.count(),
        meter_rows=meters.count(),
        alarm_rows=Alarm.objects.filter(connection=connection, received_at__gte=since).count(),
        event_rows=len(stored),
    )


def _missing_telemetry(
    confirmed: list[dict[str, object]], plants: Mapping[str, int], family: Family, rows: "object"
) -> int:
    have = {(plant_id, format_timestamp(moment)) for plant_id, moment in rows}  # type: ignore[attr-defined]
    told = {
        (plants[str(row["site_id"])], str(row["created_at"]))
        for row in confirmed
        if row["family"] == family.value
    }
    return len(told - have)


def _outgoing(connection: Connection, journal: Witness, since: datetime) -> tuple[int, int]:
    """(messages that the stand-in never saw, effects beyond one per message)."""
    sent = OutboundMessage.objects.filter(
        connection=connection, outcome=Outcome.CONFIRMED, made_at__gte=since
    )
    ids = {str(message_id) for message_id in sent.values_list("message_id", flat=True)}
    start = format_timestamp(since)
    seen = {
        row["message_id"]
        for row in journal.rows("SELECT message_id FROM messages WHERE received_at >= ?", start)
    }
    effects = journal.rows(
        "SELECT message_id, COUNT(*) AS n FROM effects WHERE at >= ? GROUP BY message_id HAVING n > 1", start
    )
    return len(ids - seen), sum(int(str(row["n"])) - 1 for row in effects)
