"""Drafts of day plans: edited in place, checked, discarded; the second of two editors is told."""

from datetime import date, timedelta

import pytest

from plants.errors import Conflict, Invalid, NotFound
from plants.models import Plant, TimeConfigOrigin
from plants.services.time_config import Author, set_time_config
from schedules.models import DayPlan, Origin, PlanEvent, PlanSlot, PlanState, PlanVersion
from schedules.services.drafts import MOST_SLOTS, Draft, check_version, discard_draft, save_draft, save_drafts
from schedules.slots import PlannedSlot, grid_of_day
from tests import factories
from tests.factories import OPERATOR
from tests.queries import queries_of
from tests.schedules.helpers import check, draft, seen_of, values, words
from tests.schedules.plans import DAY, EVE, ZONE, slot
from tests.threads import together
from vcp import Direction, SetpointType

pytestmark = pytest.mark.django_db


def test_a_draft_keeps_its_slots_in_the_order_of_time_with_who_made_it():
    version = draft(
        factories.plant(), slot("10:15", 2), slot("10:00", 1), note="windy", origin=Origin.PROGRAM
    )

    version.refresh_from_db()
    assert (version.number, version.state, version.origin, version.note) == (1, "DRAFT", "PROGRAM", "windy")
    assert (version.made_by_name, version.made_at) == ("operator", EVE)
    assert values(version) == [1, 2]
    assert words(version.plan) == [("MADE", "operator")]


def test_an_open_version_is_edited_in_place_and_is_a_draft_again():
    plant = factories.plant()
    first = draft(plant, slot("10:00", 1))
    assert check(first) == []

    second = draft(plant, slot("11:00", 3))

    second.refresh_from_db()
    assert (second.pk, second.number, second.state, second.checked_at) == (first.pk, 1, "DRAFT", None)
    assert values(second) == [3]
    assert [word for word, _ in words(second.plan)] == ["MADE", "CHECKED", "CHANGED"]


@pytest.mark.parametrize("state", [PlanState.PUBLISHED, PlanState.DONE, PlanState.CANCELLED])
def test_a_version_that_is_not_open_is_left_and_the_edit_makes_the_next(state):
    plant = factories.plant()
    first = draft(plant, slot("10:00", 1))
    PlanVersion.objects.filter(pk=first.pk).update(state=state)

    second = draft(plant, slot("10:00", 2))

    assert (second.number, values(second)) == (2, [2])
    assert values(PlanVersion.objects.get(pk=first.pk)) == [1]


def test_the_second_of_two_editors_is_refused_though_the_version_is_the_same():
    plant = factories.plant()
    draft(plant, slot("10:00", 1))
    both_saw = seen_of(plant)
    draft(plant, slot("10:00", 2), seen=both_saw)

    with pytest.raises(Conflict) as caught:
        draft(plant, slot("10:00", 3), seen=both_saw)

    assert caught.value.code == "PLAN_CHANGED"
    assert values(PlanVersion.objects.get()) == [2]


def test_an_editor_who_saw_no_plan_is_refused_when_there_is_one_by_now():
    plant = factories.plant()
    assert seen_of(plant) == 0
    draft(plant, slot("10:00", 1), seen=0)

    with pytest.raises(Conflict, match="meanwhile"):
        draft(plant, slot("10:00", 2), seen=0)


def test_a_check_changes_nothing_that_an_editor_saw():
    plant = factories.plant()
    version = draft(plant, slot("10:00", 1))
    seen = seen_of(plant)
    check(version)

    assert values(draft(plant, slot("10:00", 2), seen=seen)) == [2]


def test_what_can_not_be_a_day_is_refused_and_nothing_is_stored():
    plant = factories.plant()
    many = [slot("00:00", 1)] * (MOST_SLOTS + 1)

    for slots, code in ((many, "TOO_MANY_SLOTS"), ([slot("10:00", 1), slot("10:00", 2)], "TWICE")):
        with pytest.raises(Invalid) as caught:
            draft(plant, *slots)
        assert caught.value.code == code
    with pytest.raises(NotFound) as lost:
        save_draft(
            organisation_id=factories.organisation().pk, external_plant_id=plant.external_plant_id, day=DAY,
            slots=[], actor=OPERATOR, at=EVE,
        )  # fmt: skip

    assert lost.value.code == "PLANT_NOT_FOUND"
    assert not DayPlan.objects.exists()


def test_a_check_tells_what_stands_against_it_and_keeps_the_findings():
    version = draft(factories.plant(capacity_kwh=0), slot("10:00", 120))

    (problem, *_) = check(version)

    version.refresh_from_db()
    assert problem.code == "SITE_LIMIT"
    assert (version.state, version.problems[0]["code"], version.problems[0]["nearest"]) == (
        "DRAFT",
        "SITE_LIMIT",
        100,
    )
    assert words(version.plan)[-1] == ("NOT_PASSED", "operator")


def test_a_plan_keeps_its_zone_when_the_plants_changes_and_is_judged_in_it():
    plant = factories.plant(time_zone=ZONE, capacity_kwh=0)
    quarters = [slot("00:00", 1), slot("23:45", 1)]
    version = draft(plant, *quarters)
    Plant.objects.filter(pk=plant.pk).update(time_zone="America/New_York")

    version = draft(plant, *quarters)

    assert version.plan.time_zone == ZONE
    assert check(version) == []


