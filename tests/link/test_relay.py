"""One turn of the relay: claim, hand over, write down what the broker said, nothing open while on the network."""

from datetime import timedelta

import pytest
from django.db import connection

from dispatch.models import OutboundMessage, OutboxLease, Outcome
from dispatch.states import State
from link.broker import Fate, LinkError
from link.relay import RelayOptions, relay_once, release_lease
from plants.models import Plant
from tests import factories
from tests.dispatch.helpers import ask, lease, message_of, mode, setpoint, state_of, stop_now, words_of
from tests.factories import AT
from tests.link.fakes import FakePublisher
from tests.queries import queries_of
from tests.threads import Aside

pytestmark = pytest.mark.django_db
TTL = timedelta(seconds=15)


def options(holder="r1", window=50):
    return RelayOptions(holder=holder, lease_ttl=TTL, window=window)


def turn(link, publisher, *, at=AT, called=False, **changes):
    return relay_once(
        connection=link,
        publisher=publisher,
        clock=lambda: at,
        policy=factories.policy(),
        options=options(**changes),
        called=called,
    )


def test_a_turn_hands_over_the_exact_bytes_and_makes_the_command_sent():
    plant = factories.plant()
    command = ask(plant, mode())
    publisher = FakePublisher()

    count = turn(plant.connection, publisher)

    message = message_of(command)
    [[outgoing]] = publisher.windows
    assert count == 1
    assert (outgoing.body, outgoing.routing_key) == (bytes(message.body), "acme.command.mode")
    assert (outgoing.message_id, outgoing.correlation_id) == (
        str(message.message_id),
        str(message.correlation_id),
    )
    assert outgoing.not_after == AT + TTL
    assert state_of(command) == State.SENT


def test_each_fate_is_written_down():
    link = factories.connection()
    commands = [ask(factories.plant(on=link), setpoint()) for _ in range(4)]
    publisher = FakePublisher(
        fates=[Fate.CONFIRMED, Fate.RETURNED, Fate.REFUSED, Fate.NACKED], detail="because"
    )

    count = turn(link, publisher)

    assert count == 3
    assert [state_of(one) for one in commands] == ["SENT", "RETURNED", "REFUSED", "QUEUED"]
    assert [message_of(one).outcome for one in commands] == ["CONFIRMED", "RETURNED", "REFUSED", "PENDING"]
    assert message_of(commands[1]).detail == "because"
    assert words_of(commands[3])[-1] == ("NACKED", "NOTE")


def test_a_nacked_message_is_not_pressed_upon_the_broker_without_a_pause():
    plant = factories.plant()
    ask(plant, mode())
    publisher = FakePublisher(fates=[Fate.NACKED])

    counts = [turn(plant.connection, publisher) for _ in range(20)]

    assert counts == [0] * 20
    assert len(publisher.windows) == 1


def test_what_was_never_handed_over_may_still_be_cancelled_or_signed_anew():
    link = factories.connection()
    commands = [ask(factories.plant(on=link), setpoint()) for _ in range(2)]
    publisher = FakePublisher(fates=[Fate.TOO_LATE, Fate.NOT_SENT])

    count = turn(link, publisher)

    assert count == 0
    assert [message_of(one).attempted_at for one in commands] == [None, None]


def test_a_message_of_unknown_fate_goes_again_as_the_same_bytes():
    plant = factories.plant()
    command = ask(plant, mode())
    publisher = FakePublisher(fates=[Fate.UNKNOWN])
    turn(plant.connection, publisher)
    publisher.fates = ()

    turn(plant.connection, publisher, at=AT + timedelta(seconds=1))

    first, second = publisher.windows
    assert [one.body for one in first] == [one.body for one in second]
    assert state_of(command) == State.SENT
    assert message_of(command).attempts == 2


@pytest.mark.parametrize("fate", [Fate.UNKNOWN, Fate.NOT_SENT])
def test_a_link_that_broke_in_the_window_is_told_after_everything_was_written_down(fate):
    link = factories.connection()
    sent, unsure = (ask(factories.plant(on=link), setpoint()) for _ in range(2))
    publisher = FakePublisher(fates=[Fate.CONFIRMED, fate], gone=LinkError("gone"))

    with pytest.raises(LinkError, match="gone"):
        turn(link, publisher)

    assert (state_of(sent), state_of(unsure)) == (State.SENT, State.QUEUED)


def test_a_broker_that_only_blocks_keeps_its_link():
    plant = factories.plant()
    ask(plant, mode())
    publisher = FakePublisher(fates=[Fate.NOT_SENT])

    assert turn(plant.connection, publisher) == 0
    assert publisher.kept_alive == 1


def test_a_publisher_that_fails_leaves_the_attempt_and_the_next_turn_sends_the_same_bytes():
    plant = factories.plant()
    command = ask(plant, mode())

    def fail(_window):
        raise LinkError("closed")

    with pytest.raises(LinkError):
        turn(plant.connection, FakePublisher(during=fail))
    publisher = FakePublisher()
    turn(plant.connection, publisher)

    assert publisher.windows[0][0].body == bytes(message_of(command).body)
    assert message_of(command).attempted_at == AT


