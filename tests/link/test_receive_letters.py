"""What can't be understood or applied becomes our own row, and never stops what stands beside it."""

import json
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from django.db import connection

from link.inbox import receive
from plants.models import DeadLetter, InboundMessage, PlantState, TelemetryReading
from plants.services import dead_letters
from plants.services.dead_letters import OPEN_KEPT_FOR, prune_dead_letters
from tests import factories
from tests.factories import AT
from tests.link.helpers import ack, alarm, delivery, event, hear, inlet, meter, mode_event, realtime, seconds
from tests.queries import queries_of
from vcp import Family

pytestmark = pytest.mark.django_db


def letter():
    return DeadLetter.objects.get()


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b"", "MALFORMED_JSON", ""),
        (b"not json", "MALFORMED_JSON", ""),
        (b'{"a":"\xff"}', "INVALID_TEXT", ""),
        (b"[1]", "NOT_AN_OBJECT", ""),
        (b'{"version":"2.0"}', "UNSUPPORTED_VERSION", "version"),
        (b'{"version":"1.1"}', "MISSING_FIELD", "messageId"),
        (b"[" * 100_000, "TOO_DEEP", ""),
        (b'{"a":"\\u0000"}', "INVALID_TEXT", "a"),
    ],
)
def test_a_body_that_is_no_message_is_kept_with_its_code_and_path(body, code, path):
    link = factories.connection()

    report = hear(link, delivery(body), at=AT)

    kept = letter()
    assert (kept.reason, kept.path, bytes(kept.body)) == (code, path, body)
    assert (kept.queue, kept.routing_key) == ("vcp.acme.event.alarm", "acme.event.alarm")
    assert (kept.count, kept.first_at, kept.last_at) == (1, AT, AT)
    assert (report.received, report.applied, report.dead_letters) == (1, 0, 1)


def test_a_payload_that_breaks_its_familys_rule_is_kept_with_the_field():
    plant = factories.plant()
    message = event(Family.EVENT_COMMAND_ACK, {"status": "PARTIAL", "commandType": "mode"}, site=plant)

    hear(plant.connection, message)

    assert (letter().reason, letter().path) == ("MISSING_FIELD", "payload.results")


@pytest.mark.parametrize("text", ["a\0b", "\0"])
def test_a_nul_in_a_message_is_a_dead_letter_and_its_neighbours_are_stored(text):
    plant = factories.plant()
    poisoned = alarm(plant, message=text)

    report = hear(plant.connection, realtime(plant), poisoned, alarm(plant, "a2"))

    assert (report.applied, report.dead_letters) == (2, 1)
    assert (letter().reason, letter().path) == ("INVALID_TEXT", "payload.message")


def test_a_lone_surrogate_in_a_message_is_a_dead_letter():
    plant = factories.plant()
    body = alarm(plant).body.replace(b"over the limit", b"\\ud800")

    hear(plant.connection, delivery(body))

    assert letter().reason == "INVALID_TEXT"


def test_a_message_about_a_site_that_is_not_ours_names_it():
    link = factories.connection()

    hear(link, realtime("7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"))

    assert (letter().reason, letter().path) == ("UNKNOWN_SITE", "siteId")
    assert letter().detail == "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


@pytest.mark.parametrize(
    "message", [alarm, lambda plant, at: mode_event(plant, "X", at=at)], ids=["alarm", "mode"]
)
def test_an_event_of_the_far_future_is_a_dead_letter_because_it_would_be_the_newest_for_ever(message):
    plant = factories.plant()

    hear(plant.connection, message(plant, at=datetime(9999, 1, 1, tzinfo=UTC)), mode_event(plant, "STANDARD"))

    assert (letter().reason, letter().path) == ("FROM_THE_FUTURE", "timestamp")
    assert PlantState.objects.get(plant=plant).mode == "STANDARD"


