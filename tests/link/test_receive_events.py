"""Acknowledgements, executions, alarms, mode and schedule events reach their rows once each, in any order."""

from datetime import timedelta

import pytest

from dispatch.models import Command, CommandEvent, ScheduleNotice
from dispatch.states import State
from plants.models import Alarm, Disposition, InboundMessage, PlantState
from tests import factories
from tests.dispatch.helpers import ask, claims, deliver, message_of, mode, state_of, words_of
from tests.factories import AT
from tests.link.helpers import (
    ack,
    alarm,
    event,
    execution,
    hear,
    mode_event,
    realtime,
    schedule_event,
    seconds,
)
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def sent_command(plant=None):
    command = ask(plant or factories.plant(), mode())
    deliver(command.connection)
    return command


def correlation(command):
    return message_of(command).correlation_id


def disposition_of(delivery):
    return InboundMessage.objects.get(body=delivery.body).disposition


# --- commands ---------------------------------------------------------------------------------------------------------


def test_an_ack_moves_its_command_and_stays_with_its_exact_bytes_as_the_proof():
    command = sent_command()
    message = ack("ACCEPTED", command.plant, correlation(command), at=AT + seconds(2))

    report = hear(command.connection, message, at=AT + seconds(3))

    inbound = InboundMessage.objects.get()
    assert state_of(command) == State.ACCEPTED
    assert (bytes(inbound.body), inbound.routing_key) == (message.body, "acme.event.command.ack")
    assert (inbound.sent_at, inbound.received_at) == (AT + seconds(2), AT + seconds(3))
    assert (inbound.plant, inbound.family, inbound.disposition) == (
        command.plant,
        "event.command.ack",
        "APPLIED",
    )
    assert CommandEvent.objects.get(inbound=inbound).told_at == AT + seconds(2)
    assert (report.applied, report.duplicates, report.dead_letters) == (1, 0, 0)


def test_two_deliveries_of_one_message_have_one_effect():
    command = sent_command()
    message = ack("ACCEPTED", command.plant, correlation(command))

    first = hear(command.connection, message, message)
    again = hear(command.connection, message)

    assert (first.applied, first.duplicates) == (1, 1)
    assert (again.applied, again.duplicates) == (0, 1)
    assert words_of(command)[-2:] == [("SENT", "APPLIED"), ("ACCEPTED", "APPLIED")]


def test_of_two_messages_with_one_id_the_first_counts():
    command = sent_command()
    same = "3f0c8f6e-0b1d-4c58-9d4e-6a5f5c0a7b11"

    hear(
        command.connection,
        ack("ACCEPTED", command.plant, correlation(command), message_id=same),
        ack("REJECTED", command.plant, correlation(command), message_id=same),
    )

    assert state_of(command) == State.ACCEPTED
    assert b"ACCEPTED" in bytes(InboundMessage.objects.get().body)


def test_one_message_id_may_arrive_on_two_connections():
    same = "3f0c8f6e-0b1d-4c58-9d4e-6a5f5c0a7b11"
    commands = [sent_command(), sent_command()]

    for command in commands:
        hear(command.connection, ack("ACCEPTED", command.plant, correlation(command), message_id=same))

    assert [state_of(command) for command in commands] == [State.ACCEPTED, State.ACCEPTED]


def test_an_execution_that_overtakes_its_ack_is_the_last_word():
    command = sent_command()
    late = ack("ACCEPTED", command.plant, correlation(command), at=AT + seconds(1))

    hear(command.connection, execution("COMPLETED", command.plant, correlation(command), at=AT + seconds(2)))
    hear(command.connection, late)

    assert state_of(command) == State.COMPLETED
    assert disposition_of(late) == Disposition.NO_CHANGE


def test_a_whole_life_in_one_batch_and_any_order_ends_where_voke_ended_it():
    command = sent_command()
    told = [
        execution("COMPLETED", command.plant, correlation(command), at=AT + seconds(3)),
        ack("ACCEPTED", command.plant, correlation(command), at=AT + seconds(1)),
        execution("EXECUTING", command.plant, correlation(command), at=AT + seconds(2)),
    ]

    hear(command.connection, *told)

    assert [word for word, _ in words_of(command)[-3:]] == ["ACCEPTED", "EXECUTING", "COMPLETED"]
    assert state_of(command) == State.COMPLETED


