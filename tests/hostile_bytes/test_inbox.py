"""What the parser takes the database takes: every accepted event is applied once, in any batch and in any order."""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import models, transaction
from hypothesis import given, note
from hypothesis import strategies as st

from dispatch.models import Command, CommandEvent, OutboundMessage, ScheduleNotice
from link.broker import Delivery
from link.parsing import parse_batch
from plants.models import (
    Alarm,
    AlarmChange,
    DeadLetter,
    InboundMessage,
    MeterReading,
    Plant,
    PlantState,
    TelemetryReading,
)
from plants.services.partitions import forget_known_partitions, maintain_partitions
from tests import factories
from tests.dispatch.helpers import ask, mode
from tests.factories import AT
from tests.hostile_bytes.events import Event, events
from tests.hostile_bytes.wide import examples
from tests.link.helpers import RETENTION_DAYS, alarm, hear, meter, mode_event, realtime, seconds
from vcp import Alarm as AlarmEvent
from vcp import Family, RealtimeValues

pytestmark = pytest.mark.django_db
OUTSIDE_OUR_RULES = {"UNKNOWN_SITE", "TOO_OLD", "FROM_THE_FUTURE"}
KEPT: dict[type[models.Model], set[str]] = {
    PlantState: set(),
    TelemetryReading: {"id"},
    MeterReading: {"id"},
    InboundMessage: {"id"},
    Alarm: {"id", "case"},
    AlarmChange: {"id"},
    ScheduleNotice: {"id", "inbound"},
    CommandEvent: {"id", "inbound"},
    Command: set(),
    OutboundMessage: set(),
    DeadLetter: {"id", "count", "last_at"},
}
"""Every table that events reach, and the columns that only number or count."""


@pytest.fixture
def plant() -> Iterator[Plant]:
    forget_known_partitions()
    maintain_partitions(at=AT, retention_days=RETENTION_DAYS)
    plant = factories.plant()
    for _ in range(4):
        ask(plant, mode())
    yield plant
    forget_known_partitions()


