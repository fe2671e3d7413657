"""What the database proves: events arrive or not and whose fault it is, signatures are accepted, clocks agree."""

from datetime import timedelta

import pytest

from link.checkup import Step
from plants.models import LinkHealth, LinkState, StreamHealth
from plants.services.link_health import Holding, StreamNote, note_link, note_streams
from tests import factories
from tests.dispatch.helpers import ask, deliver, message_of, mode, setpoint, stop_now
from tests.factories import AT
from tests.link.checkups import checked, seen
from tests.link.helpers import ack, hear, seconds
from vcp import DEFAULT_SIGNED_FAMILIES, KeyDecoding

pytestmark = pytest.mark.django_db
NOW = AT + timedelta(minutes=5)
Stream = StreamHealth.Stream


def evidence(link, *, at=NOW):
    """The steps that ask no network."""
    link.rest_base_url = ""
    return checked(link, at=at, over_network=False)


def consuming(link, *, since=AT, state=LinkState.CONNECTED, at=NOW, **error):
    """A consumer that reports since then, and still does."""
    for moment in (since, at):
        note_link(
            connection_id=link.pk, role=LinkHealth.Role.CONSUME, state=state, at=moment, holder="c", **error
        )


def heard(link, stream, *, ago_s=1.0, skew_ms=200):
    at = NOW - seconds(ago_s)
    note = StreamNote(stream=stream, last_at=at, last_sent_at=at, period_s=None, skew_ms=skew_ms)
    note_streams(connection_id=link.pk, notes=[note])


def test_in_memory_there_is_no_network_to_check():
    results = evidence(factories.plant().connection)

    assert seen(results, Step.HOST, Step.LOGIN, Step.PUBLISH) == [("SKIPPED", "NOT_APPLICABLE")] * 3
    assert results[Step.EVENTS].code == "NO_PROCESS"


# --- events -----------------------------------------------------------------------------------------------------------


def test_events_that_arrive_are_told_by_stream_and_age():
    link = factories.plant().connection
    consuming(link)
    heard(link, Stream.REALTIME, ago_s=4)
    heard(link, Stream.METER, ago_s=40)

    result = evidence(link)[Step.EVENTS]

    assert (result.verdict.value, result.words) == ("OK", "realtime 4 s ago, meter 40 s ago, status never")
    assert result.facts["status"] is None


def test_connected_and_nothing_ever_is_the_federations_fault():
    link = factories.plant().connection
    consuming(link)

    result = evidence(link)[Step.EVENTS]

    assert (result.verdict.value, result.code) == ("FAILED", "NOTHING_EVER_ARRIVED")
    assert "silent for 5 min" in result.words
    assert "federation" in result.fix


@pytest.mark.parametrize(
    ("last_heard", "verdict", "code"),
    [
        ({Stream.REALTIME: 120, Stream.METER: 130}, "FAILED", "NOTHING_ARRIVES"),
        ({Stream.REALTIME: 120, Stream.METER: 10}, "FAILED", "REALTIME_SILENT"),
        ({Stream.REALTIME: 2, Stream.METER: 290}, "WARNING", "METER_SILENT"),
    ],
)
def test_silence_has_the_code_of_what_is_silent(last_heard, verdict, code):
    link = factories.plant().connection
    consuming(link, since=AT - seconds(600))
    for stream, ago_s in last_heard.items():
        heard(link, stream, ago_s=ago_s)

    assert seen(evidence(link), Step.EVENTS) == [(verdict, code)]


def test_a_consumer_that_has_just_come_can_not_be_judged_yet():
    link = factories.plant().connection
    consuming(link, since=NOW - seconds(3))

    assert seen(evidence(link), Step.EVENTS) == [("UNKNOWN", "TOO_EARLY")]


def test_a_consumer_that_still_connects_can_not_be_judged_yet():
    link = factories.plant().connection
    note_link(connection_id=link.pk, role=LinkHealth.Role.CONSUME, state=LinkState.CONNECTING, at=NOW)

    assert seen(evidence(link), Step.EVENTS) == [("UNKNOWN", "TOO_EARLY")]


def test_a_consumer_that_is_refused_is_why_nothing_arrives():
    link = factories.plant().connection
    consuming(link, state=LinkState.REFUSED, error="the broker refused the vhost", error_code="REFUSED_VHOST")

    result = evidence(link)[Step.EVENTS]

    assert (result.verdict.value, result.code) == ("FAILED", "REFUSED_VHOST")
    assert "the broker refused the vhost" in result.words


def test_messages_that_wait_for_our_database_are_not_a_link_that_is_half_open():
    """Regression: messages waited at the broker too, the prefetch being full, and the link was called HALF_OPEN."""
    link = factories.plant().connection
    consuming(link, since=AT - seconds(600))
    heard(link, Stream.REALTIME, ago_s=90)
    holding = Holding(heard_until=NOW - seconds(90), unstored_since=NOW - seconds(90), unstored_count=40)
    note_link(
        connection_id=link.pk,
        role=LinkHealth.Role.CONSUME,
        state=LinkState.CONNECTED,
        at=NOW,
        holder="c",
        holding=holding,
    )

    result = evidence(link)[Step.EVENTS]

    assert (result.verdict.value, result.code) == ("FAILED", "STORING_SLOWLY")
    assert "40 wait, the oldest for 1 min; realtime 1 min ago" in result.words
    assert result.facts["unstored"] == 40
    assert "not at Voke" in result.fix


