"""A dead letter passes through the inbox again after a fix, and people settle those that nobody needs."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from link.applying import apply_understood
from link.parsing import parse
from link.replay import MOST_REPLAYED, Replayed, ReplayOutcome, replay
from plants.errors import Invalid
from plants.models import (
    Alarm,
    DeadLetter,
    DeadLetterEvent,
    InboundMessage,
    MeterReading,
    Plant,
    PlantState,
    TelemetryReading,
)
from plants.services.dead_letters import (
    MOST_DISCARDED,
    OPEN_KEPT_FOR,
    SETTLED_KEPT_FOR,
    TOO_LARGE,
    Letter,
    discard,
    prune_dead_letters,
    store_dead_letter,
)
from tests import factories
from tests.factories import AT
from tests.link.helpers import RETENTION_DAYS, alarm, delivery, hear, meter, mode_event, realtime, seconds
from tests.link.test_receive_letters import poison

pytestmark = pytest.mark.django_db
LATER = AT + seconds(60)
UUID = "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def letter() -> DeadLetter:
    return DeadLetter.objects.get()


def again(*letters: DeadLetter, at=LATER) -> list[Replayed]:
    ids = [one.pk for one in letters or DeadLetter.objects.order_by("pk")]
    return replay(letter_ids=ids, actor="jana", at=at, retention_days=RETENTION_DAYS)


def outcomes(done: list[Replayed]) -> list[str]:
    return [one.outcome.value for one in done]


def journal(row: DeadLetter) -> list[tuple[str, str, str]]:
    return [(one.action, one.actor, one.note or one.result) for one in row.events.order_by("pk")]


def unknown_then_known(*messages) -> Plant:
    """Messages about a site came before we knew it; then somebody entered its UUID."""
    link = factories.connection()
    hear(link, *messages)
    return factories.plant(on=link, voke_uuid=UUID)


# --- replay -----------------------------------------------------------------------------------------------------------


def test_an_event_of_a_site_that_is_known_now_is_applied_and_its_letter_settled():
    plant = unknown_then_known(alarm(UUID))

    done = again()

    assert outcomes(done) == ["APPLIED"]
    assert Alarm.objects.get().plant == plant
    assert (letter().state, letter().count) == ("REPLAYED", 1)
    assert journal(letter()) == [("REPLAYED", "jana", "APPLIED")]


def test_readings_of_days_that_have_no_partition_yet_are_applied():
    long_ago = AT - timedelta(days=200)
    unknown_then_known(realtime(UUID, at=long_ago), meter(UUID, at=long_ago))

    done = again()

    assert outcomes(done) == ["APPLIED", "APPLIED"]
    assert (TelemetryReading.objects.count(), MeterReading.objects.count()) == (1, 1)


def test_readings_older_than_the_history_stay_refused():
    unknown_then_known(realtime(UUID, at=AT - timedelta(days=RETENTION_DAYS + 1)))

    done = again()

    assert [(one.outcome, one.reason, one.path) for one in done] == [
        (ReplayOutcome.DEAD_AGAIN, "TOO_OLD", "timestamp")
    ]
    assert TelemetryReading.objects.count() == 0


def test_a_replayed_reading_does_not_replace_the_newer_state():
    plant = unknown_then_known(realtime(UUID, gridPowerKw=1.0))
    hear(plant.connection, realtime(plant, at=AT + seconds(30), gridPowerKw=9.0), at=LATER)

    again()

    plant.state.refresh_from_db()
    assert plant.state.grid_power_kw == 9.0
    assert TelemetryReading.objects.count() == 2


def test_a_letter_whose_message_came_again_and_was_applied_is_a_duplicate_and_settled():
    message = alarm(UUID)
    plant = unknown_then_known(message)
    hear(plant.connection, message)

    done = again()

    assert outcomes(done) == ["DUPLICATE"]
    assert letter().state == "REPLAYED"
    assert InboundMessage.objects.count() == 1


def test_a_letter_that_fails_again_stays_open_with_the_new_reason_and_counts_no_more():
    hear(factories.connection(), alarm(UUID))
    DeadLetter.objects.update(reason="NOT_READABLE", path="old", detail="old")

    done = again()

    assert [(one.outcome.value, one.reason, one.path) for one in done] == [
        ("DEAD_AGAIN", "UNKNOWN_SITE", "siteId")
    ]
    assert (letter().state, letter().count, letter().last_at) == ("OPEN", 1, AT)
    assert (letter().reason, letter().path, letter().detail) == ("UNKNOWN_SITE", "siteId", UUID)
    assert journal(letter()) == [("REPLAYED", "jana", "dead again: UNKNOWN_SITE siteId")]


def test_bytes_that_are_no_message_are_dead_again_and_do_not_stop_the_next_letter():
    link = factories.connection()
    hear(link, delivery(b"nonsense"))
    hear(link, alarm(UUID))
    factories.plant(on=link, voke_uuid=UUID)

    done = again()

    assert outcomes(done) == ["DEAD_AGAIN", "APPLIED"]
    assert Alarm.objects.count() == 1


def test_a_message_that_the_database_refuses_again_is_dead_again_and_nothing_of_it_is_kept():
    message = alarm(UUID)
    unknown_then_known(message)
    poison(message)

    done = again()

    assert [(one.outcome.value, one.reason) for one in done] == [("DEAD_AGAIN", "NOT_APPLICABLE")]
    assert letter().detail.startswith("IntegrityError")
    assert InboundMessage.objects.count() == 0


def failing_with(error, *, times):
    """`apply_understood` that fails so many times before it works; and how often it was asked."""
    asked = []

    def apply(parsed, *, inlet, at):
        asked.append(at)
        if len(asked) <= times:
            raise error
        return apply_understood(parsed, inlet=inlet, at=at)

    return apply, asked


def database_error(kind, sqlstate):
    error = kind("as the database says it")
    error.__cause__ = ServerSaid(sqlstate)
    return error


class ServerSaid(Exception):
    def __init__(self, sqlstate):
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("kind", "sqlstate", "times", "outcome", "asked"),
    [
        (OperationalError, "40P01", 2, "APPLIED", 3),
        (IntegrityError, "23514", 1, "APPLIED", 2),
        (IntegrityError, "23514", 9, "DEAD_AGAIN", 2),
        (OperationalError, "57014", 9, "DEAD_AGAIN", 1),
    ],
)
def test_what_a_rival_caused_is_tried_again_and_has_an_end(
    monkeypatch, kind, sqlstate, times, outcome, asked
):
    unknown_then_known(alarm(UUID))
    apply, calls = failing_with(database_error(kind, sqlstate), times=times)
    monkeypatch.setattr("link.replay.apply_understood", apply)

    assert outcomes(again()) == [outcome]
    assert len(calls) == asked


@pytest.mark.parametrize(
    ("sqlstate", "why"),
    [
        ("57P01", ""),
        ("25006", ""),
        ("53100", ""),
        ("40P01", ""),
        ("55P03", ""),
        ("57014", "a table is locked"),
    ],
    ids=["away", "read-only", "disk full", "always a deadlock", "always a lock", "slow as a whole"],
)
def test_what_the_database_refuses_is_no_fault_of_the_letter_and_nothing_is_decided(
    monkeypatch, sqlstate, why
):
    unknown_then_known(alarm(UUID))
    apply, _ = failing_with(database_error(OperationalError, sqlstate), times=9)
    monkeypatch.setattr("link.replay.apply_understood", apply)
    monkeypatch.setattr("link.replay.slow_as_a_whole", lambda *, connection_id: why)

    with pytest.raises(OperationalError):
        again()
    assert (letter().state, journal(letter())) == ("OPEN", [])


def test_a_second_replay_does_nothing_and_journals_nothing():
    unknown_then_known(alarm(UUID))
    again()

    assert outcomes(again()) == ["SETTLED"]
    assert len(journal(letter())) == 1


def test_a_letter_that_somebody_settles_while_it_is_replayed_is_left_to_them(monkeypatch):
    unknown_then_known(mode_event(UUID, "PEAK_SHAVING"))

    def settled_meanwhile(message, *, routing_prefix):
        DeadLetter.objects.update(state="REPLAYED")
        return parse(message, routing_prefix=routing_prefix)

    monkeypatch.setattr("link.replay.parse", settled_meanwhile)

    done = again()

    assert outcomes(done) == ["SETTLED"]
    assert (InboundMessage.objects.count(), PlantState.objects.filter(mode="PEAK_SHAVING").count()) == (0, 0)
    assert journal(letter()) == []


def test_a_discarded_letter_can_still_be_replayed_when_discarding_was_a_mistake():
    unknown_then_known(alarm(UUID))
    discard(letter_ids=[letter().pk], actor="petr", note="not ours", at=AT)

    assert outcomes(again()) == ["APPLIED"]
    assert letter().state == "REPLAYED"


def test_of_a_letter_that_was_too_large_only_the_first_bytes_are_there_and_it_says_so():
    too_large = Letter(
        queue="q", routing_key="acme.event.alarm", headers={}, body=b"{", reason=TOO_LARGE, path="", detail=""
    )
    store_dead_letter(connection_id=factories.connection().pk, letter=too_large, at=AT)

    assert outcomes(again()) == ["NOT_WHOLE"]
    assert (letter().state, journal(letter())) == ("OPEN", [])


def test_a_letter_that_is_gone_is_missing():
    done = replay(letter_ids=[10**9], actor="jana", at=AT, retention_days=RETENTION_DAYS)

    assert outcomes(done) == ["MISSING"]


def test_a_replay_is_bounded():
    with pytest.raises(Invalid) as refused:
        replay(letter_ids=range(MOST_REPLAYED + 1), actor="jana", at=AT, retention_days=RETENTION_DAYS)

    assert (refused.value.code, refused.value.path) == ("TOO_MANY", "letter_ids")


def test_a_settled_letter_that_arrives_again_is_open_again():
    link = factories.connection()
    hear(link, delivery(b"nonsense"))
    discard(letter_ids=[letter().pk], actor="jana", note="noise", at=AT)

    hear(link, delivery(b"nonsense"), at=LATER)

    assert (letter().state, letter().count) == ("OPEN", 2)


def test_a_key_that_does_not_decrypt_does_not_stand_in_the_way():
    plant = unknown_then_known(alarm(UUID))
    factories.make_undecryptable(plant.connection, "amqps_uri", "api_key", "signing_key")

    assert outcomes(again()) == ["APPLIED"]


# --- discard ----------------------------------------------------------------------------------------------------------


def test_open_letters_are_discarded_with_a_note_once():
    link = factories.connection()
    hear(link, delivery(b"one"), delivery(b"two"))
    ids = [one.pk for one in DeadLetter.objects.all()]

    first = discard(letter_ids=ids, actor="jana", note="  test bench  ", at=AT)
    second = discard(letter_ids=ids, actor="petr", note="again", at=AT)

    assert (sorted(first), second) == (sorted(ids), [])
    assert {one.state for one in DeadLetter.objects.all()} == {"DISCARDED"}
    assert [(one.actor, one.note) for one in DeadLetterEvent.objects.all()] == [("jana", "test bench")] * 2


@pytest.mark.parametrize("note", ["", "  \n", "x" * 501])
def test_without_a_fitting_note_nothing_is_discarded(note):
    hear(factories.connection(), delivery(b"one"))

    with pytest.raises(Invalid) as refused:
        discard(letter_ids=[letter().pk], actor="jana", note=note, at=AT)

    assert refused.value.path == "note"
    assert letter().state == "OPEN"


def test_a_note_that_no_database_takes_as_it_is_is_kept_readable():
    hear(factories.connection(), delivery(b"one"))

    discard(letter_ids=[letter().pk], actor="j\0", note="a\0b\ud800", at=AT)

    assert journal(letter())[0][0] == "DISCARDED"


def test_discarding_is_bounded():
    with pytest.raises(Invalid) as refused:
        discard(letter_ids=range(MOST_DISCARDED + 1), actor="jana", note="x", at=AT)

    assert refused.value.code == "TOO_MANY"


# --- how long letters are kept ----------------------------------------------------------------------------------------


def test_settled_letters_are_forgotten_sooner_than_open_ones():
    link = factories.connection()
    hear(link, delivery(b"open"), delivery(b"settled"))
    settled = DeadLetter.objects.get(body=b"settled")
    discard(letter_ids=[settled.pk], actor="jana", note="noise", at=AT)
    after = AT + SETTLED_KEPT_FOR + seconds(1)

    assert prune_dead_letters(at=after) == 1
    assert [bytes(one.body) for one in DeadLetter.objects.all()] == [b"open"]
    assert prune_dead_letters(at=AT + OPEN_KEPT_FOR + seconds(1)) == 1


def test_an_old_letter_that_was_settled_lately_stays_for_a_while():
    hear(factories.connection(), delivery(b"old"))
    discard(letter_ids=[letter().pk], actor="jana", note="noise", at=AT + SETTLED_KEPT_FOR)

    assert prune_dead_letters(at=AT + SETTLED_KEPT_FOR + seconds(1)) == 0


def test_of_too_many_letters_settled_ones_go_before_open_ones():
    link = factories.connection()
    hear(link, delivery(b"old and open"), at=AT)
    hear(link, delivery(b"young and settled"), at=LATER)
    young = DeadLetter.objects.get(last_at=LATER)
    discard(letter_ids=[young.pk], actor="jana", note="noise", at=LATER)

    prune_dead_letters(at=LATER, keep=1)

    assert [bytes(one.body) for one in DeadLetter.objects.all()] == [b"old and open"]


def test_letters_are_locked_only_after_what_live_traffic_locks_first():
    """A letter locked first would wait for a batch that waits for the letter."""
    unknown_then_known(mode_event(UUID, "STANDARD"))
    statements: list[str] = []

    def listen(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(listen), transaction.atomic():
        again()

    def first(*words):
        return next(n for n, sql in enumerate(statements) if all(word in sql for word in words))

    if connection.vendor == "postgresql":
        locked = first("plants_deadletter", "FOR UPDATE")
        assert first("plants_plantstate") < first("INSERT INTO", "plants_inboundmessage") < locked
