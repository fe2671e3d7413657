"""What takes a command back, or ends an emergency, reaches Voke however long the link is down, or somebody is told."""

from datetime import timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from dispatch.models import Command, EmergencyLatch, OutboundMessage, Outcome, Retraction
from dispatch.services.following import NOT_DONE, follow_up
from dispatch.services.late import settle_late
from plants.models import Alarm, Plant
from tests import factories
from tests.dispatch.helpers import (
    ask,
    batch,
    broker_says,
    claims,
    hold_now,
    lease,
    mode,
    release,
    setpoint,
    state_of,
    stop_now,
)
from tests.dispatch.taking_back import END, LATER, due, sent, take_back, voke_moves
from tests.factories import AT
from tests.threads import together
from vcp import Priority

pytestmark = pytest.mark.django_db
S, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def late(at):
    settle_late(at=at, policy=factories.policy())


def follow(at):
    """A second's work, the pause before another try at its shortest."""
    late(at)
    follow_up(at=at, chance=lambda: 0.0)
    due(at)


def come_to_nothing(command, state="RETURNED", cause=""):
    Command.objects.filter(pk=command.pk).update(state=state, cause=cause)


def commands_of(window):
    rows = OutboundMessage.objects.filter(pk__in=[one.outbound_id for one in window])
    return list(rows.values_list("command_id", flat=True))


def modes():
    return list(Command.objects.filter(kind="mode").order_by("pk").values_list("state", flat=True))


def open_alarms():
    return list(Alarm.objects.filter(code=NOT_DONE, cleared_at__isnull=True))


# --- while the link is down -------------------------------------------------------------------------------------------


def test_the_base_mode_of_a_taking_back_waits_for_the_link_as_long_as_the_setpoint_would_hold():
    plant = factories.plant()
    row = take_back(sent(plant, setpoint()))

    follow(END - S)

    assert (state_of(row.by_command), row.by_command.deliver_by_at) == ("QUEUED", END)
    follow(END)
    assert modes() == ["EXPIRED"]


def test_the_base_mode_of_a_release_waits_a_day_for_the_link_before_what_is_sent_after_it():
    plant = factories.plant()
    sent(plant, stop_now())
    base_mode = release(plant, at=LATER)
    after = ask(plant, setpoint(valid_until=AT + 9 * HOUR), at=LATER + S)

    now = LATER + 8 * HOUR
    follow(now)
    lease(plant.connection, at=now)

    first = claims(plant.connection, at=now)
    broker_says(Outcome.CONFIRMED, *first, at=now)
    second = claims(plant.connection, at=now)

    assert [commands_of(first), commands_of(second)] == [[base_mode.pk], [after.pk]]


def test_a_base_mode_is_not_delivered_once_a_target_has_begun_that_was_sent_before_it():
    plant = factories.plant()
    begins = AT + 5 * MINUTE
    command = sent(plant, setpoint())
    sent(plant, setpoint(8.0, valid_from=begins, valid_until=AT + 10 * MINUTE), at=AT + S)

    row = take_back(command)
    follow(begins)
    follow(begins + 10 * S)

    row.refresh_from_db()
    assert modes() == ["EXPIRED"]
    assert (row.how, row.due_at) == ("BASE_MODE", AT + 10 * MINUTE)
    follow(AT + 10 * MINUTE)
    assert modes() == ["EXPIRED", "QUEUED"]


def test_a_stop_of_devices_without_an_end_waits_for_the_link_too():
    plant = factories.plant()
    row = take_back(sent(plant, batch()))

    follow(LATER + HOUR)

    assert (row.how, state_of(row.by_command)) == ("STOP", "QUEUED")


# --- what came to nothing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["EXPIRED", "RETURNED", "REFUSED", "REJECTED", "FAILED"])
def test_a_base_mode_that_came_to_nothing_is_made_anew_after_a_pause(state):
    plant = factories.plant()
    row = take_back(sent(plant, setpoint()))
    come_to_nothing(row.by_command, state)

    follow(LATER + S)
    paused = modes()
    follow(LATER + 10 * S)

    assert (paused, modes()) == ([state], [state, "QUEUED"])