def test_a_partial_ack_stores_the_result_of_each_device():
    command = sent_command()
    results = [
        {"deviceId": "B1", "status": "ACCEPTED"},
        {"deviceId": "B2", "status": "REJECTED", "rejectionCode": "DEVICE_FAULT"},
    ]

    hear(command.connection, ack("PARTIAL", command.plant, correlation(command), results=results))

    stored = CommandEvent.objects.filter(command=command).last().detail["results"]
    assert [(one["deviceId"], one["status"], one["rejectionCode"]) for one in stored] == [
        ("B1", "ACCEPTED", None),
        ("B2", "REJECTED", "DEVICE_FAULT"),
    ]


def test_an_answer_closes_a_message_whose_confirm_was_never_seen():
    plant = factories.plant()
    command = ask(plant, mode())
    claims(plant.connection)

    hear(plant.connection, ack("ACCEPTED", plant, correlation(command)))

    assert claims(plant.connection, at=AT + seconds(5)) == []


def test_an_ack_of_another_keys_command_is_foreign_and_kept():
    link = factories.connection()
    message = ack("ACCEPTED", "somebody-elses-site", "11111111-1111-4111-8111-111111111111")

    report = hear(link, message)

    assert disposition_of(message) == Disposition.FOREIGN
    assert (report.dead_letters, InboundMessage.objects.get().plant) == (0, None)


def test_an_ack_from_a_clock_far_ahead_still_counts():
    command = sent_command()

    hear(command.connection, ack("ACCEPTED", command.plant, correlation(command), at=AT + timedelta(days=3)))

    assert state_of(command) == State.ACCEPTED


# --- tenancy ----------------------------------------------------------------------------------------------------------


def test_a_correlation_of_another_connection_does_not_resolve():
    command = sent_command()
    stranger = factories.plant()
    message = execution("FAILED", stranger, correlation(command))

    hear(stranger.connection, message)

    assert state_of(command) == State.SENT
    assert disposition_of(message) == Disposition.FOREIGN


@pytest.mark.parametrize("same_organisation", [True, False])
def test_a_site_of_another_connection_does_not_resolve(same_organisation):
    plant = factories.plant()
    link = factories.connection(owner=plant.organisation if same_organisation else None)

    report = hear(
        link, realtime(plant), realtime(plant.external_plant_id), alarm(plant), mode_event(plant, "X")
    )

    assert (report.applied, report.dead_letters) == (0, 4)
    assert not Alarm.objects.exists()
    assert PlantState.objects.get(plant=plant).mode == ""


def test_one_alarm_id_on_two_connections_is_two_alarms():
    plants = [factories.plant(), factories.plant()]
    hear(plants[0].connection, alarm(plants[0]))

    hear(plants[1].connection, alarm(plants[1], cleared=AT + seconds(1)))

    assert [one.cleared_at for one in Alarm.objects.order_by("pk")] == [None, AT + seconds(1)]


def test_a_site_is_known_by_its_uuid_in_any_spelling_and_by_its_external_id():
    plant = factories.plant()
    sites = [str(plant.voke_uuid), str(plant.voke_uuid).upper(), plant.external_plant_id]

    report = hear(plant.connection, *[realtime(site, at=AT + seconds(n)) for n, site in enumerate(sites)])

    assert (report.applied, report.dead_letters) == (3, 0)


def test_a_uuid_goes_before_an_external_id_that_looks_like_it():
    link = factories.connection()
    real = factories.plant(on=link)
    factories.plant(on=link, external_plant_id=str(real.voke_uuid))

    hear(link, mode_event(str(real.voke_uuid), "ZERO_EXPORT"))

    assert PlantState.objects.get(plant=real).mode == "ZERO_EXPORT"


# --- alarms -----------------------------------------------------------------------------------------------------------


def test_an_alarm_is_raised_and_cleared_with_all_that_voke_tells():
    plant = factories.plant()
    facts = {
        "deviceId": "B1", "actualValue": 61.5, "expectedValue": "<= 50", "breachedField": "maxExportKw",
        "tolerancePercent": 5, "metadata": {"slot": 3}, "code": "A_NEW_CODE", "severity": "LOUD",
    }  # fmt: skip

    hear(plant.connection, alarm(plant, **facts))
    raised = Alarm.objects.get()
    hear(plant.connection, alarm(plant, cleared=AT + seconds(60), **facts))

    cleared = Alarm.objects.get()
    assert (raised.plant, raised.raised_at, raised.cleared_at) == (plant, AT, None)
    assert (raised.device_id, raised.actual_value, raised.expected_value) == ("B1", 61.5, "<= 50")
    assert (raised.breached_field, raised.tolerance_pct, raised.metadata) == ("maxExportKw", 5, {"slot": 3})
    assert (raised.code, raised.severity, raised.message) == ("A_NEW_CODE", "LOUD", "over the limit")
    assert cleared.cleared_at == AT + seconds(60)


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one by one"])
def test_alarms_told_in_any_order_end_in_the_same_state(together):
    plant = factories.plant()
    told = [alarm(plant, cleared=AT + seconds(60)), alarm(plant), alarm(plant, "a2")]

    for batch in [told] if together else [[one] for one in told]:
        hear(plant.connection, *batch)

    rows = {row.alarm_id: row.cleared_at for row in Alarm.objects.all()}
    assert rows == {"a1": AT + seconds(60), "a2": None}


