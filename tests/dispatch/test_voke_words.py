"""What Voke says about commands: resolved within the connection, judged in the order of Voke's clock, never lost."""

from datetime import timedelta

import pytest

from dispatch.models import OutboundMessage, Outcome, ScheduleNotice
from dispatch.services.confirms import forget_attempts
from dispatch.services.site_config import publish_changed
from dispatch.services.voke_words import ScheduleTold, Told, apply_words, store_schedule_events
from dispatch.states import State
from plants.models import Disposition, InboundMessage
from tests import factories
from tests.dispatch.helpers import (
    ask,
    broker_says,
    claims,
    deliver,
    last_event,
    message_of,
    messages_of,
    mode,
    state_of,
    stop_now,
    words_of,
)
from tests.factories import AT
from tests.queries import queries_of
from vcp import CommandAck, CommandResult, Execution, ScheduleEvent

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(seconds=3)


def ack(status, **facts):
    return CommandAck(status=status, command_type="mode", **facts)


def execution(status, **facts):
    return Execution(status=status, command_type="mode", **facts)


def told(link, correlation, word, told_at=LATER):
    row = InboundMessage.objects.create(
        connection=link,
        message_id=f"m{InboundMessage.objects.count()}",
        routing_key="acme.event.command.ack",
        family="event.command.ack",
        sent_at=told_at,
        received_at=LATER,
        disposition=Disposition.APPLIED,
        body=b"{}",
    )
    return Told(inbound_id=row.pk, correlation_id=str(correlation), told_at=told_at, word=word)


def hear(command, *words, at=LATER):
    """Words about a command, each a status struct or (struct, told_at)."""
    link, correlation = command.connection, messages_of(command)[-1].correlation_id
    batch = [told(link, correlation, *(one if isinstance(one, tuple) else (one,))) for one in words]
    return list(apply_words(connection_id=link.pk, told=batch, at=at).values())


def sent_command(plant=None):
    command = ask(plant or factories.plant(), mode())
    deliver(command.connection)
    return command


@pytest.mark.parametrize(
    ("word", "state", "cause"),
    [
        (ack("ACCEPTED"), State.ACCEPTED, "ACK_ACCEPTED"),
        (ack("QUEUED"), State.QUEUED_BY_VOKE, "ACK_QUEUED"),
        (ack("REJECTED", rejection_code="DEVICE_FAULT"), State.REJECTED, "DEVICE_FAULT"),
        (ack("REJECTED"), State.REJECTED, "ACK_REJECTED"),
        (execution("EXECUTING"), State.EXECUTING, "EXECUTION_EXECUTING"),
        (execution("COMPLETED"), State.COMPLETED, "EXECUTION_COMPLETED"),
        (execution("DEVIATED"), State.DEVIATED, "EXECUTION_DEVIATED"),
        (execution("FAILED"), State.FAILED, "EXECUTION_FAILED"),
    ],
)
def test_each_word_moves_its_command_and_is_proved_by_its_message(word, state, cause):
    command = sent_command()

    dispositions = hear(command, word)

    event = last_event(command)
    assert dispositions == [Disposition.APPLIED]
    assert (state_of(command), command.cause) == (state, cause)
    assert (event.actor, event.told_at, event.outbound) == ("Voke", LATER, message_of(command))
    assert event.inbound == InboundMessage.objects.get()


def test_a_partial_ack_keeps_the_result_of_every_device():
    command = sent_command()
    results = (
        CommandResult(device_id="B1", status="ACCEPTED"),
        CommandResult(device_id="B2", status="REJECTED", rejection_code="DEVICE_FAULT", message="cell 4"),
    )

    hear(command, ack("PARTIAL", results=results, message="one of two"))

    assert state_of(command) == State.PARTIAL
    assert last_event(command).detail == {
        "status": "PARTIAL",
        "message": "one of two",
        "results": [
            {"deviceId": "B1", "status": "ACCEPTED", "rejectionCode": None, "message": None},
            {"deviceId": "B2", "status": "REJECTED", "rejectionCode": "DEVICE_FAULT", "message": "cell 4"},
        ],
    }


