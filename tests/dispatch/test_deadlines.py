"""Deadlines by command class: how long an ACK and an execution report may take, and how the settings say so."""

from datetime import timedelta

import pytest

from dispatch.models import Kind
from dispatch.policy import CLASS_OF, current_policy
from dispatch.services.overdue import flag_execution_overdue, mark_ack_overdue
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import ask, batch, deliver, hold_now, mode, setpoint, state_of, stop_now
from tests.dispatch.proof_world import say
from tests.factories import AT
from watch.limits import current_limits

S = timedelta(seconds=1)


def own(settings, name: str, **seconds: int) -> None:
    """Numbers of their own for some classes."""
    setattr(settings, name, {**getattr(settings, name), **seconds})


# --- the settings -----------------------------------------------------------------------------------------------------


def test_every_kind_of_command_belongs_to_a_class_that_has_settings(settings):
    assert set(CLASS_OF) == set(Kind)
    assert set(CLASS_OF.values()) == set(settings.ACK_TIMEOUTS_S) == set(settings.EXECUTION_TIMEOUTS_S)


@pytest.mark.parametrize("kind", [Kind.SITE_SETPOINT, Kind.DEVICE, Kind.MODE, Kind.SCHEDULE_CREATE])
def test_a_class_without_numbers_of_its_own_has_the_common_ones(settings, kind):
    settings.ACK_TIMEOUT_S, settings.EXECUTION_TIMEOUT_S = 45, 600

    policy = current_policy()

    assert (policy.ack_timeout_of(kind), policy.execution_timeout_of(kind)) == (45 * S, 600 * S)


def test_an_emergency_waits_a_third_of_the_common_time(settings):
    settings.ACK_TIMEOUT_S, settings.EXECUTION_TIMEOUT_S = 45, 600

    policy = current_policy()

    assert policy.ack_timeout_of(Kind.EMERGENCY) == 15 * S
    assert policy.execution_timeout_of(Kind.EMERGENCY) == 200 * S


def test_a_class_with_a_number_of_its_own_keeps_it(settings):
    own(settings, "ACK_TIMEOUTS_S", EMERGENCY=90, SCHEDULE=120)
    own(settings, "EXECUTION_TIMEOUTS_S", DEVICE=30)

    policy = current_policy()

    assert policy.ack_timeout_of(Kind.EMERGENCY) == 90 * S
    assert policy.ack_timeout_of(Kind.SCHEDULE_CANCEL) == 120 * S
    assert policy.execution_timeout_of(Kind.DEVICE) == 30 * S
    assert policy.ack_timeout_of(Kind.DEVICE) == settings.ACK_TIMEOUT_S * S


def test_the_alarm_of_silence_waits_for_the_most_patient_class(settings):
    own(settings, "ACK_TIMEOUTS_S", SCHEDULE=300)

    assert current_limits().ack_timeout == 300 * S


# --- what follows from them -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_class_of_a_window_gets_its_own_deadline(settings):
    own(settings, "ACK_TIMEOUTS_S", SETPOINT=10, DEVICE=30)
    plant, other = factories.plant(), factories.plant()
    commands = [ask(plant, payload) for payload in (setpoint(), batch(), mode())]
    commands.append(ask(other, stop_now()))
    for link in (plant.connection, other.connection):
        deliver(link)

    for command in commands:
        command.refresh_from_db()

    assert [command.ack_due_at - AT for command in commands] == [10 * S, 30 * S, 60 * S, 20 * S]


@pytest.mark.django_db
def test_silence_after_an_emergency_is_told_sooner_than_after_a_mode():
    plant, other = factories.plant(), factories.plant()
    late, soon = ask(plant, mode()), ask(other, hold_now())
    for link in (plant.connection, other.connection):
        deliver(link)

    mark_ack_overdue(at=AT + 20 * S)

    assert (state_of(late), state_of(soon)) == (State.SENT, State.UNCONFIRMED)


@pytest.mark.django_db
def test_the_execution_of_a_setpoint_is_counted_from_its_start_with_its_own_number(settings):
    own(settings, "EXECUTION_TIMEOUTS_S", SETPOINT=120)
    start = AT + timedelta(hours=1)
    command = ask(factories.plant(), setpoint(valid_from=start, valid_until=start + timedelta(hours=1)))
    deliver(command.connection)
    say(command, State.ACCEPTED, at=AT)

    counts = [flag_execution_overdue(at=start + after * S) for after in (0, 119, 120)]

    assert counts == [0, 0, 1]
