"""Link health: what processes said becomes one word per connection, with its code and since when."""

from datetime import timedelta

import pytest

from plants.models import Connection, ConnectionMode, LinkHealth, LinkState, StreamHealth
from plants.selectors.link_health import connection_health, tolerance_of, watched_connections
from plants.services.link_health import PRUNE_AFTER, StreamNote, note_link, note_streams, prune_link_health
from tests import factories
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
PUBLISH, CONSUME = LinkHealth.Role.PUBLISH, LinkHealth.Role.CONSUME
REALTIME, METER, STATUS = StreamHealth.Stream.REALTIME, StreamHealth.Stream.METER, StreamHealth.Stream.STATUS


def ago(seconds):
    return AT - timedelta(seconds=seconds)


def told(link, role, state, *, at=AT, since=None, holder="one", **words):
    note_link(connection_id=link.pk, role=role, state=state, at=since or at, holder=holder, **words)
    if since is not None:
        note_link(connection_id=link.pk, role=role, state=state, at=at, holder=holder)


def connected(link, *, since=None):
    for role in (PUBLISH, CONSUME):
        told(link, role, LinkState.CONNECTED, since=since)


def heard(link, stream, at, *, period_s=None, skew_ms=None):
    note = StreamNote(stream=stream, last_at=at, last_sent_at=at, period_s=period_s, skew_ms=skew_ms)
    note_streams(connection_id=link.pk, notes=[note])


def health(link, at=AT):
    return connection_health(connections=[Connection.objects.get(pk=link.pk)], at=at)[link.pk]


# --- halves -----------------------------------------------------------------------------------------------------------


def test_a_connection_is_connected_when_both_its_halves_are_since_the_later_of_them_began():
    link = factories.connection()
    connected(link, since=ago(600))

    found = health(link)

    assert (found.state, found.code, found.advice) == (LinkState.CONNECTED, "", None)
    assert (found.publish.since, found.consume.processes) == (ago(600), 1)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (LinkState.REFUSED, "REFUSED_VHOST"),
        (LinkState.DOWN, "HEARTBEAT_MISSED"),
        (LinkState.BLOCKED, "PUBLISHERS_BLOCKED"),
    ],
)
def test_a_connection_is_as_bad_as_its_worse_half_and_tells_code_and_advice(state, code):
    link = factories.connection()
    told(link, CONSUME, LinkState.CONNECTED)
    told(link, PUBLISH, state, since=ago(90), error="why it is so", error_code=code)

    found = health(link)

    assert (found.state, found.code, found.since) == (state, code, ago(90))
    assert found.publish.last_error == "why it is so"
    assert found.advice.action


def test_of_several_processes_the_one_that_is_best_off_speaks_for_the_half():
    link = factories.connection(mode=ConnectionMode.OBSERVE)
    told(link, CONSUME, LinkState.DOWN, holder="one", error="gone", error_code="LINK_DOWN")
    told(link, CONSUME, LinkState.CONNECTED, holder="two", since=ago(5))

    found = health(link)

    assert (found.state, found.consume.processes, found.consume.since) == (LinkState.CONNECTED, 2, ago(5))
    assert found.consume.last_error == "gone"


def test_a_blocking_broker_outweighs_an_idle_relay_that_was_not_told():
    link = factories.connection()
    told(link, CONSUME, LinkState.CONNECTED)
    told(link, PUBLISH, LinkState.CONNECTED, holder="idle")
    told(
        link,
        PUBLISH,
        LinkState.BLOCKED,
        holder="busy",
        error="low on memory",
        error_code="PUBLISHERS_BLOCKED",
    )

    assert (health(link).state, health(link).code) == (LinkState.BLOCKED, "PUBLISHERS_BLOCKED")


def test_words_that_nobody_renews_are_not_the_present():
    link = factories.connection(mode=ConnectionMode.OBSERVE)
    told(link, CONSUME, LinkState.CONNECTED, at=ago(31))

    found = health(link)

    assert (found.state, found.code, found.since) == (LinkState.DOWN, "NO_PROCESS", ago(31))


def test_a_connection_that_no_process_ever_served_is_down():
    assert (health(factories.connection()).code, health(factories.connection()).since) == ("NO_PROCESS", None)


def test_a_connection_that_observes_needs_no_publishing_half_and_a_retired_one_none():
    observing = factories.connection(mode=ConnectionMode.OBSERVE)
    told(observing, CONSUME, LinkState.CONNECTED)
    retired = factories.connection(retired_at=AT)

    assert health(observing).state is LinkState.CONNECTED
    assert [half.expected for half in (health(retired).publish, health(retired).consume)] == [False, False]
    assert list(watched_connections()) == [observing]


# --- streams ----------------------------------------------------------------------------------------------------------


def test_connected_and_nothing_ever_arrived_is_the_federation_trap():
    plant = factories.plant()
    connected(plant.connection, since=ago(36))

    found = health(plant.connection)

    assert (found.state, found.code, found.since) == (LinkState.SILENT, "NOTHING_EVER_ARRIVED", ago(36))
    assert "federation" in found.advice.action


def test_a_link_that_has_just_come_about_has_time_for_its_first_message():
    plant = factories.plant()
    connected(plant.connection, since=ago(tolerance_of(10.0)))
    heard(plant.connection, REALTIME, ago(3600))

    assert health(plant.connection).state is LinkState.CONNECTED


def test_a_connection_without_plants_is_never_silent():
    link = factories.connection()
    connected(link, since=ago(86_400))

    assert health(link).state is LinkState.CONNECTED


