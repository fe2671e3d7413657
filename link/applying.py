"""Understood messages -> services: one batch of one connection, within the transaction of its caller.

Edge cases (the concurrency policy): every batch takes its locks in the same order, plant states, readings, inbox,
alarms, commands, schedules, dead letters, and within each by key, so that two consumers with overlapping batches wait
for each other and never deadlock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatch.services.voke_words import ScheduleTold, Told, apply_words, store_schedule_events
from link.parsing import MAX_BODY_BYTES, Parsed, letter_of
from metering.models import Stream
from metering.services.marks import mark_all_changed
from plants.models import Disposition
from plants.selectors.connections import home_of
from plants.selectors.plants import resolve_sites
from plants.services.alarms import AlarmWord, apply_alarms
from plants.services.dead_letters import Letter, store_dead_letters
from plants.services.inbox import Arrival, register_arrivals, set_disposition
from plants.services.modes import ModeWord, apply_modes, lock_states
from plants.services.quarantine import PER_PLANT, misplaced
from plants.services.readings import (
    FUTURE_MARGIN,
    MeterSample,
    RawBody,
    RealtimeSample,
    keep_recent_bodies,
    store_readings,
)
from schedules.services.told import MissedSlot, keep, keep_missed_slots, understand
from vcp import (
    Alarm,
    AlarmCode,
    CommandAck,
    Execution,
    Family,
    MeterTelemetry,
    ModeEvent,
    RealtimeValues,
    ScheduleEvent,
)


@dataclass(frozen=True, kw_only=True)
class Inlet:
    """What `receive` must know of the connection that a batch arrived on; `organisation_id`: whose screens are told."""

    connection_id: int
    routing_prefix: str
    retention_days: int
    organisation_id: int | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    quarantine_per_plant: int = PER_PLANT


@dataclass(kw_only=True)
class Report:
    """What a batch came to. `understood`: the messages that could be read, whatever became of them."""

    received: int = 0
    understood: Sequence[Parsed] = ()
    applied: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    by_family: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        """Take over what another part of the batch came to."""
        self.applied += other.applied
        self.duplicates += other.duplicates
        self.dead_letters += other.dead_letters
        for family, count in other.by_family.items():
            self.by_family[family] = self.by_family.get(family, 0) + count


@dataclass(kw_only=True)
class _Sorted:
    """A batch by what becomes of each message; `events` carry the plant that they speak of, if we know it."""

    readings: list[tuple[Parsed, int]] = field(default_factory=list)
    events: list[tuple[Parsed, int | None]] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)


def apply_together(
    parsed: Sequence[Parsed], letters: Sequence[Letter], *, inlet: Inlet, at: datetime
) -> Report:
    """Apply a batch and store its dead letters; call within a transaction."""
    report, refused = apply_understood(parsed, inlet=inlet, at=at)
    all_letters = [*letters, *refused]
    store_dead_letters(
        connection_id=inlet.connection_id,
        letters=all_letters,
        at=at,
        per_plant=inlet.quarantine_per_plant,
    )
    report.dead_letters = len(all_letters)
    return report


def apply_understood(
    parsed: Sequence[Parsed], *, inlet: Inlet, at: datetime
) -> tuple[Report, Sequence[Letter]]:
    """Apply messages; answers what came of it, and a letter for each that can't be applied. Within a transaction."""
    site_ids = {one.site_id for one in parsed}
    sites = resolve_sites(connection_id=inlet.connection_id, site_ids=site_ids) if site_ids else {}
    batch = _sort(parsed, sites, inlet=inlet, at=at)
    _lock(batch)
    _store_readings(batch.readings, inlet=inlet, at=at)
    fresh = _apply_events(batch.events, inlet=inlet, at=at)
    report = Report(applied=len(batch.readings) + fresh, duplicates=len(batch.events) - fresh)
    for family, count in Counter(one.family for one in parsed).items():
        name = family.value if isinstance(family, Family) else "unknown"
        report.by_family[name] = report.by_family.get(name, 0) + count
    return report, batch.letters