@contextmanager
def rolled_back() -> Iterator[None]:
    """One example: whatever it stores is gone afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    forget_known_partitions()


def stored(*, but: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """All that events have left, comparable."""
    found: dict[str, list[str]] = {}
    for model, ignored in KEPT.items():
        names = [field.name for field in model._meta.fields if field.name not in ignored | but]
        found[model.__name__] = sorted(
            repr(_plain(row)) for row in model._default_manager.values_list(*names)
        )
    return found


def _plain(row: Sequence[Any]) -> list[Any]:
    return [bytes(value) if isinstance(value, memoryview) else value for value in row]


def deliveries(plant: Plant, batch: Sequence[Event]) -> list[Delivery]:
    uuid = str(plant.voke_uuid)
    sites = {
        "by UUID": uuid,
        "by our id": plant.external_plant_id,
        "in capitals": uuid.upper(),
        "as a URN": f"urn:uuid:{uuid}",
        "unknown": "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
        "nonsense": "'; --\u202e" * 10,
    }
    ours = [str(one) for one in OutboundMessage.objects.values_list("correlation_id", flat=True)]
    return [event.told(sites=sites, correlations=ours or ["x"]) for event in batch]


@examples(40)
@given(st.lists(events(), min_size=1, max_size=8))
def test_every_accepted_event_is_stored_and_a_second_delivery_changes_nothing(
    plant: Plant, batch: list[Event]
) -> None:
    told = deliveries(plant, batch)
    parsed, refused = parse_batch(told, routing_prefix="acme")
    assert [letter.reason for letter in refused] == []
    with rolled_back():
        first = hear(plant.connection, *told)
        after_first = stored()
        reasons = set(DeadLetter.objects.values_list("reason", flat=True))
        second = hear(plant.connection, *told, at=AT + seconds(1))
        after_second = stored()

    note(reasons)
    assert reasons <= OUTSIDE_OUR_RULES
    assert first.applied + first.duplicates + first.dead_letters == len(parsed)
    assert second.dead_letters == first.dead_letters
    assert after_second == after_first


@examples(15)
@given(st.lists(events(), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_one_batch_or_many_the_same_is_stored(
    plant: Plant, batch: list[Event], chance: random.Random
) -> None:
    told = deliveries(plant, batch)
    cuts = sorted(chance.sample(range(1, len(told)), chance.randint(1, len(told) - 1)))
    with rolled_back():
        hear(plant.connection, *told)
        together = stored(but=frozenset({"disposition"}))
    with rolled_back():
        for start, end in zip([0, *cuts], [*cuts, len(told)], strict=True):
            hear(plant.connection, *told[start:end])
        apart = stored(but=frozenset({"disposition"}))

    apart.pop("AlarmChange"), together.pop("AlarmChange")  # a batch notes what it changed as a whole
    assert apart == together


# --- order ------------------------------------------------------------------------------------------------------------

offsets = st.lists(st.integers(-50_000, 3000), min_size=2, max_size=7, unique=True)
moments = st.integers(-9, 9).map(lambda minutes: AT + seconds(60 * minutes))


@st.composite
def latest_wins(draw: st.DrawFn, kinds: Sequence[str]) -> list[tuple[str, float, dict[str, Any]]]:
    """Words on one plant, no two of the same time: (kind, seconds from AT, members)."""
    words: list[tuple[str, float, dict[str, Any]]] = []
    for offset in draw(offsets):
        kind = draw(st.sampled_from(kinds))
        members: dict[str, Any] = {}
        if kind == "alarm":
            members = {"raised": draw(moments), "cleared": draw(st.none() | moments)}
            members["message"] = f"said at {offset}"
        elif kind == "mode":
            members = {"mode": f"M{offset}"}
        elif kind == "realtime":
            members = {"socPercent": draw(st.none() | st.floats(0, 100))}
        words.append((kind, offset, members))
    return words


def _tell(plant: Plant, kind: str, offset: float, members: dict[str, Any]) -> Delivery:
    at = AT + seconds(offset)
    makers = {"alarm": alarm, "mode": mode_event, "realtime": realtime, "meter": meter}
    return makers[kind](plant, at=at, **members)


@examples(30)
@given(latest_wins(["alarm", "mode", "realtime", "meter"]), st.randoms(use_true_random=False))
def test_the_latest_word_wins_in_whatever_order_the_words_come(
    plant: Plant, words: list[tuple[str, float, dict[str, Any]]], chance: random.Random
) -> None:
    told = [_tell(plant, *word) for word in words]
    shuffled = chance.sample(told, len(told))
    with rolled_back():
        hear(plant.connection, *told)
        as_told = stored(but=frozenset({"disposition", "received_at"}))
    with rolled_back():
        for one in shuffled:
            hear(plant.connection, one)
        as_shuffled = stored(but=frozenset({"disposition", "received_at"}))

    as_told.pop("AlarmChange"), as_shuffled.pop("AlarmChange")
    assert as_shuffled == as_told


# --- nothing is bent on its way ---------------------------------------------------------------------------------------


@examples(30)
@given(events().filter(lambda event: event.family in (Family.EVENT_TELEMETRY_REALTIME, Family.EVENT_ALARM)))
def test_numbers_texts_and_times_are_stored_as_they_were_said(plant: Plant, event: Event) -> None:
    [told] = deliveries(plant, [event])
    [one], _ = parse_batch([told], routing_prefix="acme")
    with rolled_back():
        hear(plant.connection, told)
        readings, alarms = list(TelemetryReading.objects.all()), list(Alarm.objects.all())

    for row in readings:
        said = one.payload
        assert isinstance(said, RealtimeValues)
        assert (row.measured_at, row.grid_power_kw) == (one.sent_at, said.grid_power_kw)
        assert (row.soc_pct, row.battery_temperature_c) == (said.soc_pct, said.battery_temperature_c)
    for row in alarms:
        said = one.payload
        assert isinstance(said, AlarmEvent)
        assert (row.alarm_id, row.message) == (said.alarm_id, said.message)
        assert _doubles(row.metadata) == _doubles(said.metadata)
        # A clear dated before its raise counts as at the raise.
        cleared_at = said.cleared_at and max(said.cleared_at, said.raised_at)
        assert (row.raised_at, row.cleared_at) == (said.raised_at, cleared_at)
        assert (row.actual_value, row.tolerance_pct) == (said.actual_value, said.tolerance_pct)


def _doubles(document: Any) -> Any:
    """All numbers as doubles: PostgreSQL gives 5.4e+221 back as a whole number of 222 digits."""
    return json.loads(json.dumps(document), parse_int=float)