def test_an_event_that_waited_in_a_queue_for_years_is_still_an_event():
    plant = factories.plant()

    report = hear(plant.connection, mode_event(plant, "STANDARD", at=AT - timedelta(days=3000)))

    assert (report.applied, report.dead_letters) == (1, 0)


# --- equal letters ----------------------------------------------------------------------------------------------------


def test_equal_letters_are_counted_in_one_row():
    link = factories.connection()
    same = delivery(b"nonsense")

    hear(link, same, same, at=AT)
    hear(link, same, at=AT + seconds(9))

    assert (letter().count, letter().first_at, letter().last_at) == (3, AT, AT + seconds(9))


def test_the_same_bytes_under_another_key_or_connection_are_another_letter():
    link = factories.connection()
    hear(link, delivery(b"nonsense"), delivery(b"nonsense", "acme.event.execution"))

    hear(factories.connection(), delivery(b"nonsense"))

    assert [one.count for one in DeadLetter.objects.all()] == [1, 1, 1]


def test_many_letters_take_as_many_queries_as_a_few():
    link = factories.connection()

    def heard(count, text):
        batch = [delivery(f"{text}{n}".encode()) for n in range(count)]
        return queries_of(lambda: hear(link, *batch)), queries_of(lambda: hear(link, *batch))

    assert heard(2, "few") == heard(20, "many")
    assert {one.count for one in DeadLetter.objects.all()} == {2}


def test_headers_are_kept_and_bounded():
    link = factories.connection()
    headers = {"x-death": [{"count": 2, "reason": "rejected"}], "long": "x" * 10_000}

    hear(link, delivery(b"nonsense", headers=headers))

    assert letter().headers["x-death"] == "[{'count': 2, 'reason': 'rejected'}]"
    assert len(letter().headers["long"]) == 500


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        ("acme.event.alarm", {"a\0": "b\0c"}),
        ("acme.event.alarm", {"a": "\ud800"}),
        ("acme.event.\0", {}),
        ("acme.event.\ud800", {}),
        ("acme." + "x" * 400, {}),
    ],
    ids=["NUL in header", "surrogate in header", "NUL in key", "surrogate in key", "long key"],
)
def test_a_letter_that_no_database_takes_as_it_is_does_not_come_back_for_ever(key, headers):
    """It failed the batch, and its queue stood still: the same delivery came again after every reconnect."""
    plant = factories.plant()

    report = hear(plant.connection, delivery(b"nonsense", key, headers), realtime(plant))

    assert (report.applied, report.dead_letters) == (1, 1)
    assert letter().reason == "MALFORMED_JSON"


# --- poison -----------------------------------------------------------------------------------------------------------