def test_an_alarm_that_tells_nothing_new_is_kept_as_such():
    plant = factories.plant()
    again = alarm(plant)
    hear(plant.connection, alarm(plant))

    hear(plant.connection, again)

    assert disposition_of(again) == Disposition.NO_CHANGE


def test_many_alarms_take_as_many_queries_as_a_few():
    link = factories.connection()
    plant = factories.plant(on=link)

    def heard(count, start):
        batch = [alarm(plant, f"a{start + n}") for n in range(count)]
        batch += [alarm(plant, f"a{start + n}", cleared=AT + seconds(9)) for n in range(count)]
        return queries_of(lambda: hear(link, *batch))

    heard(1, 1000)  # the first of a problem makes its row of the inbox

    assert heard(2, 0) == heard(20, 100)


# --- modes and schedules ----------------------------------------------------------------------------------------------


def test_a_mode_event_tells_the_current_mode_its_reason_and_when_the_override_ends():
    plant = factories.plant()

    hear(
        plant.connection,
        mode_event(plant, "ZERO_EXPORT", reason="by command", validUntil="2026-01-02T04:00:00.000Z"),
    )

    now = PlantState.objects.get(plant=plant)
    assert (now.mode, now.mode_reason, now.mode_since) == ("ZERO_EXPORT", "by command", AT)
    assert now.mode_override_until == AT + timedelta(hours=1)


def test_an_older_mode_event_is_ignored_and_kept():
    plant = factories.plant()
    old = mode_event(plant, "STANDARD", at=AT)
    hear(
        plant.connection,
        mode_event(plant, "ZERO_EXPORT", at=AT + seconds(5), validUntil="2026-01-02T04:00:00.000Z"),
    )

    hear(plant.connection, old)

    assert PlantState.objects.get(plant=plant).mode == "ZERO_EXPORT"
    assert disposition_of(old) == Disposition.NO_CHANGE


def test_the_newest_mode_of_a_batch_wins_and_ends_the_override():
    plant = factories.plant()
    override = mode_event(plant, "ZERO_EXPORT", at=AT, validUntil="2026-01-02T04:00:00.000Z")

    hear(plant.connection, mode_event(plant, "STANDARD", at=AT + seconds(5)), override)

    now = PlantState.objects.get(plant=plant)
    assert (now.mode, now.mode_override_until) == ("STANDARD", None)


def test_a_schedule_event_is_stored_with_its_proof():
    plant = factories.plant()
    message = schedule_event(plant, "A_NEW_STATUS", at=AT + seconds(1))

    hear(plant.connection, message, at=AT + seconds(2))
    hear(plant.connection, message)

    notice = ScheduleNotice.objects.get()
    assert (notice.plant, notice.schedule_id, notice.status) == (plant, "s1", "A_NEW_STATUS")
    assert (notice.told_at, notice.received_at) == (AT + seconds(1), AT + seconds(2))
    assert notice.inbound.body


# --- types that we do not know ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["event.weather", "event.telemetry.forecast", "command.device"])
def test_a_type_that_is_not_known_is_kept_with_its_raw_bytes(family):
    plant = factories.plant()
    message = event(family, {"sun": "shines", "n": [1, None]}, site=plant)

    report = hear(plant.connection, message)

    inbound = InboundMessage.objects.get()
    assert (inbound.disposition, bytes(inbound.body)) == (Disposition.UNKNOWN_TYPE, message.body)
    assert inbound.plant == plant
    assert report.dead_letters == 0


def test_a_type_and_a_site_that_are_not_known_are_kept_too():
    link = factories.connection()

    report = hear(link, event("event.weather", {}, site="nowhere"))

    assert InboundMessage.objects.get().disposition == Disposition.UNKNOWN_TYPE
    assert (report.applied, report.by_family) == (1, {"unknown": 1})


def test_fields_that_are_not_known_are_ignored_and_stay_in_the_bytes():
    command = sent_command()
    message = ack("ACCEPTED", command.plant, correlation(command), newField={"a": 1})

    hear(command.connection, message)

    assert state_of(command) == State.ACCEPTED
    assert b"newField" in bytes(InboundMessage.objects.get().body)
    assert Command.objects.count() == 1
