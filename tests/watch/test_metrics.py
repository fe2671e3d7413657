"""What the database tells of the platform in Prometheus' terms: right numbers, bounded questions, harmless labels."""

import uuid
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from prometheus_client import generate_latest

from dispatch.models import Outcome
from metering.models import RollupDue, Stream
from plants.models import Alarm, LinkHealth, LinkState, StreamHealth
from plants.services.dead_letters import Letter, store_dead_letters
from tests import factories
from tests.dispatch.helpers import ask, broker_says, claims, mode, setpoint, stop_now
from tests.dispatch.silences import LATER, explained, silent_command
from tests.factories import AT
from tests.link.helpers import ack, execution, hear
from tests.queries import queries_of
from trading_api.models import Credential, PullJournal
from watch import metrics
from watch.metrics import PARTS, DatabaseCollector
from watch.metrics_steps import step_seconds
from watch.models import Notification, NotificationChannel, TickRun
from watch.services.ticks import note_tick

pytestmark = pytest.mark.django_db


def seconds(count):
    return timedelta(seconds=count)


def told(part, *, at=AT):
    """{(name, label values): value} of one part."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in PARTS[part](at)
        for sample in family.samples
    }


def page(*, at=AT, parts=PARTS):
    return generate_latest(DatabaseCollector(clock=lambda: at, parts=parts)).decode()


def letter(body):
    return Letter(
        queue="q", routing_key="acme.secret.key", headers={}, body=body, reason="BAD_JSON", path="", detail=""
    )


def where(link):
    return link.name, str(link.pk)


# --- each part --------------------------------------------------------------------------------------------------------


def test_the_state_of_each_half_and_of_the_whole_link_is_told_with_its_age():
    link = factories.connection()
    facts = {"holder": "here", "since": AT - seconds(90), "seen_at": AT}
    LinkHealth.objects.create(connection=link, role="PUBLISH", state=LinkState.CONNECTED, **facts)
    facts |= {"error_code": "REFUSED_VHOST"}
    LinkHealth.objects.create(connection=link, role="CONSUME", state=LinkState.REFUSED, **facts)

    numbers = told("links")

    def state(role, word):
        return numbers["esm_link_state", *where(link), role, word]

    assert state("PUBLISH", "CONNECTED") == 1
    assert state("CONSUME", "REFUSED") == state("ANY", "REFUSED") == 1
    assert state("CONSUME", "CONNECTED") == state("ANY", "DOWN") == 0
    assert numbers["esm_link_state_age_seconds", *where(link), "CONSUME"] == 90
    assert numbers["esm_link_processes", *where(link), "PUBLISH"] == 1
    assert numbers["esm_connection_info", *where(link), link.organisation.slug, "ACTIVE"] == 1


def test_streams_tell_the_age_of_their_last_message_and_their_skew():
    link = factories.connection()
    StreamHealth.objects.create(
        connection=link, stream="REALTIME", last_at=AT - seconds(7), last_sent_at=AT - seconds(9), skew_ms=-2500
    )  # fmt: skip

    numbers = told("links")

    assert numbers["esm_stream_last_message_age_seconds", *where(link), "REALTIME"] == 7
    assert numbers["esm_stream_clock_skew_seconds", *where(link), "REALTIME"] == -2.5
    assert ("esm_stream_last_message_age_seconds", *where(link), "METER") not in numbers


def test_the_outbox_tells_how_many_wait_and_since_when():
    plant, idle = factories.plant(), factories.connection()
    ask(plant, mode(), at=AT - seconds(40))
    ask(plant, mode(), at=AT - seconds(3))

    numbers = told("outbox")

    assert numbers["esm_outbox_messages", *where(plant.connection)] == 2
    assert numbers["esm_outbox_oldest_age_seconds", *where(plant.connection)] == 40
    assert numbers["esm_outbox_messages", *where(idle)] == 0
    assert numbers["esm_outbox_oldest_age_seconds", *where(idle)] == 0


def test_rollups_tell_how_many_quarter_hours_wait_and_how_old_the_oldest_is():
    plant = factories.plant()
    for minutes in (15, 30, 45):  # the first is still within its grace
        RollupDue.objects.create(
            stream=Stream.REALTIME, plant=plant, start_at=AT - timedelta(minutes=minutes, seconds=10)
        )

    numbers = told("rollups")

    assert numbers["esm_rollup_due_quarters", "REALTIME"] == 2
    assert numbers["esm_rollup_oldest_age_seconds", "REALTIME"] == 30 * 60 + 10 - 60
    assert (
        numbers["esm_rollup_due_quarters", "METER"] == numbers["esm_rollup_oldest_age_seconds", "METER"] == 0
    )


def test_open_dead_letters_are_counted_by_reason_and_settled_ones_are_not():
    link = factories.connection()
    bad = [letter(bytes([n])) for n in range(3)]
    store_dead_letters(connection_id=link.pk, letters=bad, at=AT)
    store_dead_letters(connection_id=link.pk, letters=bad[:1], at=AT)
    link.dead_letters.filter(body=bytes([2])).update(state="DISCARDED")

    numbers = told("letters")

    assert numbers["esm_dead_letters_open", *where(link), "BAD_JSON"] == 2
    assert numbers["esm_dead_letters_open_deliveries", *where(link), "BAD_JSON"] == 3


def test_commands_are_counted_by_connection_and_state_and_latched_plants_are_told():
    link = factories.connection()
    first, second = factories.plant(on=link), factories.plant(on=link)
    ask(first, mode())
    ask(first, setpoint())
    ask(second, stop_now())

    numbers = told("commands")

    assert numbers["esm_commands", *where(link), "QUEUED"] == 3
    assert numbers["esm_plants_latched",] == 1


def test_silences_of_the_last_day_are_counted_by_what_explains_them():
    explained(silent_command(plant=factories.plant(on=factories.connection(rest_base_url=""))))
    silent_command()

    numbers = told("diagnoses", at=LATER)

    assert (numbers["esm_recent_diagnoses", "UNDECIDED"], numbers["esm_recent_diagnoses", "OPEN"]) == (1, 1)
    assert numbers["esm_recent_diagnoses", "RETURNED"] == 0
    assert told("diagnoses", at=LATER + timedelta(days=2))["esm_recent_diagnoses", "UNDECIDED"] == 0


def test_only_the_newest_commands_are_looked_at(monkeypatch):
    monkeypatch.setattr(metrics, "NEWEST_COMMANDS", 2)
    plant = factories.plant()
    for _ in range(5):
        ask(plant, mode())

    assert told("commands")["esm_commands", *where(plant.connection), "QUEUED"] == 2


def test_steps_are_measured_from_asking_to_execution():
    plant = factories.plant()
    command = ask(plant, mode(), at=AT)
    claimed = claims(plant.connection, at=AT + seconds(1))
    broker_says(Outcome.CONFIRMED, *claimed, at=AT + seconds(2))
    message = command.messages.get()
    hear(plant.connection, ack("ACCEPTED", plant, message.correlation_id), at=AT + seconds(5))
    hear(plant.connection, execution("EXECUTING", plant, message.correlation_id), at=AT + seconds(15))

    steps = {step.name: (step.count, step.quantiles.get("1")) for step in step_seconds(at=AT + seconds(20))}

    assert steps == {
        "asked_to_signed": (1, 0.0),
        "signed_to_sent": (1, 2.0),
        "sent_to_ack": (1, 3.0),
        "ack_to_execution": (1, 10.0),
    }


def test_steps_of_long_ago_are_not_told_any_more():
    plant = factories.plant()
    ask(plant, mode(), at=AT)
    broker_says(Outcome.CONFIRMED, *claims(plant.connection, at=AT), at=AT)

    assert [step.count for step in step_seconds(at=AT + timedelta(hours=1))] == [0, 0, 0, 0]


def test_pulls_of_the_last_minutes_are_counted_by_endpoint_and_status():
    owner = factories.organisation()
    known = {"client_id": "c", "secret_hash": "x", "pepper_version": "p1", "created_at": AT}
    Credential.objects.create(organisation=owner, last_token_at=AT - seconds(30), **known)
    facts = {"endpoint": "list", "latency_ms": 1, "bytes_in": 0, "bytes_out": 0, "method": "GET"}
    PullJournal.objects.create(at=AT - timedelta(hours=1), status=200, **facts)
    PullJournal.objects.create(at=AT - seconds(5), status=200, **facts)
    PullJournal.objects.create(at=AT - seconds(5), status=401, count=40, **facts)

    numbers = told("pulls")

    assert numbers["esm_recent_pulls", "list", "200"] == 1
    assert numbers["esm_recent_pulls", "list", "401"] == 40
    assert numbers["esm_last_token_age_seconds", owner.slug] == 30


def test_alarms_of_a_severity_that_is_not_known_make_no_label_of_their_own():
    facts = {"code": "X", "raised_at": AT, "told_at": AT, "received_at": AT}
    Alarm.objects.create(alarm_id="1", severity="CRITICAL", **facts)
    Alarm.objects.create(alarm_id="2", severity="whatever Voke\nsays", **facts)
    Alarm.objects.create(alarm_id="3", severity="ERROR", cleared_at=AT, **facts)

    assert told("alarms") == {
        ("esm_alarms_open", "VOKE", "CRITICAL"): 1,
        ("esm_alarms_open", "VOKE", "OTHER"): 1,
    }


def test_ticks_tell_runs_failures_duration_and_age():
    note_tick(name="queue_due", started_at=AT - seconds(10), duration_s=0.5)
    note_tick(name="queue_due", started_at=AT - seconds(2), duration_s=0.25, error=ValueError())
    TickRun.objects.create(name="never", since=AT - seconds(99))

    numbers = told("ticks")

    assert numbers["esm_tick_runs_total", "queue_due"] == 2
    assert numbers["esm_tick_failures_total", "queue_due"] == 1
    assert numbers["esm_tick_last_duration_seconds", "queue_due"] == 0.25
    assert numbers["esm_tick_age_seconds", "queue_due"] == 9.5
    assert numbers["esm_tick_age_seconds", "never"] == 99


def test_notifications_of_the_last_day_are_counted_by_state():
    channel = NotificationChannel.objects.create(name="n", kind="EMAIL", created_at=AT)
    facts = {
        "channel": channel,
        "event": "RAISED",
        "severity": "ERROR",
        "rank": 2,
        "code": "X",
        "content": {},
    }
    Notification.objects.create(uid=uuid.UUID(int=1), state="FAILED", made_at=AT, **facts)
    long_ago = AT - timedelta(days=2)
    Notification.objects.create(uid=uuid.UUID(int=2), state="SENT", made_at=long_ago, **facts)

    assert told("notifications") == {("esm_recent_notifications", "FAILED"): 1}


# --- the collector ----------------------------------------------------------------------------------------------------


def test_a_part_that_fails_is_told_and_takes_no_other_with_it():
    def broken(_at):
        raise OperationalError("password wrong for esm at db.internal")

    text = page(parts={"broken": broken, "ticks": PARTS["ticks"]})

    assert 'esm_database_part_up{part="broken"} 0.0' in text
    assert 'esm_database_part_up{part="ticks"} 1.0' in text
    assert "db.internal" not in text


def test_with_the_database_away_one_question_is_asked_and_no_more(monkeypatch):
    def gone(*, wait_s):
        assert wait_s <= 2
        raise OperationalError("no route to esm:pw@db.internal")

    monkeypatch.setattr(metrics, "ask_database", gone)
    asked = []
    text = page(parts={"one": lambda _at: asked.append(1) or (), "ticks": PARTS["ticks"]})

    assert asked == []
    assert 'esm_database_part_up{part="ticks"} 0.0' in text
    assert "db.internal" not in text


def test_what_was_gathered_is_kept_for_a_moment_and_then_gathered_anew():
    asked = []
    now = [100.0]

    def part(at):
        asked.append(at)
        return ()

    collector = DatabaseCollector(clock=lambda: AT, parts={"one": part}, keep_s=5, monotonic=lambda: now[0])
    for later in (0, 1, 3.9, 2):
        now[0] += later
        generate_latest(collector)

    assert len(asked) == 2


def test_when_the_parts_together_take_too_long_the_rest_is_left_out():
    now = [0.0]

    def slow(_at):
        now[0] += 3
        return ()

    collector = DatabaseCollector(
        clock=lambda: AT, parts={"a": slow, "b": slow, "c": slow}, monotonic=lambda: now[0]
    )
    text = generate_latest(collector).decode()

    assert [f'part_up{{part="{name}"}} 1.0' in text for name in "abc"] == [True, True, False]


@pytest.mark.postgresql
def test_a_statement_that_takes_too_long_is_cut_off(monkeypatch):
    monkeypatch.setattr(metrics, "STATEMENT_TIMEOUT_MS", 20)

    def slow(_at):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        return ()

    assert 'esm_database_part_up{part="slow"} 0.0' in page(parts={"slow": slow})


def test_the_number_of_questions_does_not_grow_with_connections_plants_or_commands():
    def world():
        link = factories.connection()
        for _ in range(2):
            ask(factories.plant(on=link), setpoint())

    world()
    few = queries_of(page)
    for _ in range(3):
        world()

    assert queries_of(page) == few
    assert few <= 61  # of them 33 begin, bound and end the eleven parts


def test_labels_name_no_plant_no_message_and_no_command():
    plant = factories.plant(external_plant_id="PLANT-OF-ACME", name="Depot of Acme")
    command = ask(plant, setpoint())
    message = command.messages.get()
    store_dead_letters(connection_id=plant.connection_id, letters=[letter(b"{}")], at=AT)

    text = page()

    for word in (
        "PLANT-OF-ACME",
        "Depot of Acme",
        str(plant.voke_uuid),
        str(message.message_id),
        "acme.secret.key",
    ):
        assert word not in text
