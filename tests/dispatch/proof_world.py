"""What the tests of measured proof start from: a plant, setpoints that reached Voke, samples and registers."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from dispatch.models import Command, Verification
from dispatch.services.grading import MeasuringRules
from dispatch.services.life import Move, advance_many
from dispatch.services.verification import verify_due
from dispatch.states import State
from dispatch.verification import ProofRules
from metering.rules import RollupRules
from metering.selectors.meter_facts import MeterLimits
from plants.models import MeterReading, Plant, TelemetryReading
from plants.services.partitions import ensure_partitions, forget_known_partitions
from tests.dispatch.helpers import ask, deliver
from tests.factories import AT

S = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
SLOT = timedelta(minutes=15)
GRACE = timedelta(seconds=90)
DUE = AT + SLOT + GRACE
"""When a setpoint of a quarter of an hour from AT on is judged."""
RULES = MeasuringRules(
    proof=ProofRules(),
    rollups=RollupRules(
        realtime_period_s=10.0,
        meter_period_s=60.0,
        grace=timedelta(seconds=60),
        chunk=50,
        budget_s=60.0,
        readings_kept=timedelta(days=400),
    ),
    limits=MeterLimits(power_max_kw=1000.0, bridge=timedelta(hours=12)),
)


def sent(plant: Plant, payload: Any, *, at: datetime = AT, **changes: Any) -> Command:
    """Asked for, taken by the broker and accepted by Voke, all at once."""
    command = ask(plant, payload, at=at, **changes)
    deliver(command.connection, at=at)
    say(command, State.ACCEPTED, at=at)
    command.refresh_from_db()
    return command


def say(command: Command, word: State, *, at: datetime) -> None:
    """Voke's word on a command."""
    advance_many(
        moves=[Move(command_id=command.pk, to=word, cause=f"VOKE_{word}", actor="Voke", told_at=at)], at=at
    )


def measure(
    plant: Plant,
    grid_kw: float | Callable[[float], float | None] | None,
    *,
    since: datetime = AT,
    until: datetime = AT + SLOT,
    every_s: float = 10.0,
    received_at: datetime | None = None,
    rank: int = 3,
    word: str = "GOOD",
    **values: Any,
) -> None:
    """Realtime samples of [since, until): the grid's power, constant or by the seconds since `since`."""
    _make_room(since, until)
    count = int((until - since).total_seconds() / every_s)
    TelemetryReading.objects.bulk_create(
        TelemetryReading(
            plant=plant,
            measured_at=since + timedelta(seconds=n * every_s),
            received_at=received_at or since + timedelta(seconds=n * every_s + 1),
            grid_power_kw=grid_kw(n * every_s) if callable(grid_kw) else grid_kw,
            data_quality=word,
            quality_rank=rank,
            operating_mode="STANDARD",
            **values,
        )
        for n in range(count)
    )


def _make_room(since: datetime, until: datetime) -> None:
    """Partitions are rolled back with their test, and the process must not remember them."""
    forget_known_partitions()
    ensure_partitions(days={since.date(), until.date()})
    forget_known_partitions()


def count(
    plant: Plant,
    *,
    import_kw: float = 0.0,
    export_kw: float = 0.0,
    since: datetime = AT - timedelta(minutes=2),
    until: datetime = AT + SLOT + timedelta(minutes=2),
    every_s: float = 60.0,
    offset_s: float = 20.0,
    first_kwh: float = 1000.0,
    device_id: str = "M1",
    role: str = "GRID",
) -> None:
    """Readings of a meter whose registers grow by constant powers; not on the minute."""
    _make_room(since, until)
    steps = int((until - since).total_seconds() / every_s)
    MeterReading.objects.bulk_create(
        MeterReading(
            plant=plant,
            device_id=device_id,
            reading_at=since + timedelta(seconds=n * every_s + offset_s),
            received_at=since + timedelta(seconds=n * every_s + offset_s + 1),
            role=role,
            import_register_kwh=first_kwh + import_kw * n * every_s / 3600,
            export_register_kwh=first_kwh + export_kw * n * every_s / 3600,
            data_quality="GOOD",
            quality_rank=3,
        )
        for n in range(steps + 1)
    )


def judged(command: Command, *, at: datetime = DUE) -> Verification:
    """Its proof after a tick."""
    verify_due(at=at, rules=RULES)
    return Verification.objects.get(command=command)


def proof_of(command: Command) -> Verification:
    return Verification.objects.get(command=command)
