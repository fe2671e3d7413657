"""Dead-man alarms over a real database: what stays away becomes an alarm of its plant, connection, organisation or the
installation, once, and is cleared by itself; the cost does not grow with the plants."""

from datetime import timedelta

import pytest

from dispatch.models import Command, OutboundMessage
from esm.ticks import PERIODS, run_tick
from plants.models import Alarm, AlarmChange, LinkHealth, LinkState, MeterReading, StreamHealth
from plants.services.dead_letters import Letter, store_dead_letters
from plants.services.partitions import ensure_partitions
from tests import factories
from tests.dispatch.helpers import ask, deliver, mode
from tests.factories import AT
from tests.queries import queries_of
from tests.watch.worlds import LIMITS
from trading_api.models import Credential, PullJournal
from watch.models import MeterWatch, Suspicion, TickRun
from watch.services.deadman import watch_all

pytestmark = pytest.mark.django_db
PERIOD = timedelta(seconds=30)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def note_ticks(at):
    if TickRun.objects.update(finished_at=at) < len(PERIODS):
        rows = [TickRun(name=name, since=AT, finished_at=at) for name in PERIODS]
        TickRun.objects.bulk_create(rows, ignore_conflicts=True)


def connected(row, *, at, role=LinkHealth.Role.CONSUME, state=LinkState.CONNECTED, code=""):
    said = {"state": state, "since": AT, "seen_at": at, "error_code": code}
    LinkHealth.objects.update_or_create(connection=row, role=role, holder="here", defaults=said)


def healthy(*rows, at):
    """Both halves of the links report, realtime arrives, ticks run: nothing of the rest is wrong."""
    note_ticks(at)
    for row in rows:
        for role in LinkHealth.Role:
            connected(row, at=at, role=role)
        StreamHealth.objects.update_or_create(
            connection=row, stream="REALTIME", defaults={"last_at": at, "last_sent_at": at}
        )


def look(at, *rows, limits=LIMITS):
    """One evaluation while everything else is well."""
    healthy(*rows, at=at)
    return watch_all(periods=PERIODS, at=at, limits=limits)


def looks(begin, span, *rows):
    """Evaluations every 30 s over a span of time; the instant of the last."""
    at = begin
    while at < begin + span:
        at += PERIOD
        look(at, *rows)
    return at


def open_codes():
    return sorted(Alarm.objects.filter(cleared_at__isnull=True).values_list("code", flat=True))


def news():
    return [(row.word, row.alarm.code) for row in AlarmChange.objects.select_related("alarm")]


def test_a_fresh_installation_raises_nothing():
    for second in range(0, 300, 30):
        note_ticks(AT + timedelta(seconds=second))
        watch_all(periods=PERIODS, at=AT + timedelta(seconds=second), limits=LIMITS)

    assert not Alarm.objects.exists()
    assert not Suspicion.objects.exists()


def test_an_installation_that_runs_well_raises_nothing():
    plant = factories.plant()
    command = ask(plant, mode())
    deliver(plant.connection)
    Command.objects.filter(pk=command.pk).update(state="COMPLETED")
    OutboundMessage.objects.filter(outcome="PENDING").update(outcome="CONFIRMED", outcome_at=AT)

    looks(AT, minutes(10), plant.connection)

    assert open_codes() == []


# --- the link ---------------------------------------------------------------------------------------------------------


def test_a_refused_link_is_one_alarm_after_its_grace_and_is_cleared_after_the_quiet_time():
    row = factories.connection()

    def turn(seconds, state):
        at = AT + timedelta(seconds=seconds)
        note_ticks(at)
        for role in LinkHealth.Role:
            connected(row, at=at, role=role, state=state, code="REFUSED_CREDENTIALS")
        watch_all(periods=PERIODS, at=at, limits=LIMITS)
        return open_codes()

    during = [turn(second, LinkState.REFUSED) for second in (0, 60, 119, 120, 135)]
    after = [turn(second, LinkState.CONNECTED) for second in (150, 165, 194, 195)]

    assert during == [[], [], [], ["LINK_REFUSED"], ["LINK_REFUSED"]]
    assert after == [["LINK_REFUSED"]] * 3 + [[]]
    assert news() == [("RAISED", "LINK_REFUSED"), ("CLEARED", "LINK_REFUSED")]
    alarm = Alarm.objects.get()
    assert (alarm.connection, alarm.plant, alarm.origin) == (row, None, "PLATFORM")


def test_a_connection_that_no_process_serves_is_down():
    factories.connection()
    for seconds in range(0, 150, 15):
        note_ticks(AT + timedelta(seconds=seconds))
        watch_all(periods=PERIODS, at=AT + timedelta(seconds=seconds), limits=LIMITS)

    assert open_codes() == ["LINK_DOWN"]
    assert "no process serves it" in Alarm.objects.get().message