def test_the_time_config_of_a_plant_that_moved_to_another_zone_follows_its_new_clock():
    plant = factories.plant(time_zone=ZONE, capacity_kwh=0, plant_with_load=False)
    version = draft(plant, slot("10:00", 20))
    forbid_evenings(plant)

    assert [one.code for one in check(version)] == []
    Plant.objects.filter(pk=plant.pk).update(time_zone="Asia/Tokyo")  # 10:00 in Prague is 18:00 there
    assert [one.code for one in check(version)] == ["TIME_CONFIG"]


def forbid_evenings(plant):
    blocks = [
        factories.block(0, 1080, p_bat_min_kw=-40, p_bat_max_kw=40, soc_min_pct=0, soc_max_pct=100),
        factories.block(1080, 1440, p_bat_min_kw=-5, p_bat_max_kw=5, soc_min_pct=0, soc_max_pct=100),
    ]
    set_time_config(
        plant_id=plant.pk, blocks=blocks, origin=TimeConfigOrigin.PERSON, author=Author(name="test"), at=EVE
    )


def test_a_discarded_draft_stays_in_the_history():
    version = draft(factories.plant(), slot("10:00", 1))

    discard_draft(organisation_id=version.plan.organisation_id, version_id=version.pk, actor=OPERATOR, at=EVE)

    version.refresh_from_db()
    assert (version.state, version.ended_at) == ("CANCELLED", EVE)
    assert words(version.plan)[-1] == ("DISCARDED", "operator")
    with pytest.raises(Conflict, match="CANCELLED"):
        check(version)


def test_another_organisations_version_does_not_exist():
    version = draft(factories.plant(), slot("10:00", 1))

    with pytest.raises(NotFound):
        check_version(
            organisation_id=factories.organisation().pk, version_id=version.pk, actor=OPERATOR, at=EVE
        )


def many_drafts(plants, value):
    return [
        Draft(external_plant_id=one.external_plant_id, day=DAY, slots=[slot("10:00", value)])
        for one in plants
    ]


def test_many_days_are_written_by_as_many_statements_as_few():
    owner = factories.organisation()
    link = factories.connection(owner=owner)
    plants = [factories.plant(on=link) for _ in range(12)]

    def save(some, value):
        return lambda: save_drafts(
            organisation_id=owner.pk, drafts=many_drafts(some, value), actor=OPERATOR, at=EVE
        )

    made = (queries_of(save(plants[:2], 1)), queries_of(save(plants[2:], 1)))
    changed = (queries_of(save(plants[:2], 2)), queries_of(save(plants, 2)))

    assert made[0] == made[1] and changed[0] == changed[1]
    assert PlanSlot.objects.filter(value=2).count() == 12


def test_many_days_are_written_all_or_none():
    plant = factories.plant()
    wrong = Draft(external_plant_id="NOBODY", day=DAY, slots=[])

    with pytest.raises(NotFound):
        save_drafts(
            organisation_id=plant.organisation_id,
            drafts=[*many_drafts([plant], 1), wrong],
            actor=OPERATOR,
            at=EVE,
        )

    assert not DayPlan.objects.exists() and not PlanEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_editors_at_once_of_a_day_that_has_no_plan_make_one_version():
    plant = factories.plant()

    answers = together(*[lambda value=value: draft(plant, slot("10:00", value)) for value in (1, 2, 3)])

    assert {answer.pk for answer in answers} == {PlanVersion.objects.get().pk}
    assert PlanSlot.objects.count() == 1
    assert sorted(PlanEvent.objects.values_list("word", flat=True)) == ["CHANGED", "CHANGED", "MADE"]


@pytest.mark.django_db(transaction=True)
def test_of_two_editors_at_once_who_saw_the_same_one_is_refused():
    plant = factories.plant()
    draft(plant, slot("10:00", 1))
    seen = seen_of(plant)

    answers = together(
        *[lambda value=value: draft(plant, slot("10:00", value), seen=seen) for value in (2, 3)]
    )

    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert [one.code for one in refused] == ["PLAN_CHANGED"]


@pytest.mark.django_db(transaction=True)
def test_many_days_in_opposite_order_from_two_threads_do_not_deadlock():
    owner = factories.organisation()
    link = factories.connection(owner=owner)
    plants = [factories.plant(on=link) for _ in range(6)]

    answers = together(
        *[
            lambda some=some: save_drafts(
                organisation_id=owner.pk, drafts=many_drafts(some, 1), actor=OPERATOR, at=EVE
            )
            for some in (plants, plants[::-1], plants, plants[::-1])
        ]
    )

    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert PlanVersion.objects.count() == 6


def test_a_day_of_the_finest_grid_with_25_hours_fits():
    day = date(2026, 10, 25)
    plant = factories.plant(time_zone=ZONE, slot_minutes=5, capacity_kwh=0)
    slots = [
        PlannedSlot(
            start_at=span.start_at,
            end_at=span.end_at,
            type=SetpointType.POWER,
            value=1.0,
            direction=Direction.IMPORT,
        )
        for span in grid_of_day(day, zone=ZONE, minutes=5)
    ]

    version = draft(plant, *slots, day=day, at=EVE + timedelta(days=1))

    assert version.slots.count() == 300
    assert check(version) == []


@pytest.mark.parametrize("day", [date.min, date.max])
def test_a_day_at_an_end_of_the_calendar_is_refused(day):
    with pytest.raises(Invalid) as caught:
        draft(factories.plant(), day=day)

    assert caught.value.code == "DAY_OUT_OF_RANGE"
