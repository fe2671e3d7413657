"""Silence is explained from our own evidence: when it is asked why, what each cause looks like, and how it ends."""

import json
from datetime import timedelta

import pytest

from dispatch.models import (
    Command,
    CommandEvent,
    Diagnosis,
    DiagnosisStage,
    OutboundMessage,
    Outcome,
)
from dispatch.selectors import count_causes
from dispatch.services.diagnosis import diagnose
from dispatch.services.late import settle_late
from dispatch.services.life import advance
from dispatch.services.overdue import flag_execution_overdue, mark_ack_overdue
from dispatch.states import State
from plants.models import Alarm, ConnectionMode, LinkHealth, LinkState, Plant, StreamHealth
from tests import factories
from tests.dispatch.helpers import (
    ask,
    batch,
    broker_says,
    claims,
    deliver,
    last_event,
    mode,
    setpoint,
)
from tests.dispatch.silences import (
    LATER,
    RULES,
    change_message,
    explained,
    finding,
    no_rest,
    reports,
    silent_command,
    speaks,
)
from tests.factories import AT
from tests.queries import queries_of
from vcp import canonical_json

pytestmark = pytest.mark.django_db


# --- each cause by our own evidence ---------------------------------------------------------------------------------


def test_bytes_that_are_not_in_canonical_form_are_told():
    command = silent_command(mode())
    body = json.loads(bytes(OutboundMessage.objects.get(command=command).body))
    change_message(command, body=json.dumps(body).encode())

    row = explained(command)

    assert (row.cause, row.confidence, row.next_step) == ("BYTES_WRONG", "CERTAIN", "REPORT_DEFECT")
    assert finding(row, "BYTES")["code"] == "NOT_CANONICAL"
    assert (row.stage, row.made_at) == (DiagnosisStage.DONE, LATER)


def test_another_payload_than_was_asked_for_is_told():
    command = silent_command()
    Command.objects.filter(pk=command.pk).update(payload=command.payload | {"targetValueKw": 11.0})

    row = explained(command)

    assert (row.cause, finding(row, "BYTES")["code"]) == ("BYTES_WRONG", "DIGEST_DIFFERS")


def test_a_signature_of_another_key_is_likely_and_voke_is_asked():
    plant = factories.plant()
    command = silent_command(mode(), plant=plant)
    plant.connection.signing_key = "ff" * 32
    plant.connection.save(update_fields=["signing_key"])

    row = explained(command)

    assert (row.cause, row.confidence, row.next_step) == ("BYTES_WRONG", "LIKELY", "CHECK_KEY")
    assert (row.stage, row.look_at) == (DiagnosisStage.LOG, LATER)
    assert "ff" * 32 not in json.dumps(row.evidence)


def test_a_key_that_cannot_be_read_is_not_taken_for_a_wrong_signature():
    plant = no_rest()
    command = silent_command(mode(), plant=plant)
    factories.make_undecryptable(plant.connection)

    row = explained(command)

    assert (finding(row, "BYTES")["code"], row.cause) == ("KEY_UNUSABLE", "UNDECIDED")


def test_a_missing_signature_that_the_sheet_requires_is_certain():
    plant = factories.plant(on=factories.connection(signed_families=[]))

    row = explained(silent_command(batch(), plant=plant))

    assert (row.cause, row.confidence, row.next_step) == ("SIGNATURE_MISSING", "CERTAIN", "SIGN_FAMILY")


def test_a_missing_signature_that_only_our_setting_asks_for_is_likely():
    plant = factories.plant(on=factories.connection(signed_families=[]))
    command = silent_command(plant=plant)
    plant.connection.signed_families = ["command.site-setpoint"]
    plant.connection.save(update_fields=["signed_families"])

    row = explained(command)

    assert (row.cause, row.confidence) == ("SIGNATURE_MISSING", "LIKELY")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"body": b"{"}, "MALFORMED_JSON"),
        ({"body": canonical_json({"version": "1.0"})}, "UNSUPPORTED_VERSION"),
        ({"routing_key": "other.command.site-setpoint"}, "WRONG_PARTNER"),
        ({"attempted_at": AT + timedelta(minutes=6)}, "EXPIRED"),
    ],
)
def test_an_envelope_that_breaks_the_protocol_is_told(changes, code):
    command = silent_command()
    change_message(command, **changes)

    row = explained(command)

    assert (row.cause, finding(row, "ENVELOPE")["code"]) == ("ENVELOPE_INVALID", code)