def _sort(parsed: Sequence[Parsed], sites: Mapping[str, int], *, inlet: Inlet, at: datetime) -> _Sorted:
    batch = _Sorted()
    oldest, newest = at - timedelta(days=inlet.retention_days), at + FUTURE_MARGIN
    for one in parsed:
        plant_id = sites.get(one.site_id)
        # An ACK belongs to its command whatever site it names, and a type that we do not know is kept for people.
        if isinstance(one.payload, CommandAck | Execution) or one.payload is None:
            batch.events.append((one, plant_id))
        elif plant_id is None:
            letter = letter_of(one.delivery, reason="UNKNOWN_SITE", path="siteId", detail=one.site_id)
            batch.letters.append(letter)
        # Events may be late, and none is of the future: a mode of the year 9999 would be the newest for ever.
        elif wrong := misplaced(one.moment, oldest=oldest if one.is_reading else None, newest=newest):
            path = "payload.readingAt" if isinstance(one.payload, MeterTelemetry) else "timestamp"
            letter = letter_of(
                one.delivery, reason=wrong.reason, path=path, detail=wrong.detail, plant_id=plant_id
            )
            batch.letters.append(letter)
        elif one.is_reading:
            batch.readings.append((one, plant_id))
        else:
            batch.events.append((one, plant_id))
    return batch


def _lock(batch: _Sorted) -> None:
    modes = {plant_id for one, plant_id in batch.events if isinstance(one.payload, ModeEvent)}
    if modes:
        measured = {plant_id for one, plant_id in batch.readings if isinstance(one.payload, RealtimeValues)}
        lock_states(plant_ids={plant_id for plant_id in modes | measured if plant_id is not None})


def _store_readings(readings: Sequence[tuple[Parsed, int]], *, inlet: Inlet, at: datetime) -> None:
    realtime: list[RealtimeSample] = []
    meters: list[MeterSample] = []
    for one, plant_id in readings:
        if isinstance(one.payload, MeterTelemetry):
            meters.append(MeterSample(plant_id, one.payload))
        elif isinstance(one.payload, RealtimeValues):
            realtime.append(RealtimeSample(plant_id, one.moment, one.payload, one.raw_devices))
    store_readings(realtime=realtime, meters=meters, at=at, organisation_id=inlet.organisation_id)
    mark_all_changed(
        {
            Stream.REALTIME: [(sample.plant_id, sample.measured_at) for sample in realtime],
            Stream.METER: [(sample.plant_id, sample.telemetry.reading_at) for sample in meters],
        }
    )
    bodies = [
        RawBody(plant_id, one.delivery.routing_key, one.delivery.body)
        for one, plant_id in readings
        if not one.delivery.redelivered  # it may be there already: a crash came before the acknowledgement
    ]
    keep_recent_bodies(bodies=bodies, at=at)


# --- events: once each ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Fresh:
    """An event that was not seen before, with its inbox row."""

    inbound_id: int
    message: Parsed
    plant_id: int | None

    @property
    def told_at(self) -> datetime:
        return self.message.sent_at


def _apply_events(events: Sequence[tuple[Parsed, int | None]], *, inlet: Inlet, at: datetime) -> int:
    """Register events and apply the new ones; answers how many were new."""
    if not events:
        return 0
    arrivals = [
        Arrival(
            message_id=one.message_id,
            correlation_id=one.correlation_id or "",
            routing_key=one.delivery.routing_key,
            family=one.family_name,
            sent_at=one.sent_at,
            plant_id=plant_id,
            body=one.delivery.body,
        )
        for one, plant_id in events
    ]
    registered = register_arrivals(connection_id=inlet.connection_id, arrivals=arrivals, at=at)
    waiting = dict(registered)
    fresh: list[_Fresh] = []
    for one, plant_id in events:
        inbound_id = waiting.pop(one.message_id, None)
        if inbound_id is not None:
            fresh.append(_Fresh(inbound_id=inbound_id, message=one, plant_id=plant_id))
    dispositions = _apply_fresh(fresh, inlet=inlet, at=at)
    for disposition in Disposition:
        ids = [pk for pk, one_disposition in dispositions.items() if one_disposition is disposition]
        if ids and disposition is not Disposition.APPLIED:
            set_disposition(ids=ids, disposition=disposition)
    return len(fresh)