def test_a_link_that_is_down_is_down_and_not_silent():
    plant = factories.plant()
    told(plant.connection, PUBLISH, LinkState.CONNECTED)
    told(plant.connection, CONSUME, LinkState.DOWN, since=ago(600), error="gone", error_code="LINK_DOWN")

    assert health(plant.connection).state is LinkState.DOWN


@pytest.mark.parametrize(
    ("changes", "learnt", "seconds", "state"),
    [
        ({}, None, 35, LinkState.CONNECTED),
        ({}, None, 36, LinkState.SILENT),
        ({}, 2.0, 11, LinkState.CONNECTED),
        ({}, 2.0, 12, LinkState.SILENT),
        ({"realtime_period_s": 60.0}, 2.0, 185, LinkState.CONNECTED),
        ({"realtime_period_s": 60.0}, 2.0, 186, LinkState.SILENT),
    ],
    ids=["default", "default, late", "learnt", "learnt, late", "set", "set, late"],
)
def test_realtime_is_silent_after_three_expected_periods_and_a_margin(changes, learnt, seconds, state):
    plant = factories.plant(on=factories.connection(**changes))
    connected(plant.connection, since=ago(86_400))
    heard(plant.connection, REALTIME, ago(seconds), period_s=learnt)

    assert health(plant.connection).state is state


def test_since_when_a_connection_is_silent_is_its_last_message():
    plant = factories.plant()
    connected(plant.connection, since=ago(86_400))
    heard(plant.connection, REALTIME, ago(500))
    heard(plant.connection, STATUS, ago(900))

    assert (health(plant.connection).code, health(plant.connection).since) == ("NOTHING_ARRIVES", ago(500))


def test_other_messages_that_go_on_tell_a_missing_stream_from_a_missing_federation():
    plant = factories.plant()
    connected(plant.connection, since=ago(86_400))
    heard(plant.connection, REALTIME, ago(500))
    heard(plant.connection, STATUS, ago(20))

    assert health(plant.connection).code == "REALTIME_SILENT"


@pytest.mark.parametrize("heard_before", [True, False], ids=["readable before", "never readable"])
def test_deliveries_that_cannot_be_read_are_not_taken_for_a_missing_federation(heard_before):
    plant = factories.plant()
    connected(plant.connection, since=ago(86_400))
    told(plant.connection, CONSUME, LinkState.CONNECTED, since=ago(86_400), event_at=ago(3))
    if heard_before:
        heard(plant.connection, REALTIME, ago(500))

    assert health(plant.connection).code == "REALTIME_SILENT"


def test_a_last_delivery_after_the_last_realtime_does_not_hide_that_nothing_arrives():
    plant = factories.plant()
    connected(plant.connection, since=ago(86_400))
    told(plant.connection, CONSUME, LinkState.CONNECTED, since=ago(86_400), event_at=ago(480))
    heard(plant.connection, REALTIME, ago(500))

    assert health(plant.connection).code == "NOTHING_ARRIVES"


def test_meters_are_missed_only_where_they_have_spoken():
    plant = factories.plant()
    connected(plant.connection, since=ago(86_400))
    heard(plant.connection, REALTIME, ago(1))
    before = health(plant.connection).state

    heard(plant.connection, METER, ago(186))

    assert before is LinkState.CONNECTED
    assert (health(plant.connection).code, health(plant.connection).since) == ("METER_SILENT", ago(186))


def test_an_older_moment_of_a_slower_consumer_does_not_put_a_stream_back():
    link = factories.connection()
    heard(link, REALTIME, ago(1), period_s=5.0, skew_ms=40)
    heard(link, REALTIME, ago(9))

    row = StreamHealth.objects.get()
    assert (row.last_at, row.last_sent_at, row.period_s, row.skew_ms) == (ago(1), ago(1), 5.0, 40)


@pytest.mark.parametrize(("skew_ms", "warned"), [(30_000, False), (30_001, True), (-45_000, True)])
def test_clocks_that_differ_by_more_than_half_a_minute_are_worth_a_look(skew_ms, warned):
    link = factories.connection()
    heard(link, METER, AT, skew_ms=10)
    heard(link, REALTIME, AT, skew_ms=skew_ms)

    assert (health(link).skew_ms, health(link).skewed) == (skew_ms, warned)


# --- many -------------------------------------------------------------------------------------------------------------


def test_many_connections_take_as_many_queries_as_one():
    def filled():
        plant = factories.plant()
        connected(plant.connection)
        heard(plant.connection, REALTIME, AT)

    filled()
    few = queries_of(lambda: connection_health(connections=watched_connections(), at=AT))
    for _ in range(5):
        filled()

    many = queries_of(lambda: connection_health(connections=watched_connections(), at=AT))

    assert few == many == 4


def test_a_secret_that_can_not_be_read_does_not_hide_the_health_of_the_others():
    factories.make_undecryptable(factories.connection(), "amqps_uri", "api_key", "signing_key")
    factories.connection()

    assert len(connection_health(connections=watched_connections(), at=AT)) == 2


def test_processes_that_ended_are_forgotten_and_the_last_word_stays():
    link, quiet = factories.connection(), factories.connection()
    told(link, CONSUME, LinkState.CONNECTED, at=AT, holder="old")
    told(link, CONSUME, LinkState.CONNECTED, at=AT + timedelta(minutes=5), holder="new")
    told(quiet, CONSUME, LinkState.DOWN, at=AT, holder="last")

    early = prune_link_health(at=AT + PRUNE_AFTER)
    count = prune_link_health(at=AT + PRUNE_AFTER + timedelta(seconds=1))

    assert (early, count) == (0, 1)
    assert sorted(LinkHealth.objects.values_list("holder", flat=True)) == ["last", "new"]
