"""Device commands with an end: the stop goes out when it is due, once, late rather than never."""

from datetime import timedelta

import pytest

from dispatch.models import Command, Outcome, TimedCommand
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import (
    ask,
    batch,
    broker_says,
    claims,
    device,
    envelope_of,
    last_event,
    message_of,
    setpoint,
    state_of,
)
from tests.dispatch.timing import END, refused, row_of, start, started, tick, voke_moves
from tests.factories import AT
from vcp import AssetType, DeviceCommandType

pytestmark = pytest.mark.django_db


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"stop_at": END}, {"stop_at": None, "duration": timedelta(minutes=30)}])
def test_a_start_keeps_its_stop_and_when_it_is_due(changes):
    command = start(factories.plant(), batch(device(power_kw=20.0)), **changes)

    row = row_of(command)
    assert (row.stop_at, row.stop, row.ended_at) == (END, None, None)
    assert row.stop_payload == {
        "commands": [{"deviceId": "B1", "assetType": "BESS", "command": "BESS_STOP"}],
    }  # fmt: skip


def test_a_duration_counts_from_when_the_start_is_due():
    later = AT + timedelta(hours=1)

    command = start(factories.plant(), due_at=later, stop_at=None, duration=timedelta(minutes=5))

    assert row_of(command).stop_at == later + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"stop_at": None}, "END_REQUIRED"),
        ({"duration": timedelta(minutes=1)}, "END_REQUIRED"),
        ({"stop_at": AT}, "END_BEFORE_START"),
        ({"stop_at": None, "duration": timedelta(0)}, "END_BEFORE_START"),
        ({"stop_at": AT + timedelta(hours=24, seconds=1)}, "TOO_LONG"),
        ({"stop_at": END.replace(tzinfo=None)}, "VALIDATION_ERROR"),
    ],
)
def test_an_end_that_makes_no_sense_is_refused_and_nothing_is_stored(changes, code):
    assert refused(factories.plant(), **changes) == code
    assert not Command.objects.exists()


@pytest.mark.parametrize(
    "payload",
    [
        batch(device(command=DeviceCommandType.BESS_STOP)),
        batch(device(power_kw=5.0), device("S1", AssetType.FVE, DeviceCommandType.FVE_PRODUCE_MAX)),
        setpoint(),
    ],
    ids=["a stop", "one without a stop", "no device command"],
)
def test_what_has_no_stop_can_not_be_timed(payload):
    assert refused(factories.plant(), payload) == "STOP_UNKNOWN"


def test_the_same_key_makes_one_start_and_another_end_under_it_is_refused():
    plant = factories.plant()

    first, again = (start(plant, idempotency_key="k1") for _ in range(2))

    assert first.pk == again.pk
    assert (
        refused(plant, idempotency_key="k1", stop_at=END + timedelta(minutes=1)) == "IDEMPOTENCY_KEY_REUSED"
    )
    assert TimedCommand.objects.count() == 1


# --- the stop ---------------------------------------------------------------------------------------------------------


def test_before_its_time_nothing_is_stopped():
    started(factories.plant())

    tick(END - timedelta(seconds=1))

    assert Command.objects.count() == 1


def test_at_its_time_the_stop_goes_out_and_both_commands_tell_of_it():
    plant = factories.plant()
    command = started(plant)

    tick()

    stop = row_of(command).stop
    assert envelope_of(message_of(stop))["payload"] == row_of(command).stop_payload
    assert (stop.state, stop.automatic, stop.requested_by_name) == (State.QUEUED, True, "timer")
    assert (last_event(command).word, last_event(command).detail) == ("STOP_SENT", {"by": stop.pk})
    assert (last_event(stop).word, last_event(stop).detail) == ("STOPS", {"stops": command.pk})


def test_a_second_tick_makes_no_second_stop():
    command = started(factories.plant())

    tick()
    tick(END + timedelta(seconds=1))

    assert Command.objects.exclude(pk=command.pk).count() == 1


