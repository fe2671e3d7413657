"""What a plant was commanded when: the course of targets, for charts."""

from datetime import timedelta

import pytest

from dispatch.models import Kind
from dispatch.selectors_commanded import commanded
from dispatch.states import State
from plants.models import Plant
from tests import factories
from tests.dispatch.helpers import ask, deliver, energy, mode, setpoint, stop_now
from tests.dispatch.proof_world import say, sent
from tests.factories import AT
from tests.queries import queries_of
from vcp import Direction, Priority, ScheduleCreate, SetpointType, Slot

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
DAY_END = AT + timedelta(hours=20)


def course(plant: Plant, *, since=AT - timedelta(hours=3), until=DAY_END) -> list[tuple[int, int, float]]:
    """(from, to) in minutes after AT, and the power."""
    found = commanded(plant_id=plant.pk, from_at=since, to_at=until)
    return [(int((s.from_at - AT) / MINUTE), int((s.to_at - AT) / MINUTE), s.power_kw) for s in found.steps]


def test_a_setpoint_stands_from_its_beginning_to_its_end_with_export_negative():
    plant = factories.plant()
    sent(plant, setpoint(10.0))

    assert course(plant) == [(0, 15, -10.0)]


def test_one_that_came_late_counts_from_when_it_reached_voke():
    plant = factories.plant()
    sent(plant, setpoint(10.0), at=AT + 4 * MINUTE)

    assert course(plant) == [(4, 15, -10.0)]


def test_what_was_never_sent_or_was_rejected_is_not_in_it():
    waiting, rejected = factories.plant(), factories.plant()
    ask(waiting, setpoint(10.0))
    command = ask(rejected, setpoint(12.0))
    deliver(command.connection)
    say(command, State.REJECTED, at=AT)

    assert course(waiting) == course(rejected) == []


def test_a_stronger_one_covers_an_ordinary_one_which_is_followed_again_after_it():
    plant = factories.plant()
    sent(plant, setpoint(10.0, valid_until=AT + 60 * MINUTE))
    sent(
        plant,
        setpoint(
            30.0,
            direction=Direction.IMPORT,
            priority=Priority.HIGH,
            valid_from=AT + 10 * MINUTE,
            valid_until=AT + 20 * MINUTE,
        ),
        at=AT + 10 * MINUTE,
    )

    assert course(plant) == [(0, 10, -10.0), (10, 20, 30.0), (20, 60, -10.0)]


def test_of_equals_the_one_that_starts_last_is_followed():
    plant = factories.plant()
    sent(plant, setpoint(10.0, valid_until=AT + 30 * MINUTE))
    sent(plant, setpoint(5.0, valid_from=AT + 15 * MINUTE, valid_until=AT + 30 * MINUTE))

    assert course(plant) == [(0, 15, -10.0), (15, 30, -5.0)]


def test_a_mode_and_an_emergency_end_what_was_in_force_and_are_told():
    plant = factories.plant()
    sent(plant, setpoint(10.0, valid_until=AT + 60 * MINUTE))
    sent(plant, mode(), at=AT + 5 * MINUTE)
    sent(plant, stop_now("smoke"), at=AT + 9 * MINUTE)

    found = commanded(plant_id=plant.pk, from_at=AT, to_at=DAY_END)

    assert course(plant) == [(0, 5, -10.0)]
    assert [(mark.kind, int((mark.at - AT) / MINUTE)) for mark in found.marks] == [
        (Kind.MODE, 5),
        (Kind.EMERGENCY, 9),
    ]
    assert found.marks[1].payload["type"] == "STOP"


def test_an_ordinary_one_that_began_before_the_day_holds_on_into_it():
    plant = factories.plant()
    sent(plant, setpoint(10.0, valid_until=AT + 60 * MINUTE))

    assert course(plant, since=AT + 30 * MINUTE) == [(30, 60, -10.0)]


def test_an_energy_is_its_mean_power_and_what_leaves_consumption_out_says_so():
    plant = factories.plant()
    sent(plant, energy(2.5, include_consumption=False))

    (step,) = commanded(plant_id=plant.pk, from_at=AT, to_at=DAY_END).steps

    assert (step.power_kw, step.own) == (-10.0, True)


def test_the_slots_of_a_schedule_at_voke_are_steps_of_their_own():
    plant = factories.plant()
    slots = tuple(
        Slot(
            starts_at=AT + number * 15 * MINUTE,
            ends_at=AT + (number + 1) * 15 * MINUTE,
            direction=Direction.IMPORT,
            include_consumption=True,
            **what,
        )
        for number, what in enumerate(
            (
                {"type": SetpointType.POWER, "target_value_kw": 8.0},
                {"type": SetpointType.ENERGY, "target_value_kwh": 3.0},
            ),
            start=1,
        )
    )
    made = sent(
        plant, ScheduleCreate(schedule_id="s1", priority=Priority.NORMAL, slots=slots), automatic=True
    )

    found = commanded(plant_id=plant.pk, from_at=AT, to_at=DAY_END)

    assert course(plant) == [(15, 30, 8.0), (30, 45, 12.0)]
    assert {(step.command_id, step.automatic) for step in found.steps} == {(made.pk, True)}


def test_other_plants_are_not_in_it():
    plant = factories.plant()
    sent(factories.plant(), setpoint(10.0))

    assert course(plant) == []


def test_the_number_of_statements_does_not_grow_with_the_commands():
    plant = factories.plant()
    sent(plant, setpoint(10.0))
    sent(plant, mode(), at=AT + MINUTE)
    few = queries_of(lambda: commanded(plant_id=plant.pk, from_at=AT, to_at=DAY_END))
    for number in range(2, 12):
        begins = AT + 15 * number * MINUTE
        sent(plant, setpoint(float(number), valid_from=begins, valid_until=begins + 15 * MINUTE), at=begins)

    many = queries_of(lambda: commanded(plant_id=plant.pk, from_at=AT, to_at=DAY_END))

    assert few == many == 8