def test_an_alarm_that_comes_back_is_raised_anew_under_the_same_id():
    row = factories.connection()
    StreamHealth.objects.create(connection=row, stream="METER", last_at=AT, last_sent_at=AT, skew_ms=40_000)
    at = looks(AT, minutes(2), row)
    StreamHealth.objects.update(skew_ms=0)
    at = looks(at, minutes(2), row)
    StreamHealth.objects.update(skew_ms=40_000)
    at = looks(at, minutes(2), row)

    assert news() == [("RAISED", "CLOCK_SKEW"), ("CLEARED", "CLOCK_SKEW"), ("RAISED", "CLOCK_SKEW")]
    alarm = Alarm.objects.get()
    assert alarm.cleared_at is None
    assert alarm.raised_at > AT + minutes(4)


# --- commands ---------------------------------------------------------------------------------------------------------


def sent_without_answer(plant, number):
    for _ in range(number):
        ask(plant, mode())
    deliver(plant.connection)
    OutboundMessage.objects.filter(outcome="PENDING").delete()


def test_commands_that_nobody_answers_are_an_alarm_of_their_connection_alone():
    silent, answering = factories.plant(), factories.plant()
    sent_without_answer(silent, 3)
    sent_without_answer(answering, 4)
    answered = Command.objects.filter(plant=answering).order_by("pk").first()
    Command.objects.filter(pk=answered.pk).update(state="ACCEPTED")

    at = looks(AT, minutes(3), silent.connection, answering.connection)

    assert open_codes() == ["NO_ACK"]
    assert Alarm.objects.get().connection == silent.connection

    Command.objects.filter(plant=silent).update(state="REJECTED")
    looks(at, minutes(2), silent.connection, answering.connection)
    assert open_codes() == []


def test_two_commands_without_an_answer_are_not_enough():
    plant = factories.plant()
    sent_without_answer(plant, 2)

    looks(AT, minutes(5), plant.connection)

    assert open_codes() == []


def test_what_waits_unpublished_is_an_alarm_unless_dispatch_is_off():
    waiting, switched_off = factories.plant(), factories.plant()
    for plant in (waiting, switched_off):
        ask(plant, mode())
    OutboundMessage.objects.filter(command__isnull=True).delete()
    type(switched_off).objects.filter(pk=switched_off.pk).update(dispatch_enabled=False)

    looks(AT, minutes(2), waiting.connection, switched_off.connection)

    assert open_codes() == ["OUTBOX_OLD"]
    assert Alarm.objects.get().connection == waiting.connection


# --- what should arrive -----------------------------------------------------------------------------------------------


def meter_row(plant, *, at, device="M1"):
    ensure_partitions(days=[at.date()])
    MeterReading.objects.create(
        plant=plant, device_id=device, reading_at=at, received_at=at, data_quality="GOOD", quality_rank=3
    )


def test_a_plant_whose_meter_rows_stop_is_an_alarm_of_the_plant_until_one_arrives():
    row = factories.connection()
    stopped, goes_on, never = (factories.plant(on=row) for _ in range(3))
    OutboundMessage.objects.all().delete()
    meter_row(stopped, at=AT)
    for minute in range(0, 40, 5):
        meter_row(goes_on, at=AT + minutes(minute))

    look(AT + minutes(1), row)
    at = looks(AT + minutes(14), minutes(5), row)

    alarm = Alarm.objects.get()
    assert (alarm.code, alarm.plant, alarm.connection) == ("NO_METER_ROW", stopped, row)
    assert not MeterWatch.objects.filter(plant=never).exists()

    meter_row(stopped, at=at)
    looks(at, minutes(2), row)
    assert open_codes() == []


def test_a_connection_that_brings_no_meter_row_at_all_is_one_alarm():
    row = factories.connection()
    for _ in range(8):
        meter_row(factories.plant(on=row), at=AT)
    OutboundMessage.objects.all().delete()

    look(AT + minutes(1), row)
    looks(AT + minutes(15), minutes(3), row)

    alarm = Alarm.objects.get()
    assert (alarm.code, alarm.severity, alarm.plant) == ("NO_METER_ROW", "ERROR", None)


def test_a_plant_that_is_deleted_leaves_its_rows_behind_without_harm():
    row = factories.connection()
    gone, stays = factories.plant(on=row), factories.plant(on=row)
    OutboundMessage.objects.all().delete()
    meter_row(gone, at=AT)
    meter_row(stays, at=AT)
    MeterReading.objects.filter(plant=gone).update(plant_id=gone.pk + 1000)

    look(AT + minutes(1), row)

    assert set(MeterWatch.objects.values_list("plant_id", flat=True)) == {stays.pk}


