"""Measurements with an impossible time: kept with moment and range, bounded per plant, none of them uncounted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from link.inbox import receive
from link.replay import ReplayOutcome, replay
from plants.models import DeadLetter, TelemetryReading
from plants.services import quarantine
from tests import factories
from tests.factories import AT
from tests.link.helpers import RETENTION_DAYS, hear, inlet, meter, mode_event, realtime, seconds
from tests.queries import queries_of
from tests.threads import together

SOON = AT + timedelta(hours=2)


def hear_some(link, batch, *, at=AT, per_plant=3):
    return receive(batch, inlet=replace(inlet(link), quarantine_per_plant=per_plant), at=at)


def early(plant, count, *, first=0):
    """Messages of a clock that is two hours ahead."""
    return [realtime(plant, at=SOON + seconds(n)) for n in range(first, first + count)]


def kept(**of):
    """(count, others) of the letters, oldest first."""
    return list(DeadLetter.objects.filter(**of).order_by("pk").values_list("count", "others"))


@pytest.mark.django_db
class TestWhatIsKept:
    def test_the_letter_tells_the_moment_the_range_and_the_plant(self):
        plant = factories.plant()

        hear(plant.connection, realtime(plant, at=SOON))

        letter = DeadLetter.objects.get()
        assert (letter.reason, letter.plant) == ("FROM_THE_FUTURE", plant)
        assert letter.detail == (
            f"2026-01-02T05:00:00Z; stored is from {AT - timedelta(days=RETENTION_DAYS):%Y-%m-%dT%H:%M:%SZ}"
            " until 2026-01-02T04:00:00Z"
        )

    def test_a_meter_reading_that_is_too_old_says_so(self):
        plant = factories.plant()

        hear(plant.connection, meter(plant, at=AT - timedelta(days=RETENTION_DAYS, seconds=1)))

        letter = DeadLetter.objects.get()
        assert (letter.reason, letter.path, letter.plant) == ("TOO_OLD", "payload.readingAt", plant)

    def test_an_event_is_never_too_old(self):
        plant = factories.plant()

        hear(plant.connection, mode_event(plant, "STANDARD", at=SOON))

        assert DeadLetter.objects.get().detail == "2026-01-02T05:00:00Z; stored is until 2026-01-02T04:00:00Z"

    def test_other_letters_belong_to_no_plant(self):
        plant = factories.plant()

        hear(plant.connection, realtime(plant, at=AT, gridPowerKw="much"))

        assert DeadLetter.objects.get().plant is None

    def test_it_is_replayed_when_its_time_has_come(self):
        plant = factories.plant()
        hear(plant.connection, realtime(plant, at=SOON))
        ids = list(DeadLetter.objects.values_list("pk", flat=True))

        before = replay(letter_ids=ids, actor="jana", at=AT, retention_days=RETENTION_DAYS)
        after = replay(letter_ids=ids, actor="jana", at=SOON, retention_days=RETENTION_DAYS)

        assert [one.outcome for one in before] == [ReplayOutcome.DEAD_AGAIN]
        assert [one.outcome for one in after] == [ReplayOutcome.APPLIED]
        assert TelemetryReading.objects.get().measured_at == SOON

    def test_it_is_replayed_after_a_longer_retention(self):
        plant = factories.plant()
        hear(plant.connection, realtime(plant, at=AT - timedelta(days=RETENTION_DAYS + 1)))

        done = replay(
            letter_ids=[DeadLetter.objects.get().pk], actor="jana", at=AT, retention_days=RETENTION_DAYS + 2
        )

        assert [one.outcome for one in done] == [ReplayOutcome.APPLIED]


@pytest.mark.django_db
class TestHowMuchIsKept:
    def test_what_finds_no_room_is_counted_in_the_newest_letter_with_the_time_span(self):
        plant = factories.plant()
        hear_some(plant.connection, early(plant, 3), at=AT)

        hear_some(plant.connection, early(plant, 4, first=3), at=AT + seconds(60))

        assert kept() == [(1, 0), (1, 0), (5, 4)]
        newest = DeadLetter.objects.order_by("pk").last()
        assert (newest.first_at, newest.last_at) == (AT, AT + seconds(60))

    def test_the_bound_holds_within_one_batch_too(self):
        plant = factories.plant()

        report = hear_some(plant.connection, early(plant, 10))

        assert report.dead_letters == 10
        assert sorted(kept()) == [(1, 0), (1, 0), (8, 7)]

    def test_each_plant_and_reason_has_room_of_its_own(self):
        link = factories.connection()
        one, two = factories.plant(on=link), factories.plant(on=link)
        old = AT - timedelta(days=RETENTION_DAYS + 1)
        batch = [*early(one, 4), *early(two, 2), *[realtime(one, at=old + seconds(n)) for n in range(2)]]

        hear_some(link, batch)

        assert len(kept(plant=one, reason="FROM_THE_FUTURE")) == 3
        assert kept(plant=two) == [(1, 0), (1, 0)]
        assert kept(plant=one, reason="TOO_OLD") == [(1, 0), (1, 0)]

    def test_the_same_message_again_is_counted_in_its_own_letter(self):
        plant = factories.plant()
        batch = early(plant, 3)
        hear_some(plant.connection, batch)

        hear_some(plant.connection, batch[:1])

        assert sorted(kept()) == [(1, 0), (1, 0), (2, 0)]

    def test_a_settled_letter_makes_room(self):
        plant = factories.plant()
        hear_some(plant.connection, early(plant, 3))
        DeadLetter.objects.update(state="DISCARDED")

        hear_some(plant.connection, early(plant, 2, first=3))

        assert kept(state="OPEN") == [(1, 0), (1, 0)]

    def test_letters_of_other_reasons_are_not_bounded_by_it(self):
        plant = factories.plant()

        hear_some(plant.connection, [realtime(plant, at=AT, gridPowerKw=f"x{n}") for n in range(5)])

        assert kept() == [(1, 0)] * 5

    def test_a_connection_that_is_full_still_takes_the_first_letter_of_a_plant(self, monkeypatch):
        monkeypatch.setattr(quarantine, "PER_CONNECTION", 2)
        monkeypatch.setattr(quarantine, "FIRST_LETTERS", 3)
        link = factories.connection()
        one, two, three = (factories.plant(on=link) for _ in range(3))
        hear_some(link, early(one, 4))

        hear_some(link, early(two, 2))
        hear_some(link, early(three, 2))

        assert kept(plant=one) == [(1, 0), (3, 2)]
        assert kept(plant=two) == [(4, 3)]  # its own two, and what is left to say of the third plant
        assert kept(plant=three) == []
        assert sum(count for count, _ in kept()) == 8

    def test_many_messages_of_many_plants_take_as_many_queries_as_a_few(self):
        def heard(plants, count):
            link = factories.connection()
            rows = [factories.plant(on=link, assets=[]) for _ in range(plants)]
            hear_some(link, [one for row in rows for one in early(row, 3)])
            batch = [one for row in rows for one in early(row, count, first=3)]
            return queries_of(lambda: hear_some(link, batch))

        assert heard(8, 6) <= heard(2, 2) + 6  # one statement for each letter that stands for others


@pytest.mark.django_db(transaction=True)
def test_two_consumers_with_a_full_quarantine_never_deadlock_and_count_each_message():
    link = factories.connection()
    plants = [factories.plant(on=link, assets=[]) for _ in range(6)]
    hear_some(link, [one for plant in plants for one in early(plant, 3)])

    def storm(order, first):
        for n in range(first, first + 5):
            hear_some(link, [realtime(plant, at=SOON + seconds(n)) for plant in order])

    answers = together(lambda: storm(plants, 100), lambda: storm(plants[::-1], 200))

    assert answers == [None, None]
    assert sum(count for count, _ in kept()) == 6 * 3 + 6 * 10
    assert len(kept()) == 18