def test_one_that_was_handed_over_and_never_confirmed_is_made_anew():
    plant = factories.plant()
    row = take_back(sent(plant, setpoint()))
    come_to_nothing(row.by_command, "UNCONFIRMED", "NEVER_CONFIRMED")

    follow(LATER + S)
    follow(LATER + 10 * S)

    assert modes() == ["UNCONFIRMED", "QUEUED"]


@pytest.mark.parametrize(
    ("state", "cause"),
    [("UNCONFIRMED", "ACK_OVERDUE"), ("CANCELLED", "CANCELLED"), ("SUPERSEDED", "EMERGENCY"), ("SENT", "")],
)
def test_what_voke_has_or_somebody_ended_is_not_made_anew(state, cause):
    plant = factories.plant()
    row = take_back(sent(plant, setpoint()))
    come_to_nothing(row.by_command, state, cause)

    for second in range(1, 60):
        follow(LATER + second * S)

    assert modes() == [state]


def test_a_newer_target_in_the_meantime_makes_it_needless():
    plant = factories.plant()
    row = take_back(sent(plant, setpoint()))
    come_to_nothing(row.by_command)
    follow(LATER + S)
    newer = sent(plant, setpoint(7.0), at=LATER + 2 * S)

    follow(LATER + 10 * S)

    row.refresh_from_db()
    assert (row.how, row.by_command) == ("FOLLOWED", newer)
    assert modes() == ["RETURNED"]


def test_a_target_that_took_its_place_and_was_rejected_is_not_what_ends_it():
    plant = factories.plant()
    command = sent(plant, setpoint())
    newer = sent(plant, setpoint(5.0))
    row = take_back(command)
    voke_moves(newer, "REJECTED")

    follow(LATER + S)
    follow(LATER + 10 * S)

    row.refresh_from_db()
    assert (row.how, row.by_command.kind) == ("BASE_MODE", "mode")


def test_both_that_one_base_mode_ends_are_followed():
    plant = factories.plant()
    first, second = sent(plant, setpoint()), sent(plant, setpoint(5.0, valid_until=AT + 5 * MINUTE))
    base_mode = take_back(second).by_command
    take_back(first)
    come_to_nothing(base_mode)

    follow(AT + 6 * MINUTE)
    follow(AT + 7 * MINUTE)

    assert modes() == ["RETURNED", "QUEUED"]


def test_after_the_last_attempt_an_alarm_stands_until_the_target_is_over():
    plant = factories.plant()
    take_back(sent(plant, setpoint()))
    now = LATER
    while now < END - MINUTE:
        for command in Command.objects.filter(kind="mode", state="QUEUED"):
            come_to_nothing(command)
        follow(now)
        now += MINUTE
    assert modes() == ["RETURNED"] * 5
    (alarm,) = open_alarms()
    assert (alarm.plant, alarm.severity) == (plant, "CRITICAL")

    follow(END)

    assert not open_alarms()
    assert not Retraction.objects.filter(follow_until__isnull=False).exists()


def test_taken_back_once_more_by_a_person_it_is_made_anew_and_the_alarm_ends_with_its_ack():
    plant = factories.plant()
    command = sent(plant, setpoint())
    row = take_back(command)
    come_to_nothing(row.by_command)
    Retraction.objects.update(attempts=4)
    follow(LATER + S)
    assert len(open_alarms()) == 1

    again = take_back(command, at=LATER + MINUTE)
    voke_moves(again.by_command, "ACCEPTED")
    follow(LATER + 2 * MINUTE)

    assert modes() == ["RETURNED", "ACCEPTED"]
    assert not open_alarms()


def test_one_that_can_not_be_sent_at_once_says_so_and_is_not_tried_again():
    plant = factories.plant()
    command = sent(plant, setpoint())
    Plant.objects.update(dispatch_enabled=False)

    take_back(command)
    for second in range(1, 60):
        follow(LATER + second * S)

    assert modes() == ["CANCELLED"]
    assert not open_alarms()


