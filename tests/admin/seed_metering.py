"""What people decide about measurements: fallen registers, expected periods, holds."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from metering.models import RegisterEvent, RetentionHold, Stream, StreamPeriod
from plants.models import Plant


def make_metering(plants: Sequence[Plant], at: datetime) -> None:
    """An event of each plant, of every kind and decided or not; periods learnt and set; a hold and a released one."""
    kinds = [
        (RegisterEvent.Kind.EXCHANGE, 512.25, 70_000.5, None, ""),
        (RegisterEvent.Kind.RESET, 54_321.0, 1.5, 1.5, ""),
        (RegisterEvent.Kind.ROLLOVER, 99_999.5, 0.5, 1.0, ""),
        (RegisterEvent.Kind.IGNORED, 1000.0, 2000.0, 1000.0, "eva"),
    ]
    for number, plant in enumerate(plants):
        kind, before, after, energy, who = kinds[number % len(kinds)]
        moment = at - timedelta(hours=number + 1)
        RegisterEvent.objects.create(
            plant=plant,
            device_id="M1",
            register="IMPORT" if number % 2 == 0 else "EXPORT",
            kind=kind,
            before_at=moment - timedelta(minutes=1),
            after_at=moment,
            before_kwh=before,
            after_kwh=after,
            energy_kwh=energy,
            found_at=at,
            decided_by_name=who,
            note="The battery hall was switched on that minute." if who else "",
        )
        _periods(plant, number, at)
    RetentionHold.objects.create(
        from_at=at - timedelta(days=420),
        to_at=at - timedelta(days=390),
        reason="Invoice 2024-11 is disputed",
        held_by_name="jana",
        held_at=at - timedelta(days=2),
    )
    RetentionHold.objects.create(
        from_at=at - timedelta(days=500),
        to_at=at - timedelta(days=499),
        reason="Inquiry of the grid operator",
        held_by_name="eva",
        held_at=at - timedelta(days=60),
        released_at=at - timedelta(days=1),
        released_by_name="jana",
    )


def _periods(plant: Plant, number: int, at: datetime) -> None:
    set_by = {"source": StreamPeriod.Source.SET, "set_by_name": "eva"} if number % 2 else {"source": "LEARNT"}
    facts = {"plant": plant, "stream": Stream.REALTIME}
    StreamPeriod.objects.create(**facts, valid_from=at - timedelta(days=30), period_s=10, source="LEARNT")
    StreamPeriod.objects.create(**facts, valid_from=at - timedelta(days=3), period_s=20, **set_by)
    StreamPeriod.objects.create(
        plant=plant, stream=Stream.METER, valid_from=at + timedelta(minutes=15), period_s=300, **set_by
    )