def test_an_envelope_for_another_site_or_source_is_told():
    plant = factories.plant()
    command = silent_command(plant=plant)
    Plant.objects.filter(pk=plant.pk).update(external_plant_id="OTHER", voke_uuid=None)

    assert finding(explained(command), "ENVELOPE")["code"] == "WRONG_SITE"

    other = silent_command(plant=factories.plant())
    other.connection.source = "somebody"
    other.connection.save(update_fields=["source"])
    assert finding(explained(other), "ENVELOPE")["code"] == "WRONG_SOURCE"


@pytest.mark.parametrize(
    ("outcome", "step"), [(Outcome.RETURNED, "ASK_VOKE_BINDINGS"), (Outcome.REFUSED, "CHECK_RIGHTS")]
)
def test_the_brokers_word_needs_no_further_reason(outcome, step):
    command = ask(factories.plant(), mode())
    broker_says(outcome, *claims(command.connection), detail="NO_ROUTE")

    row = explained(command)

    assert (row.cause, row.confidence, row.next_step) == (outcome.value, "CERTAIN", step)
    assert "NO_ROUTE" in finding(row, "BROKER")["saw"]


def test_what_expired_while_the_connection_observed_says_so():
    plant = factories.plant()
    command = ask(plant, mode())
    plant.connection.mode = ConnectionMode.OBSERVE
    plant.connection.save(update_fields=["mode"])
    settle_late(at=LATER, policy=factories.policy())

    row = explained(command)

    assert (row.cause, row.confidence, row.next_step) == ("NOT_PUBLISHED", "CERTAIN", "ALLOW_DISPATCH")


def test_what_expired_without_a_relay_says_so():
    command = ask(factories.plant(), mode())
    settle_late(at=LATER, policy=factories.policy())

    row = explained(command)

    assert (row.cause, row.next_step) == ("NOT_PUBLISHED", "CHECK_LINK")
    assert finding(row, "PUBLISHING")["code"] == "NO_PROCESS"


def test_a_connection_on_which_nothing_is_heard_is_silent_and_voke_is_asked_all_the_same():
    plant = factories.plant()
    speaks(plant.connection, at=AT)
    command = silent_command(plant=plant, speaking=False)
    LinkHealth.objects.update(seen_at=LATER, heard_until=LATER)

    row = explained(command)

    assert (row.cause, row.confidence, row.stage) == ("LINK_SILENT", "LIKELY", DiagnosisStage.LOG)
    assert (finding(row, "LINK")["code"], row.next_step) == ("SILENT", "ASK_VOKE_EVENTS")


def test_a_consumer_that_is_not_connected_explains_the_silence_of_the_link():
    command = silent_command()
    LinkHealth.objects.filter(role=LinkHealth.Role.CONSUME).update(
        state=LinkState.REFUSED, error_code="ACCESS_REFUSED", last_error="403"
    )

    row = explained(command)

    assert (row.cause, row.next_step, finding(row, "LINK")["code"]) == (
        "LINK_SILENT", "CHECK_LINK", "ACCESS_REFUSED",
    )  # fmt: skip


def test_a_plant_whose_telemetry_stopped_while_others_go_on_is_offline():
    plant = factories.plant()
    reports(plant, at=AT)
    speaks(plant.connection)
    command = silent_command(plant=plant, speaking=False)

    row = explained(command)

    assert (row.cause, row.next_step) == ("SITE_OFFLINE", "CALL_SITE")
    assert finding(row, "SITE")["code"] == "TELEMETRY_STOPPED"


def test_a_site_that_voke_calls_offline_is_offline_although_telemetry_came():
    command = silent_command()
    Alarm.objects.create(
        connection=command.connection, plant=command.plant, alarm_id="a-1", severity="ERROR", code="SITE_OFFLINE",
        raised_at=AT, told_at=AT, received_at=AT,
    )  # fmt: skip

    assert finding(explained(command), "SITE")["code"] == "OFFLINE_TOLD"


@pytest.mark.parametrize(("skew_s", "cause"), [(301, "CLOCK_SKEW"), (-301, "CLOCK_SKEW"), (299, "")])
def test_a_clock_beyond_what_voke_tolerates_explains_the_silence(skew_s, cause):
    command = silent_command()
    StreamHealth.objects.update(skew_ms=skew_s * 1000)

    row = explained(command)

    assert (row.cause, row.stage) == (cause, DiagnosisStage.LOG)


