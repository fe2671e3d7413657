"""An emergency that reached Voke and did not work must reach a person."""

import pytest

from dispatch.services.emergency_doubt import IN_DOUBT, watch_latched
from dispatch.services.life import advance
from dispatch.states import State
from plants.models import Alarm
from tests import factories
from tests.dispatch.helpers import ask, deliver, release, stop_now
from tests.factories import AT

pytestmark = pytest.mark.django_db


def stopped(*words: State):
    """A plant whose delivered STOP has heard these words."""
    plant = factories.plant()
    command = ask(plant, stop_now())
    deliver(plant.connection)
    for word in words:
        advance(command_id=command.pk, to=word, at=AT, cause="SAID")
    return plant, command


def raised() -> list[Alarm]:
    return list(Alarm.objects.filter(code=IN_DOUBT, cleared_at__isnull=True))


@pytest.mark.parametrize("word", [State.REJECTED, State.FAILED, State.UNCONFIRMED, State.DEVIATED])
def test_a_stop_that_voke_refuses_fails_or_leaves_unanswered_raises_one_alarm(word):
    plant, command = stopped(word)

    watch_latched(at=AT)
    watch_latched(at=AT)

    [alarm] = raised()
    assert (alarm.plant, alarm.severity) == (plant, "CRITICAL")
    assert f"#{command.pk}" in alarm.message
    assert word in alarm.message


@pytest.mark.parametrize("words", [(), (State.ACCEPTED,), (State.EXECUTING, State.COMPLETED)])
def test_a_stop_that_is_on_its_way_or_done_raises_none(words):
    stopped(*words)

    assert watch_latched(at=AT) == 0
    assert raised() == []


def test_a_late_word_of_voke_clears_the_alarm():
    _, command = stopped(State.UNCONFIRMED)
    watch_latched(at=AT)

    advance(command_id=command.pk, to=State.COMPLETED, at=AT, cause="SAID")
    watch_latched(at=AT)

    assert raised() == []


def test_the_release_of_the_latch_clears_the_alarm():
    plant, _ = stopped(State.REJECTED)
    watch_latched(at=AT)

    release(plant)
    watch_latched(at=AT)

    assert raised() == []


@pytest.mark.parametrize("word", [State.ACCEPTED, State.EXECUTING, State.COMPLETED])
def test_of_two_stops_the_first_is_no_alarm_when_voke_takes_the_second(word):
    plant, first = stopped(State.EXECUTING)
    second = ask(plant, stop_now())
    deliver(plant.connection)

    advance(command_id=second.pk, to=word, at=AT, cause="SAID")
    advance(command_id=first.pk, to=State.DEVIATED, at=AT, cause="SAID")

    assert watch_latched(at=AT) == 0
    assert raised() == []


def test_a_second_stop_that_voke_takes_clears_the_alarm_of_the_first():
    plant, _ = stopped(State.FAILED)
    watch_latched(at=AT)
    second = ask(plant, stop_now())
    deliver(plant.connection)
    watch_latched(at=AT)
    assert len(raised()) == 1  # sent is not taken

    advance(command_id=second.pk, to=State.ACCEPTED, at=AT, cause="SAID")
    watch_latched(at=AT)

    assert raised() == []


def test_a_second_stop_that_fails_too_leaves_the_alarm():
    plant, _ = stopped(State.FAILED)
    second = ask(plant, stop_now())
    deliver(plant.connection)
    advance(command_id=second.pk, to=State.REJECTED, at=AT, cause="SAID")

    assert watch_latched(at=AT) == 1
    assert len(raised()) == 1


def test_a_stop_of_before_the_last_release_says_nothing_of_this_one():
    plant, _ = stopped(State.COMPLETED)
    release(plant)
    again = ask(plant, stop_now())
    deliver(plant.connection)
    advance(command_id=again.pk, to=State.FAILED, at=AT, cause="SAID")

    assert watch_latched(at=AT) == 1
