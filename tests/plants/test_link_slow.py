"""Our own delay is told as such: a slow database is SLOW, and silence is judged only by who could have heard."""

from datetime import timedelta

import pytest

from plants.models import ConnectionMode, LinkHealth, LinkState
from plants.selectors.link_health import STORED_WITHIN
from plants.services.link_health import Holding, note_link
from tests import factories
from tests.factories import AT
from tests.plants.test_link_health import CONSUME, METER, PUBLISH, REALTIME, ago, health, heard, told

pytestmark = pytest.mark.django_db


def plant_of_listener():
    return factories.plant(on=factories.connection(mode=ConnectionMode.OBSERVE))


def consumer(link, *, heard_until=None, waiting_since=None, count=0, state=LinkState.CONNECTED, **words):
    """A consumer that is connected for a day and says now what it holds."""
    holder = words.pop("holder", "one")
    told(link, CONSUME, state, since=ago(86_400), holder=holder)
    holding = Holding(heard_until=heard_until, unstored_since=waiting_since, unstored_count=count)
    at = words.pop("at", AT)
    note_link(
        connection_id=link.pk, role=CONSUME, state=state, at=at, holder=holder, holding=holding, **words
    )


def test_messages_that_wait_to_be_stored_make_a_link_slow_and_not_silent():
    """Regression: a batch that waited for a lock was shown as SILENT, ask Voke."""
    plant = plant_of_listener()
    heard(plant.connection, REALTIME, ago(20), period_s=1.0)
    consumer(plant.connection, heard_until=ago(20), waiting_since=ago(20), count=12)

    found = health(plant.connection)

    assert (found.state, found.code, found.since) == (LinkState.SLOW, "STORING_SLOWLY", ago(20))
    assert (found.consume.unstored_since, found.consume.unstored_count) == (ago(20), 12)
    assert "not at Voke" in found.advice.action


@pytest.mark.parametrize(
    ("since", "state"),
    [
        (AT - STORED_WITHIN, LinkState.CONNECTED),
        (AT - STORED_WITHIN - timedelta(seconds=1), LinkState.SLOW),
    ],
)
def test_a_batch_that_is_being_stored_is_usual_for_a_few_seconds(since, state):
    plant = plant_of_listener()
    heard(plant.connection, REALTIME, since)
    consumer(plant.connection, heard_until=since, waiting_since=since, count=1)

    assert health(plant.connection).state is state


def test_a_consumer_that_has_not_looked_since_says_nothing_about_voke():
    """Between a long batch and the next look at the queues: what came meanwhile is not known yet."""
    plant = plant_of_listener()
    heard(plant.connection, REALTIME, ago(30), period_s=1.0)
    consumer(plant.connection, heard_until=ago(30))

    assert health(plant.connection).state is LinkState.CONNECTED


def test_a_row_that_could_not_be_renewed_says_nothing_about_voke():
    """The database was away for a moment: both rows are as old as that."""
    plant = plant_of_listener()
    heard(plant.connection, REALTIME, ago(21), period_s=1.0)
    consumer(plant.connection, heard_until=ago(20), at=ago(20))

    assert health(plant.connection).state is LinkState.CONNECTED


def test_a_silence_that_began_during_slow_storage_is_found_as_soon_as_somebody_has_looked():
    plant = plant_of_listener()
    heard(plant.connection, REALTIME, ago(20), period_s=1.0)
    consumer(plant.connection, heard_until=AT)

    found = health(plant.connection)

    assert (found.state, found.code, found.since) == (LinkState.SILENT, "NOTHING_ARRIVES", ago(20))


def test_a_stream_that_stopped_before_is_found_while_others_wait_a_moment():
    plant = plant_of_listener()
    heard(plant.connection, REALTIME, ago(500), period_s=1.0)
    heard(plant.connection, METER, ago(2))
    consumer(plant.connection, heard_until=ago(2), waiting_since=ago(2), count=1, event_at=ago(2))

    assert health(plant.connection).code == "REALTIME_SILENT"


def test_of_several_consumers_the_one_that_knows_least_decides_on_silence():
    plant = plant_of_listener()
    heard(plant.connection, REALTIME, ago(20), period_s=1.0)
    consumer(plant.connection, holder="idle", heard_until=AT)
    consumer(plant.connection, holder="hung", heard_until=ago(20), at=ago(18))

    assert health(plant.connection).state is LinkState.CONNECTED


def test_a_consumer_that_can_not_store_outweighs_one_that_holds_nothing():
    plant = plant_of_listener()
    heard(plant.connection, REALTIME, ago(20), period_s=1.0)
    consumer(plant.connection, holder="idle", heard_until=AT)
    consumer(plant.connection, holder="busy", heard_until=ago(20), waiting_since=ago(20), count=3)

    assert health(plant.connection).code == "STORING_SLOWLY"


def test_a_link_that_was_closed_because_statements_timed_out_is_slow_since_the_oldest_message():
    plant = plant_of_listener()
    consumer(
        plant.connection,
        state=LinkState.SLOW,
        waiting_since=ago(95),
        count=7,
        error="OperationalError",
        error_code="STORING_SLOWLY",
    )

    found = health(plant.connection)

    assert (found.state, found.code, found.since) == (LinkState.SLOW, "STORING_SLOWLY", ago(95))
    assert found.consume.last_error == "OperationalError"


def test_a_link_that_is_down_is_down_whatever_it_held():
    plant = plant_of_listener()
    consumer(plant.connection, state=LinkState.DOWN, waiting_since=ago(95), count=7, error="gone")

    assert health(plant.connection).state is LinkState.DOWN


def test_an_old_row_of_a_slow_consumer_is_not_the_present():
    plant = plant_of_listener()
    consumer(plant.connection, heard_until=ago(60), waiting_since=ago(60), count=7, at=ago(40))

    found = health(plant.connection)

    assert (found.code, found.consume.unstored_since, found.consume.unstored_count) == ("NO_PROCESS", None, 0)


def test_what_is_held_is_told_anew_each_time_and_left_alone_by_who_holds_nothing():
    plant = plant_of_listener()
    consumer(plant.connection, heard_until=ago(9), waiting_since=ago(9), count=7)
    told(plant.connection, CONSUME, LinkState.CONNECTED)
    told(plant.connection, PUBLISH, LinkState.CONNECTED)
    kept = LinkHealth.objects.get(role=CONSUME)

    consumer(plant.connection, heard_until=AT)
    fresh = LinkHealth.objects.get(role=CONSUME)

    assert (kept.heard_until, kept.unstored_since, kept.unstored_count) == (ago(9), ago(9), 7)
    assert (fresh.heard_until, fresh.unstored_since, fresh.unstored_count) == (AT, None, 0)
