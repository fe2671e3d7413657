"""What has to be counted again: each meter's quarter-hours that a change reaches, with all readings that it takes.

A reading changes the difference to the one before and to the one after it, for each register that these tell. So the
work on a due quarter-hour widens to the quarter-hours between these neighbours, but not to those that

- have not ended yet (they are made due, if their own readings have not done that),
- are due themselves (they have their turn),
- lie before it, when a reading soon after its beginning tells the register: `mark_changed` has marked them for that.

So a quarter-hour whose readings came on time is counted once and widens to nothing.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from metering.registers import QUARTER_US, REGISTERS, Reading
from metering.rules import METER_REACH_S
from metering.selectors.meter_readings import (
    MeterSpan,
    PlantSpan,
    neighbours,
    readings_of_meters,
    readings_of_plants,
)

REACH_US = METER_REACH_S * 1_000_000
_ALL = range(len(REGISTERS))


@dataclass(kw_only=True, slots=True)
class MeterWork:
    """The quarter-hours [low, high) of one meter and its readings there and around, in order of time.

    `known`: one bit for each register that the meter was heard of before; `registers`: and is now. `earlier`, `later`:
    by register, the nearest reading outside that tells it.
    """

    plant_id: int
    device_id: str
    low_us: int
    high_us: int
    readings: list[Reading]
    known: int
    registers: int = 0
    earlier: dict[int, Reading] = field(default_factory=dict)
    later: dict[int, Reading] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.registers = self.known

    def has(self, register: int) -> bool:
        return bool(self.registers >> register & 1)

    def place(self) -> tuple[int, int]:
        """Where the readings within [low, high) begin and end."""
        return (
            bisect_left(self.readings, self.low_us, key=_moment),
            bisect_left(self.readings, self.high_us, key=_moment),
        )

    def see(self) -> None:
        """Note which registers the readings tell, and for each the nearest values outside that they hold."""
        for register in _ALL:
            if not self.has(register) and any(one.kwh[register] is not None for one in self.readings):
                self.registers |= 1 << register
        begin, end = self.place()
        for register in _ALL:
            if self.has(register):
                _note(self.earlier, register, reversed(self.readings[:begin]))
                _note(self.later, register, self.readings[end:])

    def tells(self, register: int, *, until_us: int) -> bool:
        """Whether a reading within [low, until) tells the register."""
        begin, _ = self.place()
        for one in self.readings[begin:]:
            if one.at_us >= until_us:
                return False
            if one.kwh[register] is not None:
                return True
        return False

    def complete(self) -> list[Reading]:
        """The readings with the neighbours that lie further out."""
        held = {one.at_us for one in self.readings}
        outside = {one for one in (*self.earlier.values(), *self.later.values()) if one.at_us not in held}
        return sorted([*self.readings, *outside]) if outside else self.readings


def _moment(reading: Reading) -> int:
    return reading.at_us


def _note(known: dict[int, Reading], register: int, readings: Iterable[Reading]) -> None:
    if register not in known:
        for one in readings:
            if one.kwh[register] is not None:
                known[register] = one
                return


def runs(due: Iterable[tuple[int, int]]) -> list[PlantSpan]:
    """Spans of quarter-hours that follow each other, from (plant id, beginning) of each."""
    found: list[PlantSpan] = []
    for plant_id, start_us in sorted(set(due)):
        if found and found[-1].plant_id == plant_id and found[-1].high_us == start_us:
            found[-1] = found[-1]._replace(high_us=start_us + QUARTER_US)
        else:
            found.append(PlantSpan(plant_id, start_us, start_us + QUARTER_US))
    return found


def work_on(
    spans: Sequence[PlantSpan], *, known: Mapping[tuple[int, str], int], margin_us: int, bridge_us: int
) -> list[MeterWork]:
    """The meters that may have to be counted within the spans, with all their readings there and the neighbours.

    `known`: the registers of the meters that were heard of before; a meter that says nothing around a span counts
    there only if it does later. `margin_us`: neighbours this close are read along with the rest.
    """
    wide = [PlantSpan(one.plant_id, one.low_us - margin_us, one.high_us + margin_us) for one in spans]
    devices: dict[int, set[str]] = {}
    for plant_id, device_id in known:
        devices.setdefault(plant_id, set()).add(device_id)
    works = []
    found = readings_of_plants(spans=wide)
    for span, by_device in zip(spans, found, strict=True):
        devices.setdefault(span.plant_id, set()).update(by_device)
    for span, by_device in zip(spans, found, strict=True):
        for device_id in sorted(devices[span.plant_id]):
            registers = known.get((span.plant_id, device_id), 0)
            readings = by_device.get(device_id, [])
            works.append(
                MeterWork(
                    plant_id=span.plant_id,
                    device_id=device_id,
                    low_us=span.low_us,
                    high_us=span.high_us,
                    readings=readings,
                    known=registers,
                )
            )
    _share_registers(works)
    _find_neighbours(works, bridge_us=bridge_us)
    return [work for work in works if work.readings or (work.earlier and work.later)]


def _share_registers(works: Sequence[MeterWork]) -> None:
    """What one span of a meter told counts in its others."""
    told: dict[tuple[int, str], int] = {}
    for work in works:
        work.see()
        key = (work.plant_id, work.device_id)
        told[key] = told.get(key, 0) | work.registers
    for work in works:
        if work.registers != told[work.plant_id, work.device_id]:
            work.registers = told[work.plant_id, work.device_id]
            work.see()


def _find_neighbours(works: Sequence[MeterWork], *, bridge_us: int) -> None:
    """Look up the neighbours that were not read along.

    The later one first: near the present it is found, or missed, at once. Without it, and without a value within, what
    came before does not matter.
    """
    for register in _ALL:
        asked = [work for work in works if work.has(register) and register not in work.later]
        spans = [
            MeterSpan(work.plant_id, work.device_id, work.high_us, work.high_us + bridge_us) for work in asked
        ]
        for work, reading in zip(asked, neighbours(spans=spans, register=register, later=True), strict=True):
            if reading is not None:
                work.later[register] = reading
        asked = [
            work
            for work in works
            if work.has(register)
            and register not in work.earlier
            and (register in work.later or work.tells(register, until_us=work.high_us))
        ]
        spans = [
            MeterSpan(work.plant_id, work.device_id, work.low_us - bridge_us, work.low_us) for work in asked
        ]
        for work, reading in zip(asked, neighbours(spans=spans, register=register, later=False), strict=True):
            if reading is not None:
                work.earlier[register] = reading


def reached(work: MeterWork, *, bridge_us: int) -> tuple[int, int]:
    """[low, high) of the quarter-hours that a change within the work's span can reach."""
    low, high = work.low_us, work.high_us
    begin, end = work.place()
    for register in _ALL:
        before, after = work.earlier.get(register), work.later.get(register)
        ends_soon = after is not None and after.at_us < work.high_us + REACH_US
        changed = begin < end or ends_soon
        if before is not None and changed and not work.tells(register, until_us=work.low_us + REACH_US):
            low = min(low, before.at_us // QUARTER_US * QUARTER_US)
        if after is not None and begin < end:
            high = max(high, -(-after.at_us // QUARTER_US) * QUARTER_US)
    return max(low, work.low_us - bridge_us), min(high, work.high_us + bridge_us)


def widen(wider: Sequence[tuple[MeterWork, int, int]], *, margin_us: int, bridge_us: int) -> list[MeterWork]:
    """The same meters over wider spans (work, low, high), with all readings there and the neighbours."""
    spans = [
        MeterSpan(work.plant_id, work.device_id, low - margin_us, high + margin_us)
        for work, low, high in wider
    ]
    works = [
        MeterWork(
            plant_id=work.plant_id,
            device_id=work.device_id,
            low_us=low,
            high_us=high,
            readings=readings,
            known=work.registers,
        )
        for (work, low, high), readings in zip(wider, readings_of_meters(spans=spans), strict=True)
    ]
    _share_registers(works)
    _find_neighbours(works, bridge_us=bridge_us)
    return works


def quarters_within(low_us: int, high_us: int) -> Iterator[int]:
    """The beginnings of the quarter-hours of [low, high)."""
    return iter(range(low_us, high_us, QUARTER_US))
