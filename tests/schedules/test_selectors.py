"""Reading plans: lists, versions and their differences, what runs now, and what became of each slot."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from dispatch.models import Command, Proof, Verification
from plants.errors import Invalid, NotFound
from plants.models import Plant
from schedules.models import PlanSlot, PlanState, PlanVersion, RunState, SlotProof, SlotRun
from schedules.policy import current_schedule_policy
from schedules.selectors.plans import history, plan_of_day, plans_of, slots_ahead
from schedules.selectors.proof import verdicts_of
from schedules.selectors.versions import diff_of, version_of, versions_of
from schedules.services.carried_by_us import run_due_slots
from schedules.services.publishing import publish
from tests import factories
from tests.dispatch.helpers import ask, setpoint
from tests.factories import OPERATOR
from tests.queries import queries_of
from tests.schedules.helpers import checked, draft, seen_of
from tests.schedules.plans import DAY, EVE, at, slot

pytestmark = pytest.mark.django_db

NEXT = date(2026, 1, 3)


def published(plant, *slots, **changes):
    version = checked(plant, *slots, **changes)
    return publish(
        organisation_id=plant.organisation_id, version_id=version.pk, actor=OPERATOR, at=EVE,
        policy=current_schedule_policy(), accept_warnings=True,
    )  # fmt: skip


def plain_plant(**changes):
    return factories.plant(**({"capacity_kwh": 0} | changes))


# --- lists ------------------------------------------------------------------------------------------------------------


def test_the_list_tells_what_is_in_force_and_what_is_edited_newest_day_first():
    plant = plain_plant()
    first = published(plant, slot("10:00", 1))
    edited = draft(plant, slot("10:00", 2))
    other_day = draft(plant, day=NEXT)
    draft(factories.plant(), slot("10:00", 1))

    rows = list(plans_of(organisation_id=plant.organisation_id))

    assert [(row.day, row.in_force_id, row.open_id) for row in rows] == [
        (NEXT, None, other_day.pk),
        (DAY, first.pk, edited.pk),
    ]
    assert (rows[1].in_force_state, rows[1].in_force_number) == ("PUBLISHED", 1)
    assert (rows[1].open_state, rows[1].open_number) == ("DRAFT", 2)


def test_the_list_is_filtered_by_plant_day_and_state():
    link = factories.connection()
    one, two = plain_plant(on=link), plain_plant(on=link)
    published(one, slot("10:00", 1))
    draft(one, day=NEXT)
    draft(two)

    def keys(**filters):
        rows = plans_of(organisation_id=link.organisation_id, **filters)
        return [(row.plant_id, row.day) for row in rows]

    assert keys(external_plant_id=two.external_plant_id) == [(two.pk, DAY)]
    assert keys(first_day=NEXT) == [(one.pk, NEXT)]
    assert keys(last_day=DAY, external_plant_id=one.external_plant_id) == [(one.pk, DAY)]
    assert keys(state=PlanState.PUBLISHED) == [(one.pk, DAY)]
    assert keys(state=PlanState.DRAFT) == [(one.pk, NEXT), (two.pk, DAY)]


def test_a_page_of_plans_is_one_statement_however_many_they_are():
    plant = plain_plant()
    for number in range(30):
        draft(plant, slot("10:00", 1), day=DAY + timedelta(days=number))

    def page(size):
        rows = plans_of(organisation_id=plant.organisation_id)[:size]
        return lambda: [(row.plant.name, row.open_state) for row in rows]

    assert queries_of(page(2)) == queries_of(page(30)) == 1


# --- versions and history ---------------------------------------------------------------------------------------------


def test_a_version_is_compared_with_the_one_published_before_it():
    plant = plain_plant()
    first = published(plant, slot("10:00", 1), slot("10:15", 2))
    second = draft(plant, slot("10:00", 3), slot("10:30", 4))

    told = diff_of(organisation_id=plant.organisation_id, version_id=second.pk)

    assert told.before == first
    assert told.texts() == [
        "10:00-10:15 changed: import 1 kW -> import 3 kW",
        "10:15-10:30 removed: import 2 kW",
        "10:30-10:45 added: import 4 kW",
    ]


def test_the_first_version_adds_all_and_any_two_of_a_day_can_be_compared():
    plant = plain_plant()
    first = published(plant, slot("10:00", 1))
    second = published(plant, slot("10:00", 2))

    alone = diff_of(organisation_id=plant.organisation_id, version_id=first.pk)
    back = diff_of(organisation_id=plant.organisation_id, version_id=first.pk, other_id=second.pk)

    assert (alone.before, alone.texts()) == (None, ["10:00-10:15 added: import 1 kW"])
    assert back.texts() == ["10:00-10:15 changed: import 2 kW -> import 1 kW"]


def test_versions_of_other_days_and_organisations_are_not_compared():
    plant = plain_plant()
    here, there = draft(plant, slot("10:00", 1)), draft(plant, day=NEXT)
    stranger = draft(factories.plant(), slot("10:00", 1))

    with pytest.raises(Invalid) as caught:
        diff_of(organisation_id=plant.organisation_id, version_id=here.pk, other_id=there.pk)
    assert caught.value.code == "OTHER_DAY"
    for wrong in ({"version_id": stranger.pk}, {"version_id": here.pk, "other_id": stranger.pk}):
        with pytest.raises(NotFound):
            diff_of(organisation_id=plant.organisation_id, **wrong)
    with pytest.raises(NotFound):
        version_of(organisation_id=plant.organisation_id, version_id=stranger.pk)
    assert not versions_of(organisation_id=plant.organisation_id, plan_id=stranger.plan_id)


def test_the_history_tells_who_did_what_newest_first():
    plant = plain_plant()
    first = published(plant, slot("10:00", 1))
    published(plant, slot("10:00", 2))

    told = history(organisation_id=plant.organisation_id, plan_id=first.plan_id)

    assert [(one.word, one.version.number) for one in told] == [
        ("PUBLISHED", 2), ("REPLACED", 1), ("CHECKED", 2), ("MADE", 2), ("PUBLISHED", 1), ("CHECKED", 1), ("MADE", 1),
    ]  # fmt: skip
    assert {one.actor for one in told} == {"operator"}
    assert queries_of(lambda: [one.version.number for one in history(organisation_id=1, plan_id=1)]) == 1
    assert history(organisation_id=factories.organisation().pk, plan_id=first.plan_id) == []


# --- now --------------------------------------------------------------------------------------------------------------


def ahead_of(plant, when):
    found = slots_ahead(plant_id=plant.pk, at=when)
    return found.current, found.following


def test_what_runs_now_and_what_comes_next_is_told_by_one_statement():
    link = factories.connection()
    busy, other = plain_plant(on=link), plain_plant(on=link)
    published(busy, slot("10:00", 5), slot("10:15", 6), slot("12:00", 7))
    published(other, slot("10:00", 1))
    draft(busy, slot("10:00", 8), slot("10:20", 9))

    assert ahead_of(busy, at("09:00")) == (None, slot("10:00", 5))
    assert ahead_of(busy, at("10:00")) == (slot("10:00", 5), slot("10:15", 6))
    assert ahead_of(busy, at("10:15")) == (slot("10:15", 6), slot("12:00", 7))
    assert ahead_of(busy, at("10:30")) == (None, slot("12:00", 7))
    assert ahead_of(busy, at("12:15")) == (None, None)
    assert queries_of(lambda: ahead_of(busy, at("10:15"))) == 1


def test_what_runs_now_is_found_on_both_sides_of_the_calendar():
    east = plain_plant(time_zone="Pacific/Kiritimati")
    begins = at("11:00", day=date(2026, 1, 1))  # 2026-01-02 00:00 at UTC+14
    first = replace(slot("10:00", 1), start_at=begins, end_at=begins + timedelta(minutes=15))
    draft(east, first)
    PlanVersion.objects.update(state=PlanState.PUBLISHED)

    assert ahead_of(east, begins) == (first, None)
    assert ahead_of(east, begins - timedelta(hours=35)) == (None, first)


def test_where_two_days_overlap_the_later_one_speaks():
    plant = plain_plant()
    draft(plant, slot("10:00", 1))
    draft(plant, slot("10:00", 2), day=NEXT)
    PlanVersion.objects.update(state=PlanState.PUBLISHED)
    PlanSlot.objects.update(start_at=at("10:00"), end_at=at("10:15"))

    assert ahead_of(plant, at("10:05")) == (slot("10:00", 2), None)


# --- a day, slot by slot ----------------------------------------------------------------------------------------------


def day_of(plant, **changes):
    return plan_of_day(
        organisation_id=plant.organisation_id, external_plant_id=plant.external_plant_id, day=DAY, **changes
    )


def test_a_day_tells_of_each_slot_what_was_planned_and_what_became_of_it():
    plant = plain_plant()
    version = published(plant, slot("10:00", 5), slot("10:15", 6), slot("10:30", 7))
    run_due_slots(at=at("10:00"), policy=current_schedule_policy())
    command = Command.objects.get()
    Verification.objects.update_or_create(
        command=command,
        defaults={
            "verdict": Proof.OFF_TARGET,
            "due_at": at("10:15"),
            "off_by": -1.5,
            "unit": "kW",
            "plant": plant,
            "begins_at": at("10:00"),
            "ends_at": at("10:15"),
            "rank": 0,
        },
    )
    SlotRun.objects.filter(slot__start_at=at("10:15")).update(
        state=RunState.PREEMPTED, cause="LATCHED", winner="emergency STOP by Ann"
    )

    told = day_of(plant)

    first, second, third = told.outcomes
    assert (first.slot, first.run_state, first.command_id) == (slot("10:00", 5), "COMMANDED", command.pk)
    assert (first.command_state, first.verdict, first.off_by, first.unit) == (
        "QUEUED",
        "OFF_TARGET",
        -1.5,
        "kW",
    )
    assert (second.run_state, second.cause, second.winner) == (
        "PREEMPTED",
        "LATCHED",
        "emergency STOP by Ann",
    )
    assert (third.run_state, third.turn, third.command_id) == ("WAITING", 1, None)
    assert told.counts == {"OFF_TARGET": 1, "PREEMPTED": 1, "WAITING": 1}
    assert (told.version, told.mark) == (version, seen_of(plant))


def test_the_newest_turn_speaks_and_the_last_command_is_still_named():
    plant = plain_plant()
    version = published(plant, slot("10:00", 5))
    run_due_slots(at=at("10:00"), policy=current_schedule_policy())
    run = SlotRun.objects.get()
    SlotRun.objects.create(plant=plant, slot=run.slot, turn=2, due_at=at("10:05"), state=RunState.WAITING)

    (told,) = day_of(plant, version_id=version.pk).outcomes

    assert (told.turn, told.run_state, told.command_id) == (2, "WAITING", run.command_id)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("OFF_TARGET", "VERIFIED", "OFF_TARGET"),
        ("VERIFIED", "NOT_IN_FORCE", "VERIFIED"),
        ("NO_DATA", "VERIFIED", "NO_DATA"),
        ("VERIFIED", "PENDING", ""),
    ],
)
def test_a_slot_of_several_turns_is_verified_only_where_nothing_speaks_against_it(first, second, told):
    plant = plain_plant()
    version = published(plant, slot("10:00", 5))
    run_due_slots(at=at("10:00"), policy=current_schedule_policy())
    run = SlotRun.objects.get()
    again = ask(plant, setpoint(valid_from=at("10:05"), valid_until=at("10:15")), at=at("10:05"))
    SlotRun.objects.create(
        plant=plant, slot=run.slot, turn=2, due_at=at("10:05"), state=RunState.COMMANDED, command=again
    )
    for command_id, verdict in ((run.command_id, first), (again.pk, second)):
        Verification.objects.filter(command=command_id).update(verdict=verdict, off_by=1.5, unit="kW")

    (one,) = day_of(plant).outcomes

    assert (one.command_id, one.verdict) == (again.pk, told)
    kept = verdicts_of(version_ids=[version.pk])[run.slot_id]
    assert kept == (told or "PENDING")


def test_a_day_speaks_of_what_is_in_force_before_what_is_edited():
    plant = plain_plant()
    with pytest.raises(NotFound):
        day_of(plant)
    edited = draft(plant, slot("10:00", 1))
    assert day_of(plant).version == edited
    assert day_of(plant).counts == {"PLANNED": 1}
    in_force = published(plant, slot("10:00", 2))
    draft(plant, slot("10:00", 3))
    assert day_of(plant).version == in_force
    PlanVersion.objects.filter(pk=in_force.pk).update(state=PlanState.DONE)
    assert day_of(plant).version == in_force
    with pytest.raises(NotFound):
        day_of(plant, version_id=edited.pk + 1000)


def test_a_day_that_voke_carries_tells_its_schedules():
    plant = plain_plant()
    Plant.objects.filter(pk=plant.pk).update(schedule_carrier="VOKE")
    published(plant, slot("10:00", 5))

    told = day_of(plant)

    assert [one.create_command.kind for one in told.schedules] == ["schedule-create"]
    assert [one.run_state for one in told.outcomes] == [""]
    proven = {"verdict": Proof.VERIFIED, "due_at": EVE, "off_by": 0.2, "unit": "kW"}
    SlotProof.objects.update_or_create(slot=PlanSlot.objects.get(), defaults=proven)
    assert day_of(plant).counts == {"VERIFIED": 1}


def test_a_day_takes_as_many_statements_with_many_slots_and_turns_as_with_few():
    plant, other = plain_plant(), plain_plant()
    published(plant, slot("10:00", 5))
    published(
        other,
        *[slot(f"{hour:02d}:{minute}", 5) for hour in range(8, 20) for minute in ("00", "15", "30", "45")],
    )
    for row in SlotRun.objects.filter(plant=other):
        SlotRun.objects.create(plant=other, slot=row.slot, turn=2, due_at=row.due_at)
    run_due_slots(at=at("11:00"), policy=current_schedule_policy())

    assert queries_of(lambda: day_of(plant)) == queries_of(lambda: day_of(other)) <= 7
