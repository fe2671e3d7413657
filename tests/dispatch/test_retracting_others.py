"""Taking back what is no setpoint: devices by their stop, modes by the base mode, schedules at Voke."""

import pytest

from dispatch.models import Outcome, Retraction
from dispatch.states import State
from tests import factories
from tests.dispatch.helpers import (
    ask,
    batch,
    claims,
    device,
    message_of,
    mode,
    setpoint,
    state_of,
    stop_now,
)
from tests.dispatch.taking_back import END, refused, sent, take_back
from tests.factories import AT
from vcp import (
    AssetType,
    DeviceCommandType,
    Direction,
    OperatingMode,
    Priority,
    ScheduleCancel,
    ScheduleCreate,
    SetpointType,
    Slot,
)

pytestmark = pytest.mark.django_db


# --- devices, modes, schedules ----------------------------------------------------------------------------------------


def test_each_device_is_answered_by_its_stop():
    plant = factories.plant()
    curtail = device("S1", AssetType.FVE, DeviceCommandType.FVE_REDUCE_POWER, power_kw=5.0)
    command = sent(plant, batch(device(power_kw=20.0), curtail))

    row = take_back(command)

    assert row.how == "STOP"
    assert row.by_command.payload == {
        "commands": [
            {"deviceId": "B1", "assetType": "BESS", "command": "BESS_STOP"},
            {"deviceId": "S1", "assetType": "FVE", "command": "FVE_PRODUCE_MAX"},
        ]
    }


def test_a_device_that_was_commanded_anew_is_left_alone():
    plant = factories.plant()
    curtail = device("S1", AssetType.FVE, DeviceCommandType.FVE_STOP)
    command = sent(plant, batch(device(power_kw=20.0), curtail))
    sent(plant, batch(device(command=DeviceCommandType.BESS_DISCHARGE, power_kw=5.0)))

    stop = take_back(command).by_command

    assert [one["deviceId"] for one in stop.payload["commands"]] == ["S1"]


def test_when_every_device_was_commanded_anew_the_newer_command_takes_its_place():
    plant = factories.plant()
    command = sent(plant, batch(device(power_kw=20.0)))
    newer = sent(plant, batch(device(power_kw=5.0)))

    row = take_back(command)

    assert (row.how, row.by_command) == ("FOLLOWED", newer)


def test_a_mode_is_answered_by_the_base_mode():
    command = sent(factories.plant(), mode(OperatingMode.MAX_EXPORT))

    row = take_back(command)

    assert (row.how, row.by_command.payload["mode"]) == ("BASE_MODE", "STANDARD")


def test_a_mode_that_was_followed_by_another_is_not_answered():
    plant = factories.plant()
    command = sent(plant, mode(OperatingMode.MAX_EXPORT))
    newer = sent(plant, mode(OperatingMode.ZERO_EXPORT))

    row = take_back(command)

    assert (row.how, row.by_command) == ("FOLLOWED", newer)


@pytest.mark.parametrize(
    "payload",
    [
        batch(device(command=DeviceCommandType.BESS_STOP)),
        mode(OperatingMode.STANDARD),
        ScheduleCancel(schedule_id="s1"),
    ],
    ids=["a stop", "the base mode", "a cancellation"],
)
def test_what_has_no_inverse_can_not_be_taken_back(payload):
    command = sent(factories.plant(), payload)

    assert refused(command) == "NOTHING_TO_TAKE_BACK"
    assert not Retraction.objects.exists()


def schedule():
    slot = Slot(
        starts_at=AT,
        ends_at=END,
        type=SetpointType.POWER,
        target_value_kw=5.0,
        direction=Direction.EXPORT,
        include_consumption=True,
    )
    return ScheduleCreate(schedule_id="s1", priority=Priority.NORMAL, slots=(slot,))


def test_a_schedule_of_no_plan_is_cancelled_at_voke():
    row = take_back(sent(factories.plant(), schedule()))

    assert row.how == "SCHEDULE_CANCEL"
    assert row.by_command.payload == {"scheduleId": "s1", "reason": "replanned"}


def test_a_plans_schedule_ends_with_its_plan_and_its_attempt_is_left_as_it_is():
    plant = factories.plant()
    command = ask(plant, schedule(), batch_ref="plan:7")
    claims(plant.connection)

    assert refused(command) == "USE_THE_PLAN"
    assert message_of(command).outcome == Outcome.PENDING


def test_a_plans_schedule_that_was_not_sent_can_be_taken_back():
    command = ask(factories.plant(), schedule(), batch_ref="plan:7")

    assert take_back(command) is None
    assert state_of(command) == State.CANCELLED


def test_an_emergency_is_released_and_not_taken_back():
    assert refused(ask(factories.plant(), stop_now())) == "RELEASE_INSTEAD"


def test_another_organisations_command_is_unknown():
    command = sent(factories.plant(), setpoint())

    assert refused(command, organisation_id=factories.organisation().pk) == "COMMAND_NOT_FOUND"