def test_dead_letters_that_grow_are_an_alarm_and_a_few_are_none():
    many, few = factories.connection(), factories.connection()

    def letters(row, number):
        made = [
            Letter(queue="q", routing_key="k", headers={}, body=b"%d" % n, reason="R", path="", detail="")
            for n in range(number)
        ]
        store_dead_letters(connection_id=row.pk, letters=made, at=AT)

    letters(many, 11)
    letters(few, 10)

    at = looks(AT, minutes(1), many, few)
    assert [(alarm.code, alarm.connection) for alarm in Alarm.objects.all()] == [
        ("DEAD_LETTERS_GROWING", many)
    ]

    looks(at, minutes(12), many, few)
    assert open_codes() == []


def test_an_organisation_that_voke_no_longer_pulls_is_an_alarm_of_the_organisation():
    pulled, unpulled = factories.organisation(), factories.organisation()
    for owner in (pulled, unpulled, factories.organisation()):
        last = AT + minutes(119) if owner == pulled else AT
        PullJournal.objects.create(
            at=last, organisation=owner, request_id="r", endpoint="list", method="GET", status=200, latency_ms=1,
            bytes_in=0, bytes_out=0,
        )  # fmt: skip
    for owner, enabled in ((pulled, True), (unpulled, True)):
        Credential.objects.create(
            organisation=owner, client_id=f"c{owner.pk}", secret_hash="x", pepper_version="p1", enabled=enabled,
            created_at=AT,
        )  # fmt: skip

    looks(AT + minutes(120), minutes(3))

    alarm = Alarm.objects.get()
    assert (alarm.code, alarm.organisation, alarm.connection) == ("NO_PULL", unpulled, None)


def test_a_refused_pull_is_no_pull():
    owner = factories.organisation()
    Credential.objects.create(
        organisation=owner, client_id="c", secret_hash="x", pepper_version="p1", created_at=AT
    )
    for minute, status in ((0, 200), (119, 401), (120, 500)):
        PullJournal.objects.create(
            at=AT + minutes(minute), organisation=owner, request_id="r", endpoint="list", method="GET", status=status,
            latency_ms=1, bytes_in=0, bytes_out=0,
        )  # fmt: skip

    looks(AT + minutes(120), minutes(3))

    assert open_codes() == ["NO_PULL"]


# --- ourselves --------------------------------------------------------------------------------------------------------


def test_a_tick_that_stays_away_is_an_alarm_of_the_installation_and_ends_when_it_runs():
    def turn(at, name_that_stays_away):
        note_ticks(at)
        TickRun.objects.filter(name=name_that_stays_away).update(finished_at=AT)
        watch_all(periods=PERIODS, at=at, limits=LIMITS)

    for seconds in (15, 30, 45):
        turn(AT + timedelta(seconds=seconds), "queue_due")

    alarm = Alarm.objects.get()
    assert (alarm.code, alarm.organisation, alarm.connection) == ("TICK_OVERDUE", None, None)
    assert "queue_due" in alarm.message

    looks(AT + timedelta(seconds=45), minutes(2))
    assert open_codes() == []


def test_a_platform_that_stood_still_judges_its_ticks_from_its_return():
    note_ticks(AT)
    night = AT + timedelta(hours=9)

    watch_all(periods=PERIODS, at=night, limits=LIMITS)
    watch_all(periods=PERIODS, at=night + PERIOD, limits=LIMITS)

    assert open_codes() == []


def test_a_tick_that_is_no_more_is_forgotten():
    TickRun.objects.create(name="of an older version", since=AT)

    look(AT)

    assert not TickRun.objects.filter(name="of an older version").exists()


def test_each_run_of_a_tick_is_counted_and_a_failure_keeps_the_last_good_end(monkeypatch):
    run_tick("queue_due", at=AT)
    good = TickRun.objects.get(name="queue_due")

    def broken(*, at):
        raise ZeroDivisionError("private words")

    monkeypatch.setattr("esm.ticks.queue_due", broken)
    with pytest.raises(ZeroDivisionError):
        run_tick("queue_due", at=AT + minutes(1))

    row = TickRun.objects.get(name="queue_due")
    assert (good.ok, good.runs, good.failures) == (True, 1, 0)
    assert (row.ok, row.runs, row.failures, row.error_code) == (False, 2, 1, "ZeroDivisionError")
    assert (row.finished_at, row.started_at) == (good.finished_at, AT + minutes(1))


def test_the_cost_of_an_evaluation_does_not_grow_with_connections_or_plants():
    def costs(at):
        return queries_of(lambda: watch_all(periods=PERIODS, at=at, limits=LIMITS))

    first = factories.plant()
    OutboundMessage.objects.all().delete()
    meter_row(first, at=AT)
    healthy(first.connection, at=AT)
    watch_all(periods=PERIODS, at=AT, limits=LIMITS)
    few = costs(AT + timedelta(seconds=1))

    more = [factories.plant() for _ in range(5)]
    OutboundMessage.objects.all().delete()
    for plant in more:
        meter_row(plant, at=AT)
    healthy(first.connection, *(plant.connection for plant in more), at=AT + timedelta(seconds=2))
    many = costs(AT + timedelta(seconds=2))

    assert (few, many) == (17, 17)