def _apply_fresh(fresh: Sequence[_Fresh], *, inlet: Inlet, at: datetime) -> dict[int, Disposition]:
    alarms: list[tuple[int, AlarmWord]] = []
    modes: list[tuple[int, ModeWord]] = []
    told: list[Told] = []
    schedules: list[ScheduleTold] = []
    dispositions: dict[int, Disposition] = {}
    for one in fresh:
        match one.message.payload, one.plant_id:
            case (CommandAck() | Execution()) as word, _:
                told.append(_told(one, word))
            case Alarm() as alarm, int(plant_id):
                alarms.append(
                    (one.inbound_id, AlarmWord(plant_id=plant_id, event=alarm, told_at=one.told_at))
                )
            case ModeEvent() as mode, int(plant_id):
                modes.append((one.inbound_id, ModeWord(plant_id=plant_id, event=mode, told_at=one.told_at)))
            case ScheduleEvent() as schedule, int(plant_id):
                schedules.append(_told_of_schedule(one, plant_id, schedule))
            case _:
                dispositions[one.inbound_id] = Disposition.UNKNOWN_TYPE
    changed = apply_modes(words=[word for _, word in modes], at=at, organisation_id=inlet.organisation_id)
    if alarms:
        home = home_of(inlet.connection_id)
        changed += apply_alarms(connection_id=home, words=[word for _, word in alarms], at=at)
    ids = [inbound_id for inbound_id, _ in modes] + [inbound_id for inbound_id, _ in alarms]
    for inbound_id, one_changed in zip(ids, changed, strict=True):
        dispositions[inbound_id] = Disposition.APPLIED if one_changed else Disposition.NO_CHANGE
    news = [word for inbound_id, word in alarms if dispositions[inbound_id] is Disposition.APPLIED]
    return dispositions | _apply_to_commands(told, schedules, news, inlet=inlet, at=at)


def _apply_to_commands(
    told: Sequence[Told],
    schedules: Sequence[ScheduleTold],
    alarms: Sequence[AlarmWord],
    *,
    inlet: Inlet,
    at: datetime,
) -> dict[int, Disposition]:
    """Commands first, all of the batch together, then the plans that they belong to."""
    store_schedule_events(told=schedules, at=at)
    about = understand(connection_id=inlet.connection_id, told=schedules)
    moves = [move for one in about for move in one.moves]
    dispositions = apply_words(connection_id=inlet.connection_id, told=told, at=at, moves_too=moves)
    keep(about=about, dispositions=dispositions, at=at)
    keep_missed_slots(missed=[missed for word in alarms if (missed := _missed(word)) is not None], at=at)
    return dispositions


def _missed(word: AlarmWord) -> MissedSlot | None:
    """A slot that Voke says was missed. Interpretation: its alarm's metadata name scheduleId and slot number."""
    event, facts = word.event, word.event.metadata or {}
    schedule_id, slot = facts.get("scheduleId"), facts.get("slot")
    is_raise = event.code == AlarmCode.SCHEDULE_SLOT_MISSED and event.cleared_at is None
    if not is_raise or not isinstance(schedule_id, str):
        return None
    return MissedSlot(
        plant_id=word.plant_id,
        schedule_id=schedule_id,
        slot=slot if type(slot) is int else None,
        alarm_id=event.alarm_id,
        at=event.raised_at,
    )


def _told_of_schedule(one: _Fresh, plant_id: int, event: ScheduleEvent) -> ScheduleTold:
    return ScheduleTold(
        inbound_id=one.inbound_id,
        plant_id=plant_id,
        correlation_id=one.message.correlation_id or "",
        told_at=one.told_at,
        event=event,
    )


def _told(one: _Fresh, word: CommandAck | Execution) -> Told:
    return Told(
        inbound_id=one.inbound_id,
        correlation_id=one.message.correlation_id or "",
        told_at=one.told_at,
        word=word,
    )
