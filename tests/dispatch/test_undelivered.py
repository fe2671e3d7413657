"""Emergencies that do not get through: issued again at the policy's pace, alarmed until delivered or withdrawn."""

from datetime import timedelta

import pytest
from django.db import transaction

from dispatch.models import Command, Outcome
from dispatch.services.emergency import care_for_undelivered
from dispatch.states import State
from plants.models import Alarm, AlarmOrigin, Connection, Plant
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    envelope_of,
    last_event,
    message_of,
    messages_of,
    release,
    state_of,
    stop_now,
)
from tests.factories import AT, SIGNING_KEY
from tests.threads import Aside, until_blocked
from vcp import verify

pytestmark = pytest.mark.django_db
PAUSE = timedelta(seconds=15)
TICK = timedelta(seconds=2)


def care(at):
    return care_for_undelivered(at=at, policy=factories.policy())


def returned(plant, at=AT, outcome=Outcome.RETURNED):
    """An emergency that the broker did not take."""
    command = ask(plant, stop_now(), at=at)
    broker_says(outcome, *claims(plant.connection, at=at), at=at)
    return command


@pytest.mark.parametrize("outcome", [Outcome.RETURNED, Outcome.REFUSED])
def test_an_emergency_that_came_back_is_issued_again_as_a_new_signed_message(outcome):
    plant = factories.plant()
    command = returned(plant, outcome=outcome)

    care(AT + PAUSE)

    old, new = messages_of(command)
    assert (old.outcome, new.outcome, new.urgent) == (outcome, Outcome.PENDING, True)
    assert new.message_id != old.message_id
    assert verify(envelope_of(new), SIGNING_KEY)
    assert envelope_of(new)["timestamp"] == "2026-01-02T03:00:15.000Z"
    assert [one.outbound_id for one in claims(plant.connection, at=AT + PAUSE)] == [new.pk]
    assert (last_event(command).word, last_event(command).cause) == ("REISSUED", "NOT_DELIVERED")


def test_it_is_not_issued_again_before_the_pause_of_the_policy_is_over():
    command = returned(factories.plant())

    care(AT + PAUSE - timedelta(milliseconds=1))

    assert len(messages_of(command)) == 1


def test_each_further_issue_waits_for_the_pause_again():
    """It was issued at every tick once its first pause was over."""
    plant = factories.plant()
    command = returned(plant)
    care(AT + PAUSE)
    broker_says(Outcome.RETURNED, *claims(plant.connection, at=AT + PAUSE), at=AT + PAUSE)

    care(AT + PAUSE + TICK)
    before_the_pause = len(messages_of(command))
    care(AT + 2 * PAUSE)

    assert (before_the_pause, len(messages_of(command))) == (2, 3)


def test_an_emergency_that_still_waits_in_the_outbox_is_alarmed_and_not_issued_twice():
    plant = factories.plant()
    command = ask(plant, stop_now())

    count = care(AT + PAUSE)

    assert count == 1
    assert len(messages_of(command)) == 1
    assert Alarm.objects.filter(cleared_at__isnull=True).count() == 1


def test_the_alarm_says_what_is_wrong_with_which_plant():
    plant = factories.plant()
    command = returned(plant)

    care(AT + PAUSE)

    alarm = Alarm.objects.get()
    assert (alarm.origin, alarm.plant, alarm.connection) == (AlarmOrigin.PLATFORM, plant, plant.connection)
    assert (alarm.severity, alarm.code) == ("CRITICAL", "EMERGENCY_NOT_DELIVERED")
    assert f"#{command.pk}" in alarm.message
    assert plant.external_plant_id in alarm.message
    assert (alarm.raised_at, alarm.cleared_at) == (AT + PAUSE, None)


def test_the_alarm_is_raised_once_and_stays_raised():
    returned(factories.plant())
    seen = []

    for tick in range(4):
        care(AT + PAUSE + tick * TICK)
        seen += [(alarm.raised_at, alarm.cleared_at, alarm.told_at) for alarm in Alarm.objects.all()]

    assert seen == [(AT + PAUSE, None, AT + PAUSE)] * 4