def poison(message):
    """Let the database refuse the inbox row of one message, as it would refuse a value that we did not foresee."""
    message_id = json.loads(message.body)["messageId"]
    if connection.vendor == "postgresql":
        statement = (
            f"ALTER TABLE plants_inboundmessage ADD CONSTRAINT poison CHECK (message_id <> '{message_id}')"
        )
    else:
        statement = (
            "CREATE TRIGGER poison BEFORE INSERT ON plants_inboundmessage"
            f" WHEN new.message_id = '{message_id}' BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_row_that_the_database_refuses_is_found_by_halving_and_all_others_are_stored(place):
    plant = factories.plant()
    batch = [alarm(plant, f"a{n}") for n in range(6)]
    guilty = alarm(plant, "guilty")
    batch.insert(place, guilty)
    poison(guilty)

    report = hear(plant.connection, *batch, realtime(plant), delivery(b"nonsense"))

    assert (report.received, report.applied, report.dead_letters) == (9, 7, 2)
    assert InboundMessage.objects.count() == 6
    assert TelemetryReading.objects.count() == 1
    kept = DeadLetter.objects.get(reason="NOT_APPLICABLE")
    assert bytes(kept.body) == guilty.body
    assert kept.detail.startswith("IntegrityError")
    # PostgreSQL quotes the row that it refuses, and not everybody may see a letter's bytes.
    assert guilty.routing_key not in kept.detail


def test_a_batch_of_one_poison_row_is_a_dead_letter():
    plant = factories.plant()
    guilty = ack("ACCEPTED", plant, "x")
    poison(guilty)

    report = hear(plant.connection, guilty)

    assert (report.applied, report.dead_letters) == (0, 1)


def test_a_poison_routing_key_of_an_unknown_type_is_a_dead_letter_and_not_the_end():
    """U+0000 in a key passes every parser, and PostgreSQL refuses it."""
    plant = factories.plant()
    body = event("event.weather", {}, site=plant).body

    report = hear(plant.connection, meter(plant), delivery(body, "acme.event.\0weather"), alarm(plant))

    assert report.applied + report.dead_letters == 3
    assert report.applied >= 2


def test_nothing_received_is_nothing_to_store():
    link = factories.connection()

    report = receive([], inlet=inlet(link), at=AT)

    assert (report.received, report.applied, report.dead_letters) == (0, 0, 0)


# --- how long they are kept -------------------------------------------------------------------------------------------


def test_letters_are_forgotten_when_nobody_can_still_be_looking_at_them():
    link = factories.connection()
    hear(link, delivery(b"old"), at=AT)
    hear(link, delivery(b"young"), at=AT + seconds(1))

    count = prune_dead_letters(at=AT + OPEN_KEPT_FOR + seconds(1))

    assert count == 1
    assert bytes(letter().body) == b"young"


def test_a_letter_that_comes_again_is_not_old():
    link = factories.connection()
    hear(link, delivery(b"again"), at=AT)
    hear(link, delivery(b"again"), at=AT + OPEN_KEPT_FOR)

    assert prune_dead_letters(at=AT + OPEN_KEPT_FOR + seconds(1)) == 0


def test_a_letter_that_comes_again_while_the_old_ones_are_chosen_is_not_forgotten():
    link, chosen = factories.connection(), dead_letters._doomed
    hear(link, delivery(b"again"), at=AT)

    def chosen_and_heard(**words):
        doomed = chosen(**words)
        hear(link, delivery(b"again"), at=words["at"])
        return doomed

    with mock.patch.object(dead_letters, "_doomed", autospec=True, side_effect=chosen_and_heard):
        count = prune_dead_letters(at=AT + OPEN_KEPT_FOR + seconds(1))

    assert (count, letter().count) == (0, 2)


def test_a_letter_that_is_forgotten_while_it_comes_again_is_made_anew():
    link, insert = factories.connection(), dead_letters.insert_new
    hear(link, delivery(b"again"), delivery(b"beside"), at=AT)

    def inserted_and_forgotten(model, rows, **words):
        made = insert(model, rows, **words)
        if not made:
            DeadLetter.objects.filter(body=b"again").delete()
        return made

    with mock.patch.object(dead_letters, "insert_new", autospec=True, side_effect=inserted_and_forgotten):
        hear(link, delivery(b"again"), delivery(b"beside"), at=AT + seconds(1))

    counts = {bytes(one.body): (one.count, one.last_at) for one in DeadLetter.objects.all()}
    assert counts == {b"again": (1, AT + seconds(1)), b"beside": (2, AT + seconds(1))}


def test_of_too_many_letters_of_a_connection_the_newest_are_kept():
    busy, quiet = factories.connection(), factories.connection()
    for n in range(5):
        hear(busy, delivery(f"{n}".encode()), at=AT + seconds(n))
    hear(quiet, delivery(b"quiet"), at=AT)

    count = prune_dead_letters(at=AT + seconds(9), keep=2)

    assert count == 3
    kept = DeadLetter.objects.filter(connection=busy).order_by("first_at")
    assert [bytes(one.body) for one in kept] == [b"3", b"4"]
    assert DeadLetter.objects.filter(connection=quiet).count() == 1
