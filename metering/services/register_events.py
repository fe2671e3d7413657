"""Falls and leaps of registers as rows: found, changed and taken back by the counting, decided by people.

A decision belongs to the two readings it was made for. As long as they follow each other it counts instead of our own
judgement. When a reading has come between them, or a better one in place of one of them, our judgement counts again; if
there still is an event, its note says that there was a decision.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from metering.models import RegisterEvent, Stream
from metering.registers import QUARTER_US, Leap, LeapKind, Pair, Verdict
from metering.rules import METER_REACH_S
from metering.selectors.meter_readings import to_moment, to_us
from metering.services.marks import mark_changed
from plants.errors import Conflict, Invalid, NotFound
from vcp.said import said

_NOTE_LENGTH = 500
_ENERGY_MAX_KWH = 1e9

MeterKey = tuple[int, str]


class MeterLeaps(NamedTuple):
    """The leaps found where a meter was counted anew: those that overlap [low, high), in microseconds."""

    plant_id: int
    device_id: str
    low_us: int
    high_us: int
    leaps: Sequence[Leap]


class StoredEvents:
    """The events of some meters within a time, as they are in the database."""

    def __init__(self, *, plant_ids: Sequence[int], low_us: int, high_us: int) -> None:
        self._rows: dict[MeterKey, list[RegisterEvent]] = defaultdict(list)
        rows = RegisterEvent.objects.filter(
            plant_id__in=plant_ids, after_at__gt=to_moment(low_us), before_at__lt=to_moment(high_us)
        )
        for row in rows:
            self._rows[row.plant_id, row.device_id].append(row)

    def decided(self, meter: MeterKey) -> Mapping[Pair, Verdict] | None:
        """What people decided on pairs of this meter."""
        if meter not in self._rows:
            return None
        return {
            _pair(row): Verdict(_leap_kind(row), row.energy_kwh)
            for row in self._rows[meter]
            if row.decided_by_name
        }

    def replace(self, found: Sequence[MeterLeaps], *, at: datetime) -> None:
        """Make the rows what was found: new ones in, changed ones over, undecided ones that are gone out."""
        wanted: dict[MeterKey, dict[tuple[str, int], Leap]] = defaultdict(dict)
        for one in found:
            for leap in one.leaps:
                wanted[one.plant_id, one.device_id][leap.pair.register, leap.pair.after_us] = leap
        gone: set[int] = set()
        for one in found:
            leaps = wanted[one.plant_id, one.device_id]
            gone |= {
                row.pk
                for row in self._rows.get((one.plant_id, one.device_id), ())
                if to_us(row.after_at) > one.low_us
                and to_us(row.before_at) < one.high_us
                and not row.decided_by_name
                and (row.register, to_us(row.after_at)) not in leaps
            }
        if gone:
            RegisterEvent.objects.filter(pk__in=gone).delete()
        for (plant_id, device_id), leaps in wanted.items():
            for leap in leaps.values():
                self._keep(plant_id, device_id, leap, at)

    def _keep(self, plant_id: int, device_id: str, leap: Leap, at: datetime) -> None:
        after_at = to_moment(leap.pair.after_us)
        row = next(
            (
                one
                for one in self._rows.get((plant_id, device_id), ())
                if one.register == leap.pair.register and one.after_at == after_at
            ),
            None,
        )
        if row is None:
            row = RegisterEvent(
                plant_id=plant_id,
                device_id=device_id,
                register=leap.pair.register,
                after_at=after_at,
                found_at=at,
            )
        elif _pair(row) == leap.pair and (row.kind, row.energy_kwh) == leap.verdict:
            return
        elif row.decided_by_name:
            row.note = _outdated(row)
            row.decided_by_name = ""
        row.kind = RegisterEvent.Kind(leap.verdict.kind or LeapKind.EXCHANGE)
        row.energy_kwh = leap.verdict.energy_kwh
        row.before_at = to_moment(leap.pair.before_us)
        row.before_kwh, row.after_kwh = leap.pair.before_kwh, leap.pair.after_kwh
        row.save()


def _pair(row: RegisterEvent) -> Pair:
    return Pair(row.register, to_us(row.before_at), to_us(row.after_at), row.before_kwh, row.after_kwh)


def _leap_kind(row: RegisterEvent) -> LeapKind | None:
    return None if row.kind == RegisterEvent.Kind.IGNORED else LeapKind(row.kind)


def evidence_of(row: RegisterEvent) -> str:
    """The two readings as one text: what a person saw who decides, compared again when the decision arrives."""
    return " ".join(str(part) for part in _pair(row))


def _outdated(row: RegisterEvent) -> str:
    energy = "not known" if row.energy_kwh is None else f"{row.energy_kwh:g} kWh"
    told = (
        f"Decide again: other readings have come. {row.decided_by_name} had decided {row.kind}, {energy}, between"
        f" {row.before_at.isoformat()} ({row.before_kwh:g}) and {row.after_at.isoformat()} ({row.after_kwh:g})."
        f" {row.note}"
    )
    return told.strip()[:_NOTE_LENGTH]


def decide_register_event(
    *, event_id: int, kind: str, energy_kwh: float | None, who: str, note: str, seen: str | None = None
) -> RegisterEvent:
    """A person says what happened and how much energy counts between the two readings (None = not known).

    Stays when the time is counted again, which this makes due. `seen`: the `evidence_of` what the person looked at.
    Raises NotFound, Conflict when other readings have come since, and Invalid for an unknown kind, a negative or not
    finite energy, an ignored event without energy, or nobody's name.
    """
    if kind not in RegisterEvent.Kind.values:
        raise Invalid(said("must be RESET, ROLLOVER, EXCHANGE or IGNORED"), path="kind")
    if energy_kwh is not None and not 0 <= energy_kwh <= _ENERGY_MAX_KWH:
        raise Invalid(said("must be at least 0 and at most 1e9 kWh"), path="energy_kwh")
    if energy_kwh is None and kind == RegisterEvent.Kind.IGNORED:
        raise Invalid(
            said("must be told: where nothing happened, the meter counted something or 0"), path="energy_kwh"
        )
    if not who.strip():
        raise Invalid(said("must name the person"), path="who")
    if len(note) > _NOTE_LENGTH:
        raise Invalid(said("must have at most %(limit)s characters", limit=_NOTE_LENGTH), path="note")
    with transaction.atomic():
        row = RegisterEvent.objects.select_for_update().filter(pk=event_id).first()
        if row is None:
            raise NotFound(said("no such register event"), path="event_id")
        if seen is not None and seen != evidence_of(row):
            raise Conflict(said("other readings have come meanwhile; open the page again"))
        row.kind, row.energy_kwh = RegisterEvent.Kind(kind), energy_kwh
        row.decided_by_name, row.note = who.strip()[:150], note
        row.save(update_fields=["kind", "energy_kwh", "decided_by_name", "note"])
        mark_changed(
            stream=Stream.METER,
            changed=[(row.plant_id, moment) for moment in _quarters_between(row.before_at, row.after_at)],
        )
    return row


def _quarters_between(before_at: datetime, after_at: datetime) -> list[datetime]:
    """A moment in each quarter-hour that the time overlaps, late enough not to mark the one before."""
    first = to_us(before_at) // QUARTER_US * QUARTER_US
    return [
        to_moment(start_us) + timedelta(seconds=METER_REACH_S)
        for start_us in range(first, to_us(after_at), QUARTER_US)
    ]
