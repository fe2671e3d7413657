"""What happens to messages whose time passed: expired, given up, or signed anew in their old place."""

from datetime import timedelta

import pytest

from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.services.bulk import COPY_FROM_ROWS
from dispatch.services.confirms import forget_attempts
from dispatch.services.late import settle_late
from dispatch.services.site_config import publish_changed
from dispatch.states import State
from plants.models import Connection, ConnectionMode
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    envelope_of,
    last_event,
    lease,
    message_of,
    messages_of,
    mode,
    setpoint,
    state_of,
    stop_now,
    words_of,
)
from tests.factories import AT, SIGNING_KEY
from tests.queries import queries_of
from vcp import verify

pytestmark = pytest.mark.django_db
MARGIN = timedelta(seconds=240)
MINUTE = timedelta(seconds=60)
SETTLERS = ["tick", "claim"]


def settle(how, link, at):
    """The tick settles what nobody publishes; a relay settles what it meets."""
    if how == "tick":
        settle_late(at=at, policy=factories.policy())
    else:
        claims(link, at=at)


def hold(plant):
    set_plant_dispatch(plant_id=plant.pk, enabled=False)


# --- over -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", SETTLERS)
def test_a_command_whose_time_passed_before_any_attempt_expires_and_its_message_is_withdrawn(how):
    plant = factories.plant()
    command = ask(plant, mode())

    settle(how, plant.connection, AT + MINUTE)

    assert state_of(command) == State.EXPIRED
    assert command.cause == "DELIVER_BY_PASSED"
    assert message_of(command).outcome == Outcome.WITHDRAWN
    assert message_of(command).attempted_at is None


@pytest.mark.parametrize("how", SETTLERS)
def test_a_command_whose_time_passed_after_an_attempt_is_unconfirmed_and_its_message_abandoned(how):
    plant = factories.plant()
    command = ask(plant, mode())
    claims(plant.connection)

    settle(how, plant.connection, AT + MINUTE)

    assert state_of(command) == State.UNCONFIRMED
    assert command.cause == "NEVER_CONFIRMED"
    assert message_of(command).outcome == Outcome.ABANDONED


def test_a_moment_before_its_time_is_over_a_command_still_goes():
    plant = factories.plant()
    command = ask(plant, mode())

    settle_late(at=AT + MINUTE - timedelta(milliseconds=1), policy=factories.policy())
    claimed = claims(plant.connection, at=AT + MINUTE - timedelta(milliseconds=1))

    assert len(claimed) == 1
    assert state_of(command) == State.QUEUED


def test_held_and_observed_commands_expire_too():
    held, observed = factories.plant(), factories.plant()
    commands = [ask(held, mode()), ask(observed, mode())]
    hold(held)
    Connection.objects.filter(pk=observed.connection_id).update(mode=ConnectionMode.OBSERVE)

    settle_late(at=AT + MINUTE, policy=factories.policy())

    assert [state_of(one) for one in commands] == [State.EXPIRED, State.EXPIRED]


# --- older than the replay margin -------------------------------------------------------------------------------------


def test_a_message_that_was_never_attempted_is_signed_anew_for_the_same_command():
    plant = factories.plant()
    command = ask(plant, setpoint())

    claimed = claims(plant.connection, at=AT + MARGIN)

    old, new = messages_of(command)
    assert (old.outcome, new.outcome) == (Outcome.REPLACED, Outcome.PENDING)
    assert claimed[0].outbound_id == new.pk
    assert new.message_id != old.message_id
    assert new.correlation_id != old.correlation_id
    assert envelope_of(new)["timestamp"] == "2026-01-02T03:04:00.000Z"
    assert envelope_of(new)["payload"] == envelope_of(old)["payload"]
    assert new.deliver_by_at == old.deliver_by_at
    assert claimed[0].not_after == AT + 2 * MARGIN
    assert state_of(command) == State.QUEUED
    assert words_of(command)[-1] == ("REISSUED", "NOTE")


def test_a_signed_message_is_signed_over_its_new_bytes():
    plant = factories.plant()
    command = ask(plant, mode())
    OutboundMessage.objects.update(deliver_by_at=None)

    claims(plant.connection, at=AT + MARGIN)

    assert verify(envelope_of(messages_of(command)[1]), SIGNING_KEY)


def test_a_message_signed_anew_keeps_its_place_so_that_a_later_command_cannot_overtake_it():
    plant = factories.plant()
    old = ask(plant, setpoint(1.0))
    young = ask(plant, setpoint(2.0), at=AT + MARGIN - timedelta(seconds=1))

    first = claims(plant.connection, at=AT + MARGIN)
    forget_attempts(outbound_ids=[one.outbound_id for one in first])
    again = deliver(plant.connection, at=AT + MARGIN)

    assert [one.outbound_id for one in first] == [messages_of(old)[1].pk]
    assert [one.outbound_id for one in again] == [messages_of(old)[1].pk, message_of(young).pk]


def test_a_moment_before_the_margin_the_first_bytes_still_go():
    plant = factories.plant()
    command = ask(plant, setpoint())

    claimed = claims(plant.connection, at=AT + MARGIN - timedelta(milliseconds=1))

    assert [one.outbound_id for one in claimed] == [message_of(command).pk]


def test_the_tick_does_not_replace_what_nobody_can_send():
    plant = factories.plant()
    command = ask(plant, setpoint())
    hold(plant)

    settle_late(at=AT + MARGIN, policy=factories.policy())

    assert message_of(command).outcome == Outcome.PENDING