@pytest.mark.parametrize("word", [State.ACCEPTED, State.EXECUTING, State.COMPLETED, State.DEVIATED])
def test_an_accepted_stop_ends_it(word):
    command = started(factories.plant())
    tick()
    voke_moves(row_of(command).stop, word)

    tick(END + timedelta(seconds=2))

    row = row_of(command)
    assert (row.end_cause, row.ended_at) == ("STOPPED", END + timedelta(seconds=2))
    assert (last_event(command).word, last_event(command).cause) == ("TIMED_END", "TIMED_STOPPED")


def test_after_a_long_halt_the_stop_goes_out_and_says_how_late():
    command = started(factories.plant())

    tick(END + timedelta(hours=2))

    stop = row_of(command).stop
    assert last_event(command).word == "STOP_LATE"
    assert last_event(command).detail == {"by": stop.pk, "lateS": 7200}
    assert last_event(stop).detail == {"stops": command.pk, "lateS": 7200}


def test_what_the_site_reports_of_the_start_does_not_spare_the_stop():
    """COMPLETED tells that the power was reached: the battery goes on charging."""
    command = started(factories.plant())
    voke_moves(command, State.COMPLETED)

    tick()

    assert row_of(command).stop is not None


# --- nothing to stop --------------------------------------------------------------------------------------------------


def test_a_start_that_waits_still_is_taken_back_at_its_end():
    command = start(factories.plant())

    tick()

    assert state_of(command) == State.CANCELLED
    assert row_of(command).end_cause == "NOTHING_SENT"
    assert Command.objects.count() == 1


@pytest.mark.parametrize("word", [State.REJECTED, State.EXPIRED, State.CANCELLED, State.SUPERSEDED])
def test_a_start_that_never_began_needs_no_stop(word):
    command = started(factories.plant())
    voke_moves(command, word)

    tick()

    assert (row_of(command).end_cause, row_of(command).stop) == ("NOTHING_SENT", None)


def test_a_returned_start_needs_no_stop():
    plant = factories.plant()
    command = start(plant)
    broker_says(Outcome.RETURNED, *claims(plant.connection))

    tick()

    assert row_of(command).end_cause == "NOTHING_SENT"


def test_a_returned_start_that_was_attempted_before_is_stopped():
    plant = factories.plant()
    command = start(plant)
    claims(plant.connection)
    broker_says(Outcome.RETURNED, *claims(plant.connection))

    tick()

    assert row_of(command).stop is not None


def test_a_start_that_was_attempted_and_not_confirmed_is_stopped_and_not_sent_again():
    plant = factories.plant()
    command = start(plant)
    claims(plant.connection)

    tick()

    stop = row_of(command).stop
    assert state_of(command) == State.UNCONFIRMED
    assert [one.outbound_id for one in claims(plant.connection, at=END)] == [message_of(stop).pk]


def test_a_device_that_was_commanded_anew_is_left_alone():
    plant = factories.plant(assets=[factories.battery("B1"), factories.battery("B2")], max_charge_kw=None)
    command = started(plant, batch(device("B1", power_kw=5.0), device("B2", power_kw=5.0)))
    ask(plant, batch(device("B1", command=DeviceCommandType.BESS_DISCHARGE, power_kw=5.0)), at=AT)

    tick()

    assert [one["deviceId"] for one in row_of(command).stop.payload["commands"]] == ["B2"]


def test_when_every_device_was_commanded_anew_nothing_is_stopped():
    plant = factories.plant()
    command = started(plant)
    ask(plant, batch(device(command=DeviceCommandType.BESS_DISCHARGE, power_kw=5.0)))

    tick()

    assert row_of(command).end_cause == "REPLACED"


def test_an_order_whose_time_is_to_come_does_not_spare_the_stop():
    plant = factories.plant()
    command = started(plant)
    ask(plant, batch(device(power_kw=5.0)), due_at=END + timedelta(hours=1))

    tick()

    assert row_of(command).stop is not None
