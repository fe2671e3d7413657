"""A consumer that hears nothing asks what waits, and makes its link anew when it is not given it or may not ask."""

import threading

import pytest

from link.broker import LinkError
from link.silence import ASK_EVERY_S, LONGEST_RENEWAL_S, Silence
from tests.link.fakes import FakeConsumer


class Watch:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def silence(watch):
    return Silence(renew_after_s=lambda: 35.0, now=watch)


def consumer(depth):
    return FakeConsumer([], threading.Event(), depth=depth)


def test_messages_that_wait_twice_in_a_row_and_are_not_delivered_break_the_link(silence, watch):
    watch.now = ASK_EVERY_S
    assert silence.look(consumer(3)) is False

    with pytest.raises(LinkError, match="3 messages wait") as caught:
        silence.look(consumer(3))

    assert caught.value.code == "HALF_OPEN"


def test_a_message_that_is_on_its_way_when_the_broker_is_asked_is_no_suspicion(silence, watch):
    watch.now = ASK_EVERY_S
    silence.look(consumer(1))
    silence.heard()
    watch.now += ASK_EVERY_S

    assert silence.look(consumer(1)) is False


def test_the_broker_is_not_asked_before_its_time_nor_at_every_turn(silence, watch):
    asked = []

    class Asked(FakeConsumer):
        def waiting(self):
            asked.append(watch.now)
            return 0

    for watch.now in range(0, 50, 5):
        silence.look(Asked([], threading.Event()))

    assert asked == [15, 30, 45]


def test_a_queue_that_is_empty_is_no_reason_to_make_a_link_anew(silence, watch):
    for watch.now in range(0, 4000, 15):
        assert silence.look(consumer(0)) is False


def test_without_leave_to_ask_the_link_is_made_anew_with_growing_pauses(silence, watch):
    renewed = []
    for watch.now in range(2500):
        if silence.look(consumer(None)):
            renewed.append(watch.now)
            silence.reopened()

    pauses = [later - earlier for earlier, later in zip([0, *renewed], renewed, strict=False)]
    assert pauses == [35, 70, 140, 280, 560, LONGEST_RENEWAL_S]


def test_a_message_makes_the_pauses_small_again(silence, watch):
    watch.now = 40.0
    assert silence.look(consumer(None)) is True
    silence.heard()

    watch.now += 36.0

    assert silence.look(consumer(None)) is True
