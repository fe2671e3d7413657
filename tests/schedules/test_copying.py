"""Copying a day by the wall clock, over both clock changes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from plants.errors import Conflict, Invalid, NotFound
from plants.models import Plant
from schedules.mapping import planned
from schedules.models import PlanState, PlanVersion
from schedules.services.copying import MOST_DAYS, copy_day
from schedules.slots import local_text
from tests import factories
from tests.factories import OPERATOR
from tests.queries import queries_of
from tests.schedules.helpers import draft, values
from tests.schedules.plans import DAY, EVE, ZONE, at, slot
from vcp import SetpointType

pytestmark = pytest.mark.django_db

NEXT = date(2026, 1, 3)
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


def copy(plant, *to_days, from_day=DAY, **changes):
    return copy_day(
        organisation_id=plant.organisation_id, external_plant_id=plant.external_plant_id, from_day=from_day,
        to_days=to_days, actor=OPERATOR, at=EVE, **changes,
    )  # fmt: skip


def texts(version, zone=ZONE):
    rows = version.slots.order_by("start_at")
    return [f"{local_text(row.start_at, zone=zone)} {row.value:g}" for row in rows]


def on(day, text, value, **changes):
    return replace(
        slot("10:00", value, **changes),
        start_at=at(text, day=day),
        end_at=at(text, day=day) + timedelta(minutes=15),
    )


def test_a_day_is_copied_to_the_same_times_of_other_days():
    plant = factories.plant()
    draft(plant, slot("10:00", 1), slot("23:45", 2, "EXPORT"))

    copies = copy(plant, NEXT, date(2026, 7, 1))

    assert [(one.version.plan.day, texts(one.version), list(one.notes)) for one in copies] == [
        (NEXT, ["10:00 1", "23:45 2"], []),
        (date(2026, 7, 1), ["10:00 1", "23:45 2"], []),
    ]
    version = copies[0].version
    assert (version.origin, version.state, version.note) == ("COPY", "DRAFT", "copy of 2026-01-02 version 1")


def test_a_day_of_23_hours_loses_the_hour_that_it_does_not_have():
    plant = factories.plant()
    draft(plant, slot("01:45", 1), slot("02:00", 2), slot("02:45", 3), slot("03:00", 4))

    (copied,) = copy(plant, SPRING)

    assert texts(copied.version) == ["01:45 1", "03:00 4"]
    assert copied.notes == ["left out, 2026-03-29 has no place for them: 02:00, 02:45"]


def test_a_day_of_25_hours_repeats_the_hour_that_it_has_twice():
    plant = factories.plant()
    draft(plant, slot("01:45", 1), slot("02:00", 2, type=SetpointType.ENERGY), slot("03:00", 4))

    (copied,) = copy(plant, AUTUMN)

    assert texts(copied.version) == ["01:45 1", "02:00 CEST 2", "02:00 CET 2", "03:00 4"]
    assert copied.notes == ["repeated, 2026-10-25 has them twice: 02:00"]


def twice():
    first = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    early = replace(slot("10:00", 1), start_at=first, end_at=first + timedelta(minutes=15))
    late = replace(
        early, start_at=first + timedelta(hours=1), end_at=first + timedelta(minutes=75), value=2.0
    )
    return early, late


def test_of_an_hour_that_comes_twice_the_earlier_is_copied_to_another_day():
    plant = factories.plant()
    draft(plant, *twice(), day=AUTUMN)

    (copied,) = copy(plant, DAY, from_day=AUTUMN)

    assert texts(copied.version) == ["02:00 1"]
    assert copied.notes == ["left out, 2026-01-02 has no place for them: 02:00"]


def test_from_25_hours_to_25_hours_each_of_the_two_is_kept():
    plant = factories.plant()
    draft(plant, *twice(), day=AUTUMN)

    (copied,) = copy(plant, date(2027, 10, 31), from_day=AUTUMN)

    assert texts(copied.version) == ["02:00 CEST 1", "02:00 CET 2"]
    assert copied.notes == []


def test_an_energy_of_a_slot_that_the_leap_cuts_is_taken_in_proportion():
    zone = "Australia/Lord_Howe"
    plant = factories.plant(time_zone=zone, slot_minutes=60)
    begin = datetime(2026, 4, 3, 14, 0, tzinfo=UTC)  # 01:00 there
    hour = replace(
        slot("10:00", 6, type=SetpointType.ENERGY), start_at=begin, end_at=begin + timedelta(hours=1)
    )
    draft(plant, hour, day=date(2026, 4, 4))

    (copied,) = copy(plant, date(2026, 4, 5), from_day=date(2026, 4, 4))

    slots = map(planned, copied.version.slots.order_by("start_at"))
    assert [(one.hours, one.value) for one in slots] == [(1.0, 6.0), (0.5, 3.0)]
    assert copied.notes == ["repeated, 2026-04-05 has them twice: 01:30"]


def test_what_is_in_force_is_copied_before_what_somebody_edits_unless_a_version_is_named():
    plant = factories.plant()
    first = draft(plant, slot("10:00", 1))
    PlanVersion.objects.filter(pk=first.pk).update(state=PlanState.PUBLISHED)
    edited = draft(plant, slot("10:00", 2))

    (in_force,) = copy(plant, NEXT)
    (named,) = copy(plant, date(2026, 1, 4), version_id=edited.pk)

    assert values(in_force.version) == [1] and values(named.version) == [2]


def test_a_draft_of_a_target_is_only_overwritten_when_told_and_then_no_other_is_lost():
    plant = factories.plant()
    draft(plant, slot("10:00", 1))
    theirs = draft(plant, slot("11:00", 9), day=NEXT)

    with pytest.raises(Conflict) as caught:
        copy(plant, date(2026, 1, 4), NEXT)
    assert (caught.value.code, caught.value.message) == (
        "DRAFT_EXISTS",
        "there are drafts already: 2026-01-03",
    )
    assert PlanVersion.objects.count() == 2

    copies = copy(plant, NEXT, overwrite=True)
    assert (copies[0].version.pk, values(theirs)) == (theirs.pk, [1])


def test_what_can_not_be_copied_is_refused():
    plant = factories.plant()
    many = [DAY + timedelta(days=number) for number in range(1, MOST_DAYS + 2)]

    def code(*days, error=Invalid, **changes):
        with pytest.raises(error) as caught:
            copy(plant, *days, **changes)
        return caught.value.code

    assert code(NEXT, error=NotFound) == "PLAN_NOT_FOUND"
    draft(plant, slot("10:00", 1))
    assert code() == "NO_DAYS"
    assert code(*many) == "TOO_MANY_DAYS"
    assert code(NEXT, DAY) == "SAME_DAY"
    assert code(NEXT, NEXT) == "TWICE"
    stranger = draft(factories.plant(), slot("10:00", 1))
    assert code(NEXT, error=NotFound, version_id=stranger.pk) == "PLAN_NOT_FOUND"
    Plant.objects.filter(pk=plant.pk).update(slot_minutes=60)
    assert code(NEXT, error=Conflict) == "SLOT_LENGTH_DIFFERS"
    draft(plant)
    assert code(NEXT, error=Conflict) == "NOTHING_PLANNED"


def test_many_days_are_copied_by_as_many_statements_as_one():
    plant = factories.plant()
    draft(plant, slot("10:00", 1))
    days = [DAY + timedelta(days=number) for number in range(1, 32)]

    one = queries_of(lambda: copy(plant, date(2026, 6, 1)))
    month = queries_of(lambda: copy(plant, *days))

    assert one == month