def test_a_stream_that_waited_in_a_queue_does_not_hide_a_clock_that_is_behind():
    """Waiting makes the difference larger: the least of all streams is the nearest to the clocks'."""
    command = silent_command()
    StreamHealth.objects.update(skew_ms=-400_000)
    StreamHealth.objects.create(
        connection=command.connection,
        stream=StreamHealth.Stream.METER,
        last_at=LATER,
        last_sent_at=LATER,
        skew_ms=2_000,
    )

    assert finding(explained(command), "CLOCK")["code"] == "BEYOND_TOLERANCE"


def test_what_nothing_explains_is_undecided_only_when_the_log_cannot_be_asked():
    row = explained(silent_command(plant=no_rest()))

    assert (row.cause, row.confidence, row.stage) == ("UNDECIDED", "OPEN", DiagnosisStage.DONE)
    assert "no REST address" in finding(row, "LOG")["saw"]


def test_a_plant_without_a_uuid_cannot_be_looked_up():
    row = explained(silent_command(plant=factories.plant(voke_uuid=None)))

    assert (row.cause, finding(row, "LOG")["code"]) == ("UNDECIDED", "NOT_READABLE")


def test_an_overdue_execution_is_judged_by_link_and_site_only():
    plant = factories.plant()
    command = ask(plant, mode())
    deliver(plant.connection)
    advance(command_id=command.pk, to=State.ACCEPTED, at=AT, cause="")
    later = AT + timedelta(hours=1)
    flag_execution_overdue(at=later)
    speaks(plant.connection, at=later)
    reports(plant, at=AT + timedelta(minutes=5))

    row = explained(command, at=later)

    assert row.cause == "SITE_OFFLINE"
    assert [one["check"] for one in row.evidence] == ["LINK", "SITE"]


# --- too early, again, once -----------------------------------------------------------------------------------------


def test_while_it_is_too_early_to_tell_it_is_looked_at_again_and_then_decided():
    plant = no_rest()
    command = silent_command(plant=plant, speaking=False)
    speaks(plant.connection, at=AT)
    LinkHealth.objects.update(seen_at=LATER, heard_until=AT + timedelta(seconds=2))

    early = explained(command)
    assert (early.stage, early.cause, early.made_at) == (DiagnosisStage.LOCAL, "", None)
    assert early.look_at == LATER + RULES.again
    LinkHealth.objects.update(heard_until=LATER)
    assert explained(command, at=early.look_at).cause == "LINK_SILENT"


def test_patience_has_an_end():
    plant = no_rest()
    command = silent_command(plant=plant, speaking=False)
    at = LATER + RULES.patience
    speaks(plant.connection, at=AT)
    LinkHealth.objects.update(seen_at=at, heard_until=AT)

    assert explained(command, at=at).cause == "UNDECIDED"


def test_a_diagnosis_is_told_once_in_the_events_of_its_command():
    command = silent_command(plant=no_rest())
    diagnose(at=LATER, rules=RULES)
    diagnose(at=LATER + timedelta(minutes=5), rules=RULES)

    told = CommandEvent.objects.filter(command=command, word="DIAGNOSED")
    assert [event.cause for event in told] == ["UNDECIDED"]
    assert last_event(command).detail == {"next": "ASK_VOKE", "confidence": "OPEN"}


def test_the_number_of_queries_does_not_grow_with_the_number_of_silent_commands():
    plants = [factories.plant() for _ in range(3)]

    def explained_at_once(count):
        for plant in plants:
            for _ in range(count):
                ask(plant, setpoint())
            deliver(plant.connection)
            speaks(plant.connection)
            reports(plant)
        mark_ack_overdue(at=LATER)
        return queries_of(lambda: diagnose(at=LATER, rules=RULES))

    few, many = explained_at_once(2), explained_at_once(10)

    assert few == many
    assert Diagnosis.objects.filter(stage=DiagnosisStage.LOG).count() == 36


def test_a_batch_does_not_keep_the_next_from_its_turn():
    for _ in range(5):
        silent_command(plant=no_rest())

    assert diagnose(at=LATER, rules=RULES, limit=2) == 5
    assert Diagnosis.objects.filter(cause="UNDECIDED").count() == 5


# --- counted --------------------------------------------------------------------------------------------------------


def test_causes_are_counted_from_a_moment_on_in_one_query():
    plant = no_rest()
    for _ in range(3):
        silent_command(plant=plant)
    diagnose(at=LATER, rules=RULES, limit=2)
    silent_command(plant=plant)

    assert count_causes(since=AT) == {"UNDECIDED": 3, "": 1}
    assert count_causes(since=LATER + timedelta(seconds=1)) == {}
    assert queries_of(lambda: count_causes(since=AT)) == 1
