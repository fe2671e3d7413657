"""Taking a command back that may be at Voke: by the plant's policy, by a stop, by the base mode."""

from datetime import timedelta

import pytest

from dispatch.models import Command, Outcome, Retraction
from dispatch.states import State
from plants.models import Plant
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    energy,
    envelope_of,
    last_event,
    message_of,
    setpoint,
    state_of,
    stop_now,
    words_of,
)
from tests.dispatch.taking_back import END, LATER, due, sent, take_back, voke_moves
from tests.factories import AT
from tests.threads import together
from vcp import (
    Priority,
)

pytestmark = pytest.mark.django_db


# --- unsent -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("due_in", [timedelta(0), timedelta(minutes=5)], ids=["queued", "scheduled"])
def test_a_command_of_which_nothing_was_sent_is_cancelled_without_a_retraction(due_in):
    command = ask(factories.plant(), setpoint(), due_at=AT + due_in)

    assert take_back(command) is None

    assert state_of(command) == State.CANCELLED
    assert last_event(command).detail == {"reason": "replanned"}
    assert not Retraction.objects.exists()


def test_taking_back_what_was_cancelled_already_changes_nothing():
    command = ask(factories.plant(), setpoint())
    take_back(command)

    assert take_back(command) is None

    assert words_of(command).count(("CANCELLED", "APPLIED")) == 1


# --- a setpoint, by policy --------------------------------------------------------------------------------------------


def test_a_sent_setpoint_is_answered_by_the_base_mode():
    plant = factories.plant(base_mode="PEAK_SHAVING")
    command = sent(plant, setpoint())

    row = take_back(command)

    assert (row.how, row.reason, row.asked_by_name) == ("BASE_MODE", "replanned", "operator")
    assert envelope_of(message_of(row.by_command))["payload"] == {
        "mode": "PEAK_SHAVING", "reason": "Taken back: replanned",
    }  # fmt: skip
    assert state_of(command) == State.SENT


def test_both_commands_tell_of_each_other():
    plant = factories.plant()
    command = sent(plant, setpoint())

    row = take_back(command)

    mine, others = last_event(command), last_event(row.by_command)
    assert (mine.word, mine.cause, mine.actor) == ("TAKEN_BACK", "BASE_MODE", "operator")
    assert mine.detail == {"reason": "replanned", "by": row.by_command.pk}
    assert (others.word, others.detail) == ("TAKES_BACK", {"reason": "replanned", "takesBack": command.pk})


def test_with_the_policy_expire_nothing_is_sent():
    plant = factories.plant(cancel_policy="EXPIRE")
    command = sent(plant, setpoint())

    row = take_back(command)

    assert (row.how, row.by_command, row.due_at) == ("EXPIRE", None, None)
    assert Command.objects.count() == 1


def test_with_the_policy_zero_0_kw_takes_exactly_the_place_of_the_setpoint():
    plant = factories.plant(cancel_policy="ZERO")
    command = sent(plant, setpoint(30.0, priority=Priority.HIGH))

    row = take_back(command)

    assert row.how == "ZERO"
    assert row.by_command.payload == command.payload | {"targetValueKw": 0}


def test_an_energy_target_becomes_a_power_of_zero():
    plant = factories.plant(cancel_policy="ZERO")
    command = sent(plant, energy(5.0))

    nothing = take_back(command).by_command.payload

    assert (nothing["type"], nothing["targetValueKw"]) == ("POWER", 0)
    assert not {"targetValueKwh", "intervalMinutes"} & nothing.keys()


@pytest.mark.parametrize("policy", ["BASE_MODE", "EXPIRE"])
def test_0_kw_is_never_sent_unless_the_policy_says_so(policy):
    plant = factories.plant(cancel_policy=policy)
    take_back(sent(plant, setpoint()))

    assert not Command.objects.filter(payload__targetValueKw=0).exists()


def test_a_setpoint_of_before_they_had_an_end_is_not_left_to_expire():
    plant = factories.plant(cancel_policy="EXPIRE")
    command = sent(plant, setpoint())
    Command.objects.filter(pk=command.pk).update(
        payload={name: value for name, value in command.payload.items() if name != "validUntil"}
    )

    assert take_back(command).how == "BASE_MODE"


def test_followed_by_a_newer_command_nothing_is_sent():
    command = sent(factories.plant(), setpoint())

    row = take_back(command, followed=True)

    assert (row.how, row.by_command) == ("FOLLOWED", None)
    assert Command.objects.count() == 1


# --- what is over -----------------------------------------------------------------------------------------------------


def test_after_its_end_there_is_nothing_to_take_back():
    command = sent(factories.plant(), setpoint())

    assert take_back(command, at=END).how == "OVER"
    assert Command.objects.count() == 1