def test_one_that_can_not_be_made_anew_is_tried_and_told_in_the_end():
    plant = factories.plant()
    row = take_back(sent(plant, setpoint()))
    come_to_nothing(row.by_command)
    Plant.objects.update(dispatch_enabled=False)

    for second in range(1, 120):
        follow(LATER + second * S)

    assert modes() == ["RETURNED", *["CANCELLED"] * 4]
    assert len(open_alarms()) == 1


# --- a release --------------------------------------------------------------------------------------------------------


def test_the_base_mode_of_a_release_that_came_to_nothing_is_made_anew_and_told():
    plant = factories.plant(base_mode="PEAK_SHAVING")
    emergency = sent(plant, stop_now())
    come_to_nothing(release(plant, at=LATER))

    follow(LATER + S)
    (alarm,) = open_alarms()
    follow(LATER + 10 * S)

    again = Command.objects.filter(kind="mode").latest("pk")
    assert f"#{emergency.pk}" in alarm.message
    assert again.payload == {"mode": "PEAK_SHAVING", "reason": "Emergency released: the fire is out"}
    voke_moves(again, "ACCEPTED")
    follow(LATER + 20 * S)
    assert not open_alarms()


def test_under_the_next_emergency_the_base_mode_of_the_last_release_is_not_made_anew():
    plant = factories.plant()
    sent(plant, stop_now())
    come_to_nothing(release(plant, at=LATER))
    follow(LATER + S)
    ask(plant, hold_now(), at=LATER + 2 * S)

    follow(LATER + 10 * S)

    assert EmergencyLatch.objects.filter(released_at__isnull=True).exists()
    assert modes() == ["RETURNED"]


def test_what_a_person_asked_for_since_is_not_ended_by_a_base_mode_made_anew_and_the_alarm_stands():
    plant = factories.plant()
    sent(plant, stop_now())
    come_to_nothing(release(plant, at=LATER))
    follow(LATER + S)
    voke_moves(sent(plant, setpoint(), at=LATER + 2 * S), "ACCEPTED")

    follow(LATER + 10 * S)
    follow(LATER + 11 * S)

    assert modes() == ["RETURNED"]
    assert len(open_alarms()) == 1


# --- what stands above what -------------------------------------------------------------------------------------------


def test_a_target_that_began_later_is_in_force_whichever_was_asked_for_first():
    plant = factories.plant()
    begins = AT + MINUTE
    slot = sent(plant, setpoint(8.0, valid_from=begins, valid_until=END))
    by_hand = sent(plant, setpoint(3.0, valid_until=END), at=AT + S)

    row = take_back(by_hand, at=begins + S)

    assert (row.how, row.by_command) == ("FOLLOWED", slot)
    assert modes() == []


def test_a_newer_target_of_lower_priority_covers_nothing():
    plant = factories.plant()
    strong = sent(plant, setpoint(3.0, priority=Priority.HIGH))
    sent(plant, setpoint(8.0), at=AT + S)

    assert take_back(strong).by_command.kind == "mode"


# --- at the same moment, and many -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_make_one_base_mode_anew():
    plant = factories.plant()
    come_to_nothing(take_back(sent(plant, setpoint())).by_command)

    planned = together(*[lambda: follow(LATER + S)] * 2)
    made = together(*[lambda: follow(LATER + 10 * S)] * 2)

    assert not [one for one in planned + made if isinstance(one, Exception)]
    assert modes() == ["RETURNED", "QUEUED"]


def statements_for(count):
    for _ in range(count):
        come_to_nothing(take_back(sent(factories.plant(), setpoint())).by_command)
    with CaptureQueriesContext(database) as captured:
        assert follow_up(at=LATER + S) == count
    return len(captured)


def test_to_plan_more_of_them_takes_no_more_statements():
    assert statements_for(2) == statements_for(5)


def test_a_mode_that_was_taken_back_is_followed_too():
    plant = factories.plant()
    row = take_back(sent(plant, mode()))
    come_to_nothing(row.by_command, "REFUSED")

    follow(LATER + S)
    follow(LATER + 10 * S)

    assert modes() == ["SENT", "REFUSED", "QUEUED"]