@pytest.mark.parametrize("how", SETTLERS)
def test_an_attempted_message_is_given_up_at_the_margin_and_never_replaced(how):
    plant = factories.plant()
    command = ask(plant, setpoint())
    claims(plant.connection)

    settle(how, plant.connection, AT + MARGIN)

    assert message_of(command).outcome == Outcome.ABANDONED
    assert state_of(command) == State.UNCONFIRMED


def test_a_message_that_voke_answered_keeps_its_command_whatever_its_age():
    plant = factories.plant()
    command = ask(plant, setpoint())
    claims(plant.connection)
    Command.objects.update(state=State.ACCEPTED)

    settle_late(at=AT + MARGIN, policy=factories.policy())

    assert state_of(command) == State.ACCEPTED
    assert words_of(command)[-1] == ("UNCONFIRMED", "STALE")


def test_a_message_that_cannot_be_signed_any_more_ends_with_its_command_and_blocks_nobody():
    link = factories.connection()
    plant, other = factories.plant(on=link), factories.plant(on=link)
    Connection.objects.update(signed_families=["command.site-setpoint"])
    signed = ask(plant, setpoint())
    Connection.objects.update(signing_key="")
    free = ask(other, mode(), at=AT + MARGIN)

    claimed = claims(link, at=AT + MARGIN)

    assert [one.outbound_id for one in claimed] == [message_of(free).pk]
    assert state_of(signed) == State.CANCELLED
    assert signed.cause == "CANNOT_BUILD"
    assert "INVALID_SIGNING_KEY" in last_event(signed).detail["error"]
    assert message_of(signed).outcome == Outcome.WITHDRAWN


# --- emergencies and site config --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", SETTLERS)
def test_an_emergency_that_was_never_confirmed_is_issued_anew_and_stays_queued(how):
    plant = factories.plant()
    command = ask(plant, stop_now())
    claims(plant.connection)

    settle(how, plant.connection, AT + MARGIN)

    old, new = messages_of(command)
    assert (old.outcome, new.outcome, new.urgent) == (Outcome.ABANDONED, Outcome.PENDING, True)
    assert state_of(command) == State.QUEUED


def test_an_emergency_that_voke_answered_is_not_issued_anew():
    plant = factories.plant()
    command = ask(plant, stop_now())
    claims(plant.connection)
    Command.objects.update(state=State.COMPLETED)

    settle_late(at=AT + MARGIN, policy=factories.policy())

    assert message_of(command).outcome == Outcome.ABANDONED


def test_site_config_that_was_never_attempted_is_made_anew_by_the_relay():
    plant = factories.plant()
    publish_changed(at=AT, policy=factories.policy())

    claimed = deliver(plant.connection, at=AT + MARGIN)

    assert [one.routing_key for one in claimed] == [
        "acme.config.topology",
        "acme.config.constraints",
        "acme.config.fallback",
    ]
    assert OutboundMessage.objects.filter(outcome=Outcome.REPLACED).count() == 3


# --- how much it costs, and whom it can stop --------------------------------------------------------------------------


def test_replacing_many_takes_as_many_queries_as_replacing_a_few():
    small, large = factories.connection(), factories.connection()
    for link, count in ((small, COPY_FROM_ROWS), (large, COPY_FROM_ROWS + 8)):
        lease(link)
        for _ in range(count):
            ask(factories.plant(on=link, assets=[]), setpoint())

    few, many = (queries_of(lambda one=link: claims(one, at=AT + MARGIN)) for link in (small, large))

    assert OutboundMessage.objects.filter(outcome=Outcome.REPLACED).count() == 2 * COPY_FROM_ROWS + 8
    assert few == many


def test_settling_many_takes_as_many_queries_as_settling_a_few():
    few_plant, many_plant = factories.plant(), factories.plant()

    def settled(plant, count):
        commands = [ask(plant, mode()) for _ in range(count)]
        used = queries_of(lambda: settle_late(at=AT + MINUTE, policy=factories.policy()))
        assert {state_of(one) for one in commands} == {State.EXPIRED}
        return used

    assert settled(few_plant, 2) == settled(many_plant, 20)


def test_a_connection_whose_secrets_cannot_be_decrypted_stops_no_tick_and_keeps_its_emergencies_queued():
    broken, sound = factories.plant(), factories.plant()
    stop = ask(broken, stop_now())
    claims(broken.connection)
    late = [
        ask(plant, mode(), at=AT + MARGIN - MINUTE)
        for plant in (factories.plant(on=broken.connection), sound)
    ]
    factories.make_undecryptable(broken.connection)

    settle_late(at=AT + MARGIN, policy=factories.policy())

    assert [state_of(one) for one in late] == [State.EXPIRED, State.EXPIRED]
    assert state_of(stop) == State.QUEUED
    assert message_of(stop).outcome == Outcome.ABANDONED


def test_a_late_message_whose_broker_word_is_still_coming_is_corrected_by_it():
    plant = factories.plant()
    command = ask(plant, mode())
    claimed = claims(plant.connection)
    settle_late(at=AT + MINUTE, policy=factories.policy())

    broker_says(Outcome.CONFIRMED, *claimed, at=AT + MINUTE)

    assert message_of(command).outcome == Outcome.CONFIRMED
    assert state_of(command) == State.UNCONFIRMED
    assert words_of(command)[-1] == ("SENT", "STALE")