def test_an_idle_relay_writes_nothing(django_assert_num_queries):
    link = factories.connection()

    with django_assert_num_queries(1):
        assert turn(link, FakePublisher()) == 0

    assert not OutboxLease.objects.exists()


def test_without_the_lease_nothing_is_published():
    plant = factories.plant()
    ask(plant, mode())
    lease(plant.connection, holder="another", ttl=TTL)
    publisher = FakePublisher()

    assert turn(plant.connection, publisher) == 0
    assert publisher.windows == []


def test_a_relay_that_stands_by_reads_two_rows(django_assert_num_queries):
    """With much waiting at another relay, two relays cost what one costs."""
    plant = factories.plant()
    ask(plant, mode())
    lease(plant.connection, holder="other", ttl=TTL)
    publisher = FakePublisher()

    with django_assert_num_queries(2):
        count = turn(plant.connection, publisher)

    assert (count, publisher.windows) == (0, [])


def test_a_window_is_given_up_when_its_lease_ends():
    """Else a setpoint waiting in this relay's socket could follow the STOP that its successor sends."""
    plant = factories.plant()
    ask(plant, mode())
    publisher = FakePublisher()
    moments = iter([AT, AT + timedelta(seconds=4), AT + timedelta(seconds=5)])

    relay_once(
        connection=plant.connection,
        publisher=publisher,
        clock=lambda: next(moments),
        policy=factories.policy(),
        options=options(),
    )

    assert publisher.limits_s == [11.0]


@pytest.mark.parametrize("called", [True, False])
def test_a_relay_that_is_called_sends_the_same_and_what_is_held_back_stays(called):
    sent, latched = factories.plant(), factories.plant()
    command, held = ask(sent, mode()), ask(latched, mode())
    Plant.objects.filter(pk=latched.pk).update(dispatch_enabled=False)
    publishers = FakePublisher(), FakePublisher()

    counts = [
        turn(plant.connection, publisher, called=called)
        for plant, publisher in zip((sent, latched), publishers, strict=True)
    ]

    assert counts == [1, 0]
    assert (state_of(command), state_of(held)) == (State.SENT, State.QUEUED)
    assert publishers[1].windows == []


def test_a_relay_that_is_called_for_nothing_or_stands_by_writes_nothing():
    empty, led = factories.plant(), factories.plant()
    ask(led, mode())
    lease(led.connection, holder="other", ttl=TTL)
    before = list(OutboxLease.objects.values())

    counts = [turn(plant.connection, FakePublisher(), called=True) for plant in (empty, led)]

    assert counts == [0, 0]
    assert list(OutboxLease.objects.values()) == before


def test_a_relay_that_is_called_does_not_search_before_it_claims():
    link = factories.connection()
    lease(link, holder="r1", ttl=TTL)
    ask(factories.plant(on=link), mode())
    found = queries_of(lambda: turn(link, FakePublisher()))
    ask(factories.plant(on=link), mode())
    told = queries_of(lambda: turn(link, FakePublisher(), called=True))

    assert found - told == 1


def test_a_window_is_no_larger_than_told():
    link = factories.connection()
    for _ in range(3):
        ask(factories.plant(on=link), setpoint())
    publisher = FakePublisher()

    counts = [turn(link, publisher, window=2) for _ in range(2)]

    assert counts == [2, 1]


def test_an_emergency_goes_before_what_waited_longer():
    link = factories.connection()
    ask(factories.plant(on=link), mode())
    ask(factories.plant(on=link), stop_now())
    publisher = FakePublisher()

    turn(link, publisher)

    assert [one.routing_key for one in publisher.windows[0]] == [
        "acme.command.emergency",
        "acme.command.mode",
    ]


def test_at_shutdown_the_lease_is_free_for_another():
    plant = factories.plant()
    ask(plant, mode())
    turn(plant.connection, FakePublisher(), holder="r1")

    release_lease(connection=plant.connection, clock=lambda: AT, options=options())

    assert lease(plant.connection, holder="r2", ttl=TTL)


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_on_the_network_and_the_attempt_is_committed_before_the_first_byte():
    plant = factories.plant()
    command = ask(plant, mode())
    seen = {}

    def look(_window):
        seen["open"] = connection.in_atomic_block
        seen["attempted"] = Aside(lambda: OutboundMessage.objects.get(command=command).attempted_at).answer()

    turn(plant.connection, FakePublisher(during=look))

    assert seen == {"open": False, "attempted": AT}


@pytest.mark.django_db(transaction=True)
def test_an_emergency_that_comes_while_a_command_is_on_the_network_goes_next_and_the_command_not_again():
    plant = factories.plant()
    command = ask(plant, mode())
    publisher = FakePublisher(
        fates=[Fate.UNKNOWN], during=lambda _window: Aside(lambda: ask(plant, stop_now())).answer()
    )

    turn(plant.connection, publisher)
    publisher.during, publisher.fates = None, ()
    turn(plant.connection, publisher)

    assert [one.routing_key for one in publisher.windows[1]] == ["acme.command.emergency"]
    assert state_of(command) == State.UNCONFIRMED
    assert message_of(command).outcome == Outcome.ABANDONED