def test_an_execution_keeps_what_was_reached():
    command = sent_command()

    hear(
        command,
        execution("DEVIATED", actual_value_kw=8.0, target_value_kw=10.0, deviation_kw=-2.0, reason="cloud"),
    )

    assert last_event(command).detail == {
        "status": "DEVIATED", "actualKw": 8.0, "targetKw": 10.0, "deviationKw": -2.0, "reason": "cloud",
    }  # fmt: skip


def test_words_of_one_batch_are_applied_in_the_order_of_vokes_clock():
    command = sent_command()
    first, second, third = (AT + timedelta(seconds=s) for s in (1, 2, 3))

    hear(command, (execution("COMPLETED"), third), (ack("ACCEPTED"), first), (execution("EXECUTING"), second))

    assert words_of(command)[-3:] == [
        ("ACCEPTED", "APPLIED"),
        ("EXECUTING", "APPLIED"),
        ("COMPLETED", "APPLIED"),
    ]


def test_words_of_the_same_moment_are_applied_in_the_order_that_makes_sense():
    command = sent_command()

    hear(command, execution("COMPLETED"), execution("EXECUTING"), ack("ACCEPTED"))

    assert [word for word, _ in words_of(command)[-3:]] == ["ACCEPTED", "EXECUTING", "COMPLETED"]


def test_an_ack_that_arrives_after_the_execution_is_an_event_without_a_change():
    command = sent_command()
    hear(command, execution("COMPLETED"))

    dispositions = hear(command, ack("ACCEPTED"))

    assert dispositions == [Disposition.NO_CHANGE]
    assert state_of(command) == State.COMPLETED


@pytest.mark.parametrize("word", [ack("PONDERING"), execution("DAYDREAMING")])
def test_a_status_that_is_not_known_is_noted_by_its_own_word_and_moves_nothing(word):
    command = sent_command()

    dispositions = hear(command, word)

    assert dispositions == [Disposition.NO_CHANGE]
    assert state_of(command) == State.SENT
    assert words_of(command)[-1] == (word.status, "NOTE")


@pytest.mark.parametrize("correlation", ["11111111-1111-4111-8111-111111111111", "not-a-uuid", ""])
def test_a_word_about_a_correlation_that_is_not_ours_is_foreign(correlation):
    link = factories.connection()

    dispositions = apply_words(
        connection_id=link.pk, told=[told(link, correlation, ack("ACCEPTED"))], at=LATER
    )

    assert list(dispositions.values()) == [Disposition.FOREIGN]


def test_a_correlation_of_another_connection_does_not_resolve():
    command = sent_command()
    stranger = factories.connection()
    word = told(stranger, message_of(command).correlation_id, execution("FAILED"))

    dispositions = apply_words(connection_id=stranger.pk, told=[word], at=LATER)

    assert list(dispositions.values()) == [Disposition.FOREIGN]
    assert state_of(command) == State.SENT


def test_an_id_in_capitals_is_the_same_id_even_in_one_batch_with_small_letters():
    command = sent_command()
    link, correlation = command.connection, str(message_of(command).correlation_id)
    words = [
        told(link, correlation, ack("ACCEPTED")),
        told(link, correlation.upper(), execution("COMPLETED")),
    ]

    dispositions = apply_words(connection_id=link.pk, told=words, at=LATER)

    assert set(dispositions.values()) == {Disposition.APPLIED}
    assert state_of(command) == State.COMPLETED


def test_a_reply_that_overtakes_the_brokers_confirm_moves_the_command_and_closes_its_message():
    plant = factories.plant()
    command = ask(plant, mode())
    claimed = claims(plant.connection)

    hear(command, execution("COMPLETED"))
    broker_says(Outcome.CONFIRMED, *claimed, at=LATER)

    assert state_of(command) == State.COMPLETED
    assert message_of(command).outcome == Outcome.CONFIRMED
    assert words_of(command)[-2:] == [("COMPLETED", "APPLIED"), ("SENT", "STALE")]


