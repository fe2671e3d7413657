"""Streams that have stopped: one statement finds them among all plants, however many there are.

A realtime stream's newest sample is in the plant's state; a meter's newest reading is kept in `MeterSeen`, brought up
to date from what arrived since. A stream has stopped when its newest reading was measured, and arrived, longer ago than
is tolerated: one whose messages all come late by the same time speaks.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Min

from metering.gap_rules import JITTER_S, PERIODS_TOLERATED, tolerance_s, uncovered_s
from metering.models import Gap, LedgerProgress, MeterSeen, Stream, StreamPeriod
from metering.rules import HOLD_PERIODS, RollupRules
from metering.selectors.periods import default_period_s, periods_of
from plants.models import Connection, MeterReading, Plant, PlantState

_METERS = "METERS"
# A batch carries the instant at which it was received and is committed a little later.
OVERLAP = timedelta(seconds=60)
FIRST_LOOK = timedelta(days=1)
READ_WITHIN = timedelta(days=2)
_NOTE = f"""
INSERT INTO {MeterSeen._meta.db_table} (plant_id, device_id, reading_at, received_at)
SELECT reading.plant_id, reading.device_id, MAX(reading.reading_at), MAX(reading.received_at)
FROM {MeterReading._meta.db_table} reading
JOIN {Plant._meta.db_table} plant ON plant.id = reading.plant_id
WHERE reading.received_at > %s AND reading.reading_at >= %s
GROUP BY reading.plant_id, reading.device_id
ORDER BY reading.plant_id, reading.device_id
ON CONFLICT (plant_id, device_id) DO UPDATE
SET reading_at = excluded.reading_at, received_at = excluded.received_at
WHERE excluded.reading_at > {MeterSeen._meta.db_table}.reading_at
"""  # noqa: S608 - names from the models


def note_meters(*, at: datetime) -> None:
    """Bring `MeterSeen` up to date from the readings that arrived since the last call."""
    progress, _ = LedgerProgress.objects.get_or_create(part=_METERS, defaults={"until_at": at - FIRST_LOOK})
    since = max(min(progress.until_at, at) - OVERLAP, at - FIRST_LOOK)
    with connection.cursor() as cursor:
        moments = (since, at - READ_WITHIN)
        cursor.execute(_NOTE, [connection.ops.adapt_datetimefield_value(moment) for moment in moments])
    LedgerProgress.objects.filter(pk=progress.pk).update(until_at=at)


def open_gaps(*, stream: Stream, at: datetime, rules: RollupRules) -> int:
    """Open a gap for every stream that has stopped and has none; answers how many."""
    default_s = default_period_s(stream=stream, rules=rules)
    shortest = StreamPeriod.objects.filter(stream=stream).aggregate(least=Min("period_s"))["least"]
    least_s = min(default_s, default_s if shortest is None else shortest)
    silent_since = at - timedelta(seconds=tolerance_s(least_s))
    if connection.vendor == "postgresql":
        return _open_by_statement(stream, at=at, default_s=default_s, silent_since=silent_since)
    return _open_one_by_one(stream, at=at, rules=rules, silent_since=silent_since)


def _open_by_statement(stream: Stream, *, at: datetime, default_s: float, silent_since: datetime) -> int:
    realtime = stream == Stream.REALTIME
    source = PlantState._meta.db_table if realtime else MeterSeen._meta.db_table
    newest, device = ("s.measured_at", "''") if realtime else ("s.reading_at", "s.device_id")
    hold = HOLD_PERIODS if realtime else 0.0
    limit = f"%(at)s - ({PERIODS_TOLERATED} * p.period_s + {JITTER_S}) * interval '1 second'"
    statement = f"""
        INSERT INTO {Gap._meta.db_table} (plant_id, stream, device_id, from_at, expected_period_s, cause,
                                          cause_detail, found_at, missing_s, filled_from)
        SELECT s.plant_id, %(stream)s, {device}, {newest}, p.period_s, 'UNKNOWN', '', %(at)s,
               extract(epoch FROM %(at)s - {newest}) - {hold} * p.period_s, ''
          FROM {source} s
          JOIN {Plant._meta.db_table} plant ON plant.id = s.plant_id
          JOIN {Connection._meta.db_table} link ON link.id = plant.connection_id AND link.retired_at IS NULL
         CROSS JOIN LATERAL (SELECT coalesce((
                SELECT own.period_s FROM {StreamPeriod._meta.db_table} own
                 WHERE own.plant_id = s.plant_id AND own.stream = %(stream)s AND own.valid_from <= {newest}
                 ORDER BY own.valid_from DESC LIMIT 1), %(default_s)s) AS period_s) AS p
         WHERE {newest} < %(silent_since)s AND s.received_at < %(silent_since)s
           AND {newest} < {limit} AND s.received_at < {limit}
           AND NOT EXISTS (SELECT 1 FROM {Gap._meta.db_table} g WHERE g.plant_id = s.plant_id
                              AND g.stream = %(stream)s AND g.device_id = {device} AND g.to_at IS NULL)
         ORDER BY s.plant_id
        ON CONFLICT (plant_id, stream, device_id, from_at) DO NOTHING
    """  # noqa: S608 - names from the models
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {"stream": stream.value, "at": at, "default_s": default_s, "silent_since": silent_since},
        )
        return int(cursor.rowcount)


def _open_one_by_one(stream: Stream, *, at: datetime, rules: RollupRules, silent_since: datetime) -> int:
    silent = _silent(stream, silent_since)
    is_open = set(Gap.objects.filter(stream=stream, to_at__isnull=True).values_list("plant_id", "device_id"))
    periods = periods_of(plant_ids=sorted({one[0] for one in silent}), stream=stream, rules=rules)
    rows = []
    for plant_id, device_id, newest_at, received_at in silent:
        period_s = periods.at(plant_id, newest_at)
        limit = at - timedelta(seconds=tolerance_s(period_s))
        if (plant_id, device_id) in is_open or max(newest_at, received_at) >= limit:
            continue
        rows.append(
            Gap(
                plant_id=plant_id,
                stream=stream,
                device_id=device_id,
                from_at=newest_at,
                expected_period_s=period_s,
                found_at=at,
                missing_s=uncovered_s((at - newest_at).total_seconds(), stream=stream, period_s=period_s),
            )
        )
    before = Gap.objects.count()
    Gap.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)
    return Gap.objects.count() - before


def _silent(stream: Stream, since: datetime) -> Sequence[tuple[int, str, datetime, datetime]]:
    """(plant, device, measured, received) of the newest reading of streams that may have stopped."""
    expected = {"plant__connection__isnull": False, "plant__connection__retired_at__isnull": True}
    if stream == Stream.REALTIME:
        states = PlantState.objects.filter(measured_at__lt=since, received_at__lt=since, **expected)
        return [
            (plant_id, "", measured_at, received_at)
            for plant_id, measured_at, received_at in states.order_by("plant_id").values_list(
                "plant_id", "measured_at", "received_at"
            )
            if measured_at is not None and received_at is not None
        ]
    meters = MeterSeen.objects.filter(reading_at__lt=since, received_at__lt=since, **expected)
    return list(
        meters.order_by("plant_id", "device_id").values_list(
            "plant_id", "device_id", "reading_at", "received_at"
        )
    )
