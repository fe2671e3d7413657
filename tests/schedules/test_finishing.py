"""Plans end with their day and are forgotten long after it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction

from dispatch.models import Command
from schedules.models import (
    DayPlan,
    Override,
    PlanEvent,
    PlanSlot,
    PlanState,
    PlanVersion,
    SlotRun,
    VokeSchedule,
)
from schedules.services.finishing import finish_plans, prune_overrides, prune_plans
from tests import factories
from tests.queries import queries_of
from tests.schedules.helpers import draft
from tests.schedules.plans import DAY, EVE, at, slot
from tests.threads import Aside, together

pytestmark = pytest.mark.django_db

MIDNIGHT = at("00:00", day=date(2026, 1, 3))
LATER = EVE + timedelta(days=500)


def planned_on(plant, day=DAY, state=PlanState.PUBLISHED, **changes):
    version = draft(plant, *changes.pop("slots", [slot("10:00", 1)]), day=day)
    PlanVersion.objects.filter(pk=version.pk).update(state=state)
    return version


def state_of(version):
    return PlanVersion.objects.values_list("state", "ended_at").get(pk=version.pk)


def test_a_published_plan_is_done_when_its_local_day_is_over_and_not_before():
    version = planned_on(factories.plant())

    assert finish_plans(at=MIDNIGHT - timedelta(seconds=1)) == 0
    assert finish_plans(at=MIDNIGHT) == 1
    assert finish_plans(at=MIDNIGHT + timedelta(seconds=60)) == 0

    assert state_of(version) == ("DONE", MIDNIGHT)
    event = version.plan.events.last()
    assert (event.word, event.actor, event.version_id) == ("DONE", "platform", version.pk)


@pytest.mark.parametrize(
    ("zone", "ends_at"),
    [
        ("Pacific/Kiritimati", datetime(2026, 1, 2, 10, tzinfo=UTC)),
        ("Pacific/Midway", datetime(2026, 1, 3, 11, tzinfo=UTC)),
        ("UTC", datetime(2026, 1, 3, tzinfo=UTC)),
    ],
)
def test_a_day_ends_by_the_plans_own_zone(zone, ends_at):
    planned_on(factories.plant(time_zone=zone))

    assert finish_plans(at=ends_at - timedelta(seconds=1)) == 0
    assert finish_plans(at=ends_at) == 1


@pytest.mark.parametrize(
    "state", [PlanState.DRAFT, PlanState.CHECKED, PlanState.CANCELLED, PlanState.REPLACED]
)
def test_only_what_is_published_is_done(state):
    version = planned_on(factories.plant(), state=state)

    assert finish_plans(at=MIDNIGHT) == 0
    assert state_of(version)[0] == state


def many(count, day=DAY):
    link = factories.connection()
    return [planned_on(factories.plant(on=link, assets=[]), day) for _ in range(count)]


def test_many_plans_are_finished_by_as_many_statements_as_few_and_in_steps():
    many(2)
    few = queries_of(lambda: finish_plans(at=MIDNIGHT))
    many(9)

    assert queries_of(lambda: finish_plans(at=MIDNIGHT)) == few
    many(5)
    assert finish_plans(at=MIDNIGHT, limit=2) == 5
    assert PlanEvent.objects.filter(word="DONE").count() == 16


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_finish_each_plan_once():
    many(8)

    counts = together(*[lambda: finish_plans(at=MIDNIGHT, limit=3)] * 2)
    rest = finish_plans(at=MIDNIGHT)

    assert sum(counts) + rest == 8
    assert PlanEvent.objects.filter(word="DONE").count() == 8


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_plan_that_somebody_works_on_is_left_for_the_next_time():
    held, free = many(2)

    with transaction.atomic():
        DayPlan.objects.select_for_update().get(pk=held.plan_id)
        aside = Aside(lambda: finish_plans(at=MIDNIGHT))
        assert aside.answer() == 1

    assert state_of(free)[0] == "DONE" and state_of(held)[0] == "PUBLISHED"
    assert finish_plans(at=MIDNIGHT) == 1


def full_plan(plant, day, state=PlanState.DONE):
    version = planned_on(plant, day, state)
    command = Command.objects.create(
        organisation=plant.organisation, plant=plant, connection=plant.connection, kind="site-setpoint", payload={},
        state="COMPLETED", state_at=EVE, requested_by_name="plan", requested_at=EVE, request_digest="", due_at=EVE,
    )  # fmt: skip
    SlotRun.objects.create(plant=plant, slot=version.slots.get(), due_at=EVE, command=command)
    first = VokeSchedule.objects.create(
        version=version,
        plant=plant,
        schedule_id=factories.uuid.uuid4(),
        priority="NORMAL",
        starts_at=EVE,
        ends_at=EVE,
    )
    VokeSchedule.objects.create(
        version=version, plant=plant, schedule_id=factories.uuid.uuid4(), priority="NORMAL", starts_at=EVE,
        ends_at=EVE, takes_place_of=first, successor=version,
    )  # fmt: skip
    return version


def test_old_plans_go_with_all_that_belongs_to_them_and_leave_commands():
    plant = factories.plant()
    full_plan(plant, DAY)
    young = full_plan(plant, date(2026, 6, 1))

    assert prune_plans(at=EVE + timedelta(days=401), keep_days=400) == 0
    assert prune_plans(at=EVE + timedelta(days=402), keep_days=400) == 1

    assert list(DayPlan.objects.values_list("pk", flat=True)) == [young.plan_id]
    counts = [one.objects.count() for one in (PlanVersion, PlanSlot, SlotRun, VokeSchedule, Command)]
    assert counts == [1, 1, 1, 2, 2]
    assert set(PlanEvent.objects.values_list("plan_id", flat=True)) == {young.plan_id}


def test_a_plan_in_force_is_kept_however_old():
    version = planned_on(factories.plant())

    assert prune_plans(at=LATER, keep_days=400) == 0
    finish_plans(at=LATER)
    assert prune_plans(at=LATER, keep_days=400) == 1
    assert not PlanVersion.objects.filter(pk=version.pk).exists()


def test_many_old_plans_go_in_bounded_steps_of_constant_statements():
    plant = factories.plant(assets=[])
    for number in range(9):
        full_plan(plant, DAY + timedelta(days=number))

    one = queries_of(lambda: prune_plans(at=LATER, keep_days=400, limit=1) and None) // 9
    for number in range(9):
        full_plan(plant, DAY + timedelta(days=number))
    all_at_once = queries_of(lambda: prune_plans(at=LATER, keep_days=400, limit=100))

    assert all_at_once <= one + 2
    assert not DayPlan.objects.exists()


def test_ended_overrides_go_and_open_ones_stay():
    plant = factories.plant()
    facts = {
        "organisation": plant.organisation, "plant": plant, "payload": {}, "by_name": "Ann", "reason": "test",
    }  # fmt: skip
    old = Override.objects.create(begun_at=EVE, until_at=EVE + timedelta(hours=1), ended_at=EVE, **facts)
    still = Override.objects.create(begun_at=EVE, until_at=EVE + timedelta(hours=1), **facts)

    assert prune_overrides(at=EVE + timedelta(days=400), keep_days=400) == 0
    assert prune_overrides(at=EVE + timedelta(days=400, seconds=1), keep_days=400) == 1
    assert list(Override.objects.all()) == [still] and old.pk != still.pk