def test_an_old_connection_tells_why_it_still_drains():
    old = factories.connection()
    old.succeeded_by = factories.connection(owner=old.organisation)
    old.draining_code, old.draining_note = "DRAINING_UNREAD", "7 at the last look"
    old.save()

    result = evidence(old)[Step.EVENTS]

    assert (result.verdict.value, result.code) == ("SKIPPED", "DRAINING_UNREAD")
    assert "not read to the end (7 at the last look)" in result.words


def test_without_plants_nothing_is_expected():
    assert seen(evidence(factories.connection()), Step.EVENTS) == [("UNKNOWN", "NO_PLANTS")]


def test_a_retired_connection_is_not_expected_to_hear_anything():
    plant = factories.plant()
    plant.connection.retired_at = AT
    plant.connection.save(update_fields=["retired_at"])

    assert seen(evidence(plant.connection), Step.EVENTS) == [("SKIPPED", "RETIRED")]


# --- signature --------------------------------------------------------------------------------------------------------


def answered(plant, command):
    at = AT + seconds(2)
    hear(plant.connection, ack("ACCEPTED", plant, message_of(command).correlation_id, at=at), at=at)


def test_an_answer_to_a_signed_command_proves_the_signature():
    plant = factories.plant()
    command = ask(plant, mode())
    deliver(plant.connection)
    answered(plant, command)

    result = evidence(plant.connection)[Step.SIGNATURE]

    assert (result.verdict.value, result.facts["answered"], result.facts["unanswered"]) == ("OK", 1, 0)


def test_signed_commands_without_an_answer_beside_unsigned_ones_with_one_prove_a_wrong_key():
    plant = factories.plant()
    silent, told = ask(plant, mode()), ask(plant, setpoint())
    deliver(plant.connection)
    answered(plant, told)

    result = evidence(plant.connection)[Step.SIGNATURE]

    assert silent.pk != told.pk
    assert (result.verdict.value, result.code) == ("FAILED", "SIGNATURE_NOT_ACCEPTED")
    assert "decoding" in result.fix


def test_an_answered_emergency_proves_nothing_about_signatures():
    """It is signed, and obeyed without."""
    plant = factories.plant()
    emergency = ask(plant, stop_now())
    deliver(plant.connection)
    answered(plant, emergency)

    result = evidence(plant.connection)[Step.SIGNATURE]

    assert (result.verdict.value, result.code) == ("UNKNOWN", "NO_SIGNED_EVIDENCE")
    assert result.facts["unsigned_answered"] == 1


def test_when_nothing_at_all_is_answered_the_key_is_not_blamed():
    plant = factories.plant()
    ask(plant, mode())
    deliver(plant.connection)

    assert seen(evidence(plant.connection), Step.SIGNATURE) == [("WARNING", "NOTHING_ANSWERED")]


def test_an_answer_may_still_come_within_its_time():
    plant = factories.plant()
    ask(plant, mode())
    deliver(plant.connection)

    assert seen(evidence(plant.connection, at=AT + seconds(30)), Step.SIGNATURE) == [
        ("UNKNOWN", "ANSWER_PENDING")
    ]


def test_answers_of_the_time_before_a_new_key_prove_nothing_about_the_new_one():
    plant = factories.plant()
    command = ask(plant, mode())
    deliver(plant.connection)
    answered(plant, command)
    link = plant.connection
    link.signing_key = "ff" * 32
    link.save(update_fields=["signing_key"])

    result = evidence(link)[Step.SIGNATURE]

    assert (result.verdict.value, result.code) == ("UNKNOWN", "NO_SIGNED_EVIDENCE")
    assert result.facts["signed_with_another_key"] == 1


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"signing_key": ""}, ("FAILED", "SIGNING_KEY_MISSING")),
        ({"signing_key": "", "signed_families": []}, ("SKIPPED", "NOTHING_SIGNED")),
        ({"signing_key": "short"}, ("FAILED", "SIGNING_KEY_UNUSABLE")),
        (
            {"signing_key": "short", "key_decoding": KeyDecoding.UTF8.value},
            ("FAILED", "SIGNING_KEY_UNUSABLE"),
        ),
    ],
)
def test_a_key_that_is_not_there_or_can_not_sign_is_found(changes, found):
    link = factories.connection(**({"signed_families": sorted(DEFAULT_SIGNED_FAMILIES)} | changes))

    assert seen(evidence(link), Step.SIGNATURE) == [found]


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skews_ms", "found"),
    [
        ({}, ("UNKNOWN", "NO_TIMESTAMPS")),
        ({Stream.REALTIME: 300}, ("OK", "")),
        ({Stream.REALTIME: -31_000}, ("WARNING", "CLOCK_SKEW")),
        ({Stream.REALTIME: 301_000}, ("FAILED", "CLOCK_BEYOND_TOLERANCE")),
        ({Stream.REALTIME: 301_000, Stream.METER: 400}, ("OK", "")),  # the first waited in a queue
    ],
)
def test_clocks_are_compared_by_what_arrived_least_delayed(skews_ms, found):
    link = factories.connection()
    for stream, skew_ms in skews_ms.items():
        heard(link, stream, skew_ms=skew_ms)

    assert seen(evidence(link), Step.CLOCK) == [found]
