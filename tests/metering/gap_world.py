"""Plants that speak, fall silent and catch up; the ledger beside what the history holds at the end."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from django.db import transaction

from metering.gap_rules import holes_in, uncovered_s
from metering.models import Gap, Stream
from metering.rules import RollupRules
from metering.services.gaps import SETTLED_AFTER, Kept, keep_ledger
from metering.services.marks import mark_changed
from metering.services.meters import roll_up_meters
from metering.services.rollups import roll_up_telemetry
from plants.models import LinkHealth, LinkSpan, LinkState, MeterReading, Plant, TelemetryReading
from plants.services.partitions import ensure_partitions
from plants.services.readings import MeterSample, RealtimeSample, store_meters, store_realtime
from tests.metering.meter_world import LIMITS
from vcp import MeterRegisters, MeterTelemetry, RealtimeTelemetry

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
RULES = RollupRules(
    realtime_period_s=10.0,
    meter_period_s=60.0,
    grace=timedelta(seconds=60),
    chunk=500,
    budget_s=60.0,
    readings_kept=timedelta(days=400),
)
GIVE_UP_AFTER = timedelta(days=30)
MINUTE = timedelta(minutes=1)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def tell(plant: Plant, seconds: Iterable[float], *, received: float | None = None) -> None:
    """Realtime samples of these moments; received at once, or all together at that moment."""
    if received is None:
        for second in sorted(seconds):
            _store_realtime(plant, [second], after(second))
    else:
        _store_realtime(plant, sorted(seconds), after(received))


def _store_realtime(plant: Plant, seconds: Sequence[float], at: datetime) -> None:
    samples = [
        RealtimeSample(
            plant_id=plant.pk,
            measured_at=after(second),
            telemetry=RealtimeTelemetry(data_quality="GOOD", grid_power_kw=1.0),
            raw_devices=[],
        )
        for second in seconds
    ]
    ensure_partitions(days={one.measured_at.date() for one in samples})
    with transaction.atomic():
        store_realtime(samples=samples, at=at)
        mark_changed(stream=Stream.REALTIME, changed=[(plant.pk, one.measured_at) for one in samples])


def tell_meter(
    plant: Plant, seconds: Iterable[float], *, device: str = "M1", received: float | None = None
) -> None:
    """Readings of one meter; received at once, or all together at that moment."""
    if received is None:
        for second in sorted(seconds):
            _store_meter(plant, [second], device, after(second))
    else:
        _store_meter(plant, sorted(seconds), device, after(received))


def _store_meter(plant: Plant, seconds: Sequence[float], device: str, at: datetime) -> None:
    samples = [
        MeterSample(
            plant_id=plant.pk,
            telemetry=MeterTelemetry(
                reading_at=after(second),
                data_quality="GOOD",
                meters=(MeterRegisters(device_id=device, import_register_kwh=second / 60),),
            ),
        )
        for second in seconds
    ]
    ensure_partitions(days={one.telemetry.reading_at.date() for one in samples})
    with transaction.atomic():
        store_meters(samples=samples, at=at)
        mark_changed(stream=Stream.METER, changed=[(plant.pk, one.telemetry.reading_at) for one in samples])


def roll_up(seconds: float) -> None:
    roll_up_telemetry(at=after(seconds), rules=RULES)
    roll_up_meters(at=after(seconds), rules=RULES, limits=LIMITS)


def tick(seconds: float) -> Kept:
    return keep_ledger(at=after(seconds), rules=RULES, give_up_after=GIVE_UP_AFTER)


def look_at_all(seconds: float) -> Kept:
    """Roll up what has ended, and let the ledger look once that is settled."""
    roll_up(seconds)
    return tick(seconds + SETTLED_AFTER.total_seconds())


def journal(
    link_id: int, state: LinkState, from_s: float, until_s: float, *, holder: str = "consumer"
) -> None:
    """A stretch in the journal of a connection's consumer."""
    LinkSpan.objects.create(
        connection_id=link_id,
        role=LinkHealth.Role.CONSUME,
        holder=holder,
        state=state,
        from_at=after(from_s),
        until_at=after(until_s),
    )


def spans(stream: Stream = Stream.REALTIME) -> list[tuple[float, float | None]]:
    """(from, to) of the ledger's gaps, in seconds after START."""
    rows = Gap.objects.filter(stream=stream).order_by("plant_id", "device_id", "from_at")
    return [(_seconds(gap.from_at), None if gap.to_at is None else _seconds(gap.to_at)) for gap in rows]


def _seconds(moment: datetime) -> float:
    return (moment - START).total_seconds()


def holes_of_history(plant: Plant, stream: Stream, period_s: float) -> list[tuple[datetime, datetime, float]]:
    """(from, to, missing s) of the history as it is now, from scratch."""
    if stream == Stream.REALTIME:
        rows = TelemetryReading.objects.filter(plant=plant).order_by("measured_at")
        moments = list(rows.values_list("measured_at", flat=True))
    else:
        readings = MeterReading.objects.filter(plant=plant).order_by("reading_at")
        moments = list(readings.values_list("reading_at", flat=True))
    return [
        (low, high, uncovered_s((high - low).total_seconds(), stream=stream, period_s=period_s))
        for low, high in holes_in(moments, period_s=period_s)
    ]