def test_the_alarm_is_cleared_when_the_emergency_is_delivered():
    plant = factories.plant()
    command = returned(plant)
    care(AT + PAUSE)
    deliver(plant.connection, at=AT + PAUSE)

    count = care(AT + PAUSE + TICK)

    assert count == 0
    assert state_of(command) == State.SENT
    assert Alarm.objects.get().cleared_at == AT + PAUSE + TICK


def test_the_alarm_is_cleared_when_the_emergency_is_released():
    plant = factories.plant()
    returned(plant)
    care(AT + PAUSE)

    release(plant, at=AT + PAUSE + TICK)

    assert Alarm.objects.get().cleared_at == AT + PAUSE + TICK
    assert care(AT + 3 * PAUSE) == 0


def test_a_delivered_emergency_raises_no_alarm():
    plant = factories.plant()
    ask(plant, stop_now())
    deliver(plant.connection)

    assert care(AT + PAUSE) == 0
    assert not Alarm.objects.exists()


def test_a_plant_that_lost_its_connection_meanwhile_is_alarmed_on_the_one_that_the_emergency_took():
    plant = factories.plant()
    link = plant.connection
    returned(plant)
    Plant.objects.update(connection=None)

    care(AT + PAUSE)

    assert Alarm.objects.get().connection == link


def test_the_alarm_of_a_plant_that_moved_to_another_connection_is_cleared_too():
    plant = factories.plant()
    command = returned(plant)
    care(AT + PAUSE)
    Plant.objects.update(connection=factories.connection(owner=plant.organisation))
    Command.objects.filter(pk=command.pk).update(state=State.SENT)

    care(AT + 2 * PAUSE)

    assert Alarm.objects.get().cleared_at == AT + 2 * PAUSE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda link: Connection.objects.filter(pk=link.pk).update(signing_key=""),
        factories.make_undecryptable,
    ],
    ids=["key gone", "key undecryptable"],
)
def test_an_emergency_that_cannot_be_built_keeps_its_alarm_and_stops_nobody_elses(spoil):
    broken, sound = factories.plant(), factories.plant()
    doomed, fine = returned(broken), returned(sound)
    spoil(broken.connection)

    care(AT + PAUSE)

    assert len(messages_of(doomed)) == 1
    assert len(messages_of(fine)) == 2
    assert Alarm.objects.filter(cleared_at__isnull=True).count() == 2
    assert state_of(doomed) == State.QUEUED


def test_a_limit_of_one_run_does_not_keep_later_emergencies_from_being_issued():
    plants = [factories.plant() for _ in range(3)]
    waiting = [ask(plant, stop_now()) for plant in plants[:2]]
    last = returned(plants[2])

    care_for_undelivered(at=AT + PAUSE, policy=factories.policy(), limit=1)

    assert len(messages_of(last)) == 2
    assert [len(messages_of(one)) for one in waiting] == [1, 1]
    assert message_of(waiting[0]).outcome == Outcome.PENDING


def test_emergencies_that_cannot_be_built_do_not_use_up_the_turn_of_others():
    broken, sound = factories.connection(), factories.plant()
    doomed = [returned(factories.plant(on=broken)) for _ in range(2)]
    fine = returned(sound)
    factories.make_undecryptable(broken)

    care_for_undelivered(at=AT + PAUSE, policy=factories.policy(), limit=1)

    assert [len(messages_of(one)) for one in doomed] == [1, 1]
    assert len(messages_of(fine)) == 2


@pytest.mark.django_db(transaction=True)
def test_an_emergency_that_is_released_while_the_tick_waits_for_it_is_not_issued_again():
    plant = factories.plant()
    command = returned(plant)

    with transaction.atomic():
        list(Command.objects.select_for_update().filter(pk=command.pk))
        tick = Aside(lambda: care(AT + PAUSE))
        until_blocked()
        release(plant, at=AT + PAUSE)

    tick.answer()
    assert len(messages_of(command)) == 1
    assert state_of(command) == State.UNCONFIRMED
