"""Services tell screens after their commit, without a query more, and only the organisation whose it is."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction

from link.inbox import receive
from live import Announcement, feed
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from tests import factories
from tests.dispatch.helpers import ask, deliver, setpoint
from tests.factories import AT
from tests.link.helpers import inlet, realtime, seconds
from tests.queries import queries_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Announcement]:
    """What was handed to the publisher."""
    found: list[Announcement] = []
    monkeypatch.setattr(feed, "publish", found.extend)
    return found


def test_an_alarm_is_told_when_its_transaction_is_committed_and_not_before(said: list[Announcement]) -> None:
    plant = factories.plant()
    with transaction.atomic():
        raise_platform_alarm(
            connection_id=None,
            plant_id=plant.pk,
            alarm_id="a",
            severity="ERROR",
            code="X",
            message="x",
            at=AT,
        )
        assert said == []
    clear_platform_alarm(connection_id=None, alarm_id="a", at=AT + timedelta(seconds=1))
    words = [(one.organisation_id, one.topic, one.plant_id, one.data["word"]) for one in said]
    whose = plant.organisation_id
    assert words == [(whose, "alarm", plant.pk, "raised"), (whose, "alarm", plant.pk, "cleared")]


def test_what_is_rolled_back_is_not_told(said: list[Announcement]) -> None:
    plant = factories.plant()
    with pytest.raises(RuntimeError), transaction.atomic():
        raise_platform_alarm(
            connection_id=None,
            plant_id=plant.pk,
            alarm_id="a",
            severity="ERROR",
            code="X",
            message="x",
            at=AT,
        )
        raise RuntimeError
    assert said == []


def test_a_feed_that_fails_fails_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no feed")

    monkeypatch.setattr(feed, "publish", broken)
    plant = factories.plant()
    assert raise_platform_alarm(
        connection_id=None, plant_id=plant.pk, alarm_id="b", severity="ERROR", code="X", message="x", at=AT
    )


def test_a_batch_tells_the_newest_values_of_each_plant_and_its_mode_and_costs_no_query_more(
    said: list[Announcement],
) -> None:
    plant = factories.plant()
    link = plant.connection
    batch = [realtime(plant, at=AT + seconds(n), gridPowerKw=-n, socPercent=50) for n in (1, 3, 2)]
    silent, telling = inlet(link), replace(inlet(link), organisation_id=plant.organisation_id)
    receive(batch, inlet=silent, at=AT + seconds(4))  # partitions and the like are there from now on
    plain = [realtime(plant, at=AT + seconds(5 + n), gridPowerKw=-n, socPercent=50) for n in (1, 3, 2)]
    before = queries_of(lambda: receive(plain, inlet=silent, at=AT + seconds(9)))
    assert said == []
    later = [realtime(plant, at=AT + seconds(10 + n), gridPowerKw=-n, socPercent=50) for n in (1, 3, 2)]
    assert queries_of(lambda: receive(later, inlet=telling, at=AT + seconds(14))) == before
    (one,) = said
    assert (one.organisation_id, one.key, one.part) == (plant.organisation_id, str(plant.pk), "power")
    assert (one.data["grid_kw"], one.data["soc_pct"]) == (-3, 50)
    assert one.version == (AT + seconds(13)).timestamp()


def test_a_command_is_told_when_it_is_made_and_at_each_state(said: list[Announcement]) -> None:
    plant = factories.plant()
    command = ask(plant, setpoint())
    deliver(plant.connection)
    told = [one for one in said if one.topic == "command"]
    assert {(one.organisation_id, one.key, one.plant_id) for one in told} == {
        (plant.organisation_id, str(command.pk), plant.pk)
    }
    assert [one.data["state"] for one in told] == ["SCHEDULED", "QUEUED", "SENT"]