@pytest.mark.parametrize("word", [State.REJECTED, State.FAILED, State.RETURNED, State.REFUSED])
def test_what_voke_or_the_broker_refused_is_over(word):
    command = sent(factories.plant(), setpoint())
    voke_moves(command, word)

    assert take_back(command).how == "OVER"
    assert Command.objects.count() == 1


@pytest.mark.parametrize("word", [State.COMPLETED, State.DEVIATED, State.EXECUTING, State.UNCONFIRMED])
def test_a_power_that_was_reached_holds_on_and_is_taken_back(word):
    command = sent(factories.plant(), setpoint())
    voke_moves(command, word)

    assert take_back(command).how == "BASE_MODE"


def test_an_energy_that_was_delivered_is_over():
    command = sent(factories.plant(), energy(5.0))
    voke_moves(command, State.COMPLETED)

    assert take_back(command).how == "OVER"


def test_a_command_that_was_returned_at_its_second_attempt_may_have_arrived_by_the_first():
    plant = factories.plant()
    command = ask(plant, setpoint())
    claims(plant.connection)
    broker_says(Outcome.RETURNED, *claims(plant.connection))

    assert take_back(command).how == "BASE_MODE"


# --- when the setpoint would be in force ------------------------------------------------------------------------------


def test_the_base_mode_for_a_setpoint_that_begins_later_waits_until_it_begins():
    plant = factories.plant()
    begins, ends = AT + timedelta(minutes=5), AT + timedelta(minutes=20)
    running = sent(plant, setpoint(valid_until=begins))
    command = sent(plant, setpoint(valid_from=begins, valid_until=ends))

    row = take_back(command)
    early = due(begins - timedelta(seconds=1))
    at_its_time = due(begins)

    row.refresh_from_db()
    assert (early, at_its_time) == (0, 1)
    assert (row.how, row.due_at, row.by_command.payload["mode"]) == ("BASE_MODE", None, "STANDARD")
    assert state_of(running) == State.SENT


def test_what_waits_is_sent_once():
    plant = factories.plant()
    begins = AT + timedelta(minutes=5)
    take_back(sent(plant, setpoint(valid_from=begins)))

    due(begins)
    due(begins + timedelta(seconds=1))

    assert Command.objects.filter(kind="mode").count() == 1


def test_a_newer_target_for_that_time_spares_the_base_mode():
    plant = factories.plant()
    begins, ends = AT + timedelta(minutes=5), AT + timedelta(minutes=15)
    row = take_back(sent(plant, setpoint(valid_from=begins, valid_until=ends)))
    newer = sent(plant, setpoint(valid_from=begins, valid_until=ends), at=LATER)

    due(begins)

    row.refresh_from_db()
    assert (row.how, row.by_command, row.due_at) == ("FOLLOWED", newer, None)


def test_a_newer_target_above_it_is_not_ended_and_the_base_mode_comes_when_that_ends():
    plant = factories.plant()
    command = sent(plant, setpoint())
    until = AT + timedelta(minutes=5)
    sent(plant, setpoint(valid_from=AT + timedelta(seconds=30), valid_until=until), at=AT)

    row = take_back(command)

    assert (row.how, row.due_at, row.by_command) == ("BASE_MODE", until, None)


def test_a_newer_target_that_lasts_as_long_takes_its_place():
    plant = factories.plant()
    command = sent(plant, setpoint())
    newer = sent(plant, setpoint(5.0))

    row = take_back(command)

    assert (row.how, row.by_command) == ("FOLLOWED", newer)


def test_a_newer_target_that_was_taken_back_itself_stands_above_nothing():
    plant = factories.plant(cancel_policy="EXPIRE")
    command = sent(plant, setpoint())
    take_back(sent(plant, setpoint(5.0)))
    Plant.objects.update(cancel_policy="BASE_MODE")

    assert take_back(command).how == "BASE_MODE"


def test_two_that_are_in_force_are_taken_back_by_one_base_mode():
    plant = factories.plant()
    first, second = sent(plant, setpoint()), sent(plant, setpoint(5.0))

    of_second = take_back(second)
    of_first = take_back(first)

    assert (of_first.how, of_first.by_command) == ("FOLLOWED", of_second.by_command)
    assert Command.objects.filter(kind="mode").count() == 1


def test_an_emergency_before_its_time_spares_the_base_mode():
    plant = factories.plant()
    begins = AT + timedelta(minutes=5)
    row = take_back(sent(plant, setpoint(valid_from=begins)))
    emergency = ask(plant, stop_now(), at=LATER)

    due(begins)

    row.refresh_from_db()
    assert (row.how, row.by_command, row.due_at) == ("FOLLOWED", emergency, None)


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_send_one_base_mode():
    plant = factories.plant()
    begins = AT + timedelta(minutes=5)
    take_back(sent(plant, setpoint(valid_from=begins)))

    answers = together(lambda: due(begins), lambda: due(begins))

    assert not [one for one in answers if isinstance(one, Exception)]
    assert Command.objects.filter(kind="mode").count() == 1
