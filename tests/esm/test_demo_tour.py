"""The demo's operator leaves the plants to a person who commands, and comes back."""

import threading
from datetime import timedelta

import pytest

from dispatch.states import State
from esm.demo.planned import PLANNED_PLANT
from esm.demo.tour import OPERATOR, STEPS, STEPS_ASIDE_FOR, Operator
from tests import factories
from tests.dispatch.helpers import ask, setpoint
from tests.factories import AT

pytestmark = pytest.mark.django_db


def operator(plant, *, at):
    return Operator(
        organisation=plant.organisation, clock=lambda: at, say=lambda _: None, stop=threading.Event()
    )


def test_the_operator_steps_aside_after_a_persons_command_and_comes_back_when_it_is_long_ago():
    plant = factories.plant(on=factories.connection())
    before = operator(plant, at=AT).is_free()
    ask(plant, setpoint(10.0), at=AT)

    assert before
    assert not operator(plant, at=AT + timedelta(seconds=10)).is_free()
    assert list(operator(plant, at=AT).run(lambda: 1.0)) == []
    assert operator(plant, at=AT + STEPS_ASIDE_FOR + timedelta(seconds=1)).is_free()


def test_its_own_commands_and_a_plans_do_not_keep_it_away():
    plant = factories.plant(on=factories.connection())
    own = ask(plant, setpoint(10.0), at=AT)
    own.requested_by_name = OPERATOR.name
    own.save(update_fields=["requested_by_name"])
    ask(plant, setpoint(20.0), at=AT, automatic=True)

    assert operator(plant, at=AT).is_free()


def test_nothing_of_the_tour_is_carried_out_where_a_plan_of_today_is_followed():
    assert [step.title for step in STEPS if step.plant == PLANNED_PLANT and step.ends != State.REJECTED] == []
