"""Alarms about plans that Voke carries: raised, and cleared when nothing of it is left."""

import pytest

from dispatch.models import Command, Kind
from dispatch.states import State
from plants.models import Alarm, ScheduleCarrier
from schedules.models import VokeSchedule
from schedules.services import voke_turns
from schedules.services.voke_alarms import clear_settled_alarms
from tests.queries import queries_of
from tests.schedules.at_voke import (
    NOON,
    SECOND,
    cancelled,
    four_slots,
    in_force,
    only,
    plant_at_voke,
    published,
    send,
    turns,
    voke_says,
)
from tests.schedules.plans import at

pytestmark = pytest.mark.django_db


# --- alarms -----------------------------------------------------------------------------------------------------------


def open_alarms(plant):
    return list(Alarm.objects.filter(plant=plant, cleared_at=None).values_list("code", flat=True))


def test_the_alarm_of_a_refused_plan_stands_until_a_newer_one_is_accepted():
    plant = plant_at_voke()
    in_force(plant)
    refused = published(plant, four_slots(kw=5))
    send(plant)
    voke_says(only(refused), "REJECTED")
    turns(NOON + SECOND)
    clear_settled_alarms(at=NOON + 2 * SECOND)
    assert open_alarms(plant) == ["PLAN_NOT_CARRIED_OUT"]
    third = published(plant, four_slots(kw=6))
    send(plant)
    clear_settled_alarms(at=NOON + 3 * SECOND)
    assert open_alarms(plant) == ["PLAN_NOT_CARRIED_OUT"]

    voke_says(only(third), "ACCEPTED")
    clear_settled_alarms(at=NOON + 4 * SECOND)

    assert open_alarms(plant) == []


def test_the_alarm_of_a_plan_is_cleared_when_we_carry_it_or_when_it_is_over():
    ours, over = plant_at_voke(), plant_at_voke()
    for plant in (ours, over):
        voke_says(only(in_force(plant)), "CANCELLED")
    turns(NOON)
    assert (open_alarms(ours), open_alarms(over)) == (["PLAN_NOT_CARRIED_OUT"],) * 2

    published(ours, four_slots(kw=5), carrier=ScheduleCarrier.DISPATCHER)
    clear_settled_alarms(at=NOON + SECOND)
    assert (open_alarms(ours), open_alarms(over)) == ([], ["PLAN_NOT_CARRIED_OUT"])
    clear_settled_alarms(at=at("13:00"))

    assert open_alarms(over) == []


def test_many_alarms_that_stand_are_told_apart_by_as_many_statements_as_few():
    def refused():
        voke_says(only(in_force(plant_at_voke())), "CANCELLED")

    refused()
    turns(NOON)
    few = queries_of(lambda: clear_settled_alarms(at=NOON))
    for _ in range(4):
        refused()
    turns(NOON)

    assert Alarm.objects.filter(cleared_at=None).count() == 5
    assert queries_of(lambda: clear_settled_alarms(at=NOON)) == few
    assert Alarm.objects.filter(cleared_at=None).count() == 5


def test_the_alarm_of_a_schedule_that_could_not_be_cancelled_is_cleared_when_it_is_gone():
    plant = plant_at_voke()
    version = in_force(plant)
    cancelled(version)
    VokeSchedule.objects.update(cancels=voke_turns.MOST_CANCELS, due_at=NOON)
    Command.objects.filter(kind=Kind.SCHEDULE_CANCEL).update(state=State.RETURNED)
    turns(NOON)
    clear_settled_alarms(at=NOON)
    assert open_alarms(plant) == ["SCHEDULE_NOT_CANCELLED"]

    voke_says(only(version), "COMPLETED", now=at("13:00"))
    clear_settled_alarms(at=at("13:00"))

    assert open_alarms(plant) == []