def test_a_message_that_voke_answered_is_not_sent_again_by_a_relay_that_never_saw_its_confirm():
    plant = factories.plant()
    command = ask(plant, mode())
    claims(plant.connection)

    hear(command, ack("QUEUED"))

    assert claims(plant.connection, at=LATER) == []
    assert message_of(command).attempts == 1


def test_an_answered_emergency_takes_back_its_message_that_was_issued_meanwhile():
    plant = factories.plant()
    command = ask(plant, stop_now())
    claims(plant.connection)
    claims(plant.connection, at=AT + timedelta(seconds=240))
    first, second = messages_of(command)
    forget_attempts(outbound_ids=[second.pk])

    word = told(plant.connection, first.correlation_id, ack("ACCEPTED"))
    apply_words(connection_id=plant.connection_id, told=[word], at=LATER)

    assert [one.outcome for one in messages_of(command)] == [Outcome.ABANDONED, Outcome.WITHDRAWN]


def test_a_late_word_corrects_our_presumption():
    plant = factories.plant()
    command = ask(plant, mode())
    claims(plant.connection)
    ask(plant, stop_now())

    hear(command, ack("ACCEPTED"))

    assert state_of(command) == State.ACCEPTED


def test_the_number_of_queries_does_not_grow_with_the_number_of_words():
    plant = factories.plant()
    commands = [ask(plant, mode()) for _ in range(22)]
    deliver(plant.connection)

    def heard(some):
        words = [told(plant.connection, message_of(one).correlation_id, ack("ACCEPTED")) for one in some]
        return queries_of(lambda: apply_words(connection_id=plant.connection_id, told=words, at=LATER))

    assert heard(commands[:2]) == heard(commands[2:])
    assert {state_of(one) for one in commands} == {State.ACCEPTED}


def test_a_schedule_event_is_kept_as_told():
    plant = factories.plant()
    row = InboundMessage.objects.get(pk=told(plant.connection, "", ack("ACCEPTED")).inbound_id)

    one = ScheduleTold(
        plant_id=plant.pk,
        correlation_id="",
        event=ScheduleEvent(schedule_id="s1", status="ACTIVATED", reason="as planned"),
        told_at=AT,
        inbound_id=row.pk,
    )
    store_schedule_events(told=[one], at=LATER)

    notice = ScheduleNotice.objects.get()
    assert (notice.schedule_id, notice.status, notice.reason) == ("s1", "ACTIVATED", "as planned")
    assert (notice.told_at, notice.received_at, notice.inbound) == (AT, LATER, row)


# --- site config ------------------------------------------------------------------------------------------------------


def published_config(plant):
    publish_changed(at=AT, policy=factories.policy())
    return OutboundMessage.objects.get(plant=plant, family="config.topology")


@pytest.mark.parametrize(
    ("word", "detail"),
    [
        (ack("ACCEPTED"), "Voke: ACCEPTED"),
        (ack("REJECTED", rejection_code="INVALID_PAYLOAD"), "Voke: REJECTED (INVALID_PAYLOAD)"),
    ],
    ids=["accepted", "rejected"],
)
def test_a_word_about_site_config_of_ours_is_not_foreign_and_is_kept_with_its_message(word, detail):
    plant = factories.plant()
    message = published_config(plant)
    claims(plant.connection)

    one = told(plant.connection, message.correlation_id, word)
    dispositions = apply_words(connection_id=plant.connection_id, told=[one], at=LATER)

    message.refresh_from_db()
    assert dispositions == {one.inbound_id: Disposition.APPLIED}
    assert (message.outcome, message.outcome_at, message.detail) == (Outcome.CONFIRMED, LATER, detail)
