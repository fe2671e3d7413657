"""The gap ledger: what it finds, when a gap ends, how it is filled, and that looking twice changes nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from link.inbox import receive
from link.replay import replay
from metering.models import Gap, LedgerProgress, MeterSeen, Stream, StreamPeriod
from metering.selectors.holds import why_kept
from metering.services.gap_silence import open_gaps
from metering.services.gaps import keep_ledger
from plants.models import DeadLetter, Plant
from plants.services.partitions import Span
from tests import factories
from tests.link import helpers
from tests.metering.gap_world import (
    GIVE_UP_AFTER,
    MINUTE,
    RULES,
    START,
    after,
    look_at_all,
    roll_up,
    spans,
    tell,
    tell_meter,
    tick,
)
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def steady(until, *, since=0, step=10):
    return range(since, until + 1, step)


@pytest.fixture
def plant():
    return factories.plant(assets=[])


class TestBudget:
    def test_a_run_whose_first_steps_cost_all_its_time_still_looks_at_a_page_and_judges_one(self, plant):
        tell(plant, steady(100))
        tell(plant, steady(1800, since=400))
        roll_up(1900)

        kept = keep_ledger(at=after(2100), rules=replace(RULES, budget_s=0.0), give_up_after=GIVE_UP_AFTER)

        assert (kept.holes, kept.more, spans()) == (1, True, [(100.0, 400.0), (1800.0, None)])
        assert not Gap.objects.filter(cause_detail="").exists()


class TestSilence:
    def test_a_stream_that_stopped_opens_one_gap_however_often_it_is_looked_at(self, plant):
        tell(plant, steady(100))

        early, late, again = tick(135), tick(136), tick(190)

        gap = Gap.objects.get()
        assert (early.opened, late.opened, again.opened) == (0, 1, 0)
        assert (gap.plant, gap.stream, gap.from_at, gap.to_at) == (plant, "REALTIME", after(100), None)
        assert (gap.expected_period_s, gap.found_at, gap.missing_s) == (10.0, after(136), 36 - 15)

    def test_a_plant_that_never_spoke_has_no_gap(self, plant):
        assert tick(1000).opened == 0

    def test_messages_that_all_come_late_by_the_same_time_are_no_silence(self, plant):
        for second in steady(300):
            tell(plant, [second], received=second + 120)
            tick(second + 121)

        assert Gap.objects.count() == 0

    @pytest.mark.parametrize("source", ["SET", "LEARNT"])
    def test_a_plant_with_a_period_of_its_own_is_judged_by_it(self, plant, source):
        StreamPeriod.objects.create(
            plant=plant, stream=Stream.REALTIME, valid_from=START - MINUTE, period_s=60, source=source
        )
        tell(plant, steady(120, step=60))

        assert [tick(120 + 185).opened, tick(120 + 186).opened] == [0, 1]
        assert Gap.objects.get().expected_period_s == 60

    def test_a_plant_that_is_connected_to_nothing_is_not_expected_to_speak(self, plant):
        tell(plant, [0])
        Plant.objects.filter(pk=plant.pk).update(connection=None)

        assert tick(1000).opened == 0

    def test_each_meter_is_a_stream_of_its_own(self, plant):
        tell_meter(plant, steady(600, step=60))
        tell_meter(plant, steady(300, step=60), device="M2")

        assert tick(300 + 186).opened == 1
        gap = Gap.objects.get()
        assert (gap.stream, gap.device_id, gap.from_at) == ("METER", "M2", after(300))
        assert set(MeterSeen.objects.values_list("device_id", "reading_at")) == {
            ("M1", after(600)),
            ("M2", after(300)),
        }

    @pytest.mark.postgresql
    def test_any_number_of_plants_that_stopped_is_one_statement(self):
        link = factories.connection()
        rows = [factories.plant(on=link, assets=[]) for _ in range(12)]
        for row in rows:
            tell(row, [0])

        assert queries_of(lambda: open_gaps(stream=Stream.REALTIME, at=after(60), rules=RULES)) == 2
        assert Gap.objects.count() == 12


class TestReturn:
    def test_a_new_sample_closes_the_gap(self, plant):
        tell(plant, steady(100))
        tick(140)
        tell(plant, [400, 410])

        tick(411)

        gap = Gap.objects.get()
        assert (gap.to_at, gap.missing_s, gap.filled_at) == (after(400), 300 - 15, None)

    def test_what_the_queue_kept_fills_the_gap_and_the_gap_tells_so(self, plant):
        tell(plant, steady(100))
        tick(140)
        tell(plant, steady(400, since=110), received=405)
        tell(plant, [410, 420])

        tick(421)

        gap = Gap.objects.get()
        assert (gap.from_at, gap.to_at) == (
            after(100),
            after(370),
        )  # measured 35 s before messages came again
        assert (gap.missing_s, gap.filled_at, gap.filled_from) == (0, after(405), "QUEUE")

    def test_while_old_messages_still_come_the_gap_is_open_and_grows_smaller(self, plant):
        tell(plant, steady(100))
        tick(140)
        tell(plant, steady(200, since=110), received=400)

        tick(405)
        half_way = Gap.objects.get()
        tell(plant, steady(400, since=210), received=410)
        tick(415)

        assert (half_way.to_at, half_way.missing_s) == (None, 205 - 15)
        assert (Gap.objects.get().to_at, Gap.objects.get().missing_s) == (after(370), 0)

    def test_a_late_sample_within_makes_the_gap_smaller_and_splits_nothing(self, plant):
        tell(plant, steady(100))
        tick(140)
        tell(plant, steady(1000, since=500))
        tick(1001)
        tell(plant, [300], received=1005)

        look_at_all(2000)

        assert spans()[0] == (100, 500)
        gap = Gap.objects.get(from_at=after(100))
        assert gap.missing_s == 2 * (200 - 15)
        assert gap.filled_at is None

    def test_a_gap_is_filled_when_the_last_piece_has_come(self, plant):
        tell(plant, steady(100))
        tick(140)
        tell(plant, steady(1000, since=500))
        look_at_all(2000)
        tell(plant, steady(490, since=110), received=3000)

        look_at_all(3100)

        gap = Gap.objects.get(from_at=after(100))
        assert (gap.missing_s, gap.filled_at, gap.filled_from) == (0, after(3000), "QUEUE")

    def test_what_a_person_replayed_fills_it_from_there(self, plant):
        late = [helpers.realtime(plant, at=after(second)) for second in steady(490, since=110)]
        link = plant.connection
        tell(plant, steady(100))
        tick(140)
        tell(plant, steady(1000, since=500))
        look_at_all(2000)
        Plant.objects.filter(pk=plant.pk).update(voke_uuid=None)
        receive(late, inlet=helpers.inlet(link), at=after(2100))
        Plant.objects.filter(pk=plant.pk).update(voke_uuid=plant.voke_uuid)

        ids = list(DeadLetter.objects.values_list("pk", flat=True))
        replay(letter_ids=ids, actor="jana", at=after(3000), retention_days=400)
        look_at_all(3100)

        gap = Gap.objects.get(from_at=after(100))
        assert len(ids) == 39
        assert (gap.filled_at, gap.filled_from) == (after(3000), "REPLAY")

    def test_a_meter_that_speaks_again_closes_its_gap(self, plant):
        tell_meter(plant, steady(300, step=60))
        tick(500)
        tell_meter(plant, [900, 960])

        tick(961)

        gap = Gap.objects.get()
        assert (gap.to_at, gap.missing_s) == (after(900), 600)


class TestHoles:
    def test_a_hole_that_nobody_saw_open_is_found_when_its_quarter_hour_was_rolled_up(self, plant):
        tell(plant, [*steady(300), *steady(900, since=400)])

        assert look_at_all(1000).holes == 1
        gap = Gap.objects.get(to_at__isnull=False)
        assert (gap.from_at, gap.to_at, gap.missing_s) == (after(300), after(400), 100 - 15)

    def test_a_hole_over_many_quarter_hours_is_one_gap(self, plant):
        tell(plant, [*steady(300), *steady(9000, since=8000)])

        look_at_all(10_000)

        assert spans()[0] == (300, 8000)
        assert Gap.objects.filter(from_at=after(300)).count() == 1

    def test_an_older_sample_that_comes_last_makes_a_hole_behind_it(self, plant):
        tell(plant, steady(9000, since=8000))
        look_at_all(10_000)
        tell(plant, [100], received=10_100)

        look_at_all(10_200)

        assert spans()[0] == (100, 8000)

    def test_a_hole_of_a_meter_is_found_in_its_own_readings(self, plant):
        tell_meter(plant, [*steady(300, step=60), *steady(900, since=660, step=60)])
        tell_meter(plant, steady(900, step=60), device="M2")

        look_at_all(1900)

        gap = Gap.objects.get(to_at__isnull=False)
        assert (gap.device_id, gap.from_at, gap.to_at, gap.missing_s) == ("M1", after(300), after(660), 360)

    def test_jitter_within_the_tolerance_is_no_hole(self, plant):
        tell(plant, steady(900, step=35))

        assert look_at_all(1000).holes == 0

    def test_looking_twice_changes_nothing(self, plant):
        tell(plant, [*steady(300), *steady(900, since=400)])
        look_at_all(1000)
        before = list(Gap.objects.values())

        again = tick(1150)

        assert (again.opened, again.changed, again.holes, again.judged) == (0, 0, 0, 0)
        assert list(Gap.objects.values()) == before

    def test_a_quarter_hour_whose_transaction_may_still_run_is_looked_at_later(self, plant):
        tell(plant, [*steady(300), *steady(900, since=400)])
        roll_up(1000)

        assert [tick(1100).holes, tick(1150).holes] == [0, 1]

    def test_rollups_of_a_deleted_plant_are_passed_over(self, plant):
        tell(plant, [*steady(300), *steady(900, since=400)])
        roll_up(1000)
        plant.delete()

        assert tick(1150).holes == 0

    def test_a_page_that_was_looked_at_is_remembered(self, plant):
        tell(plant, steady(3600))
        look_at_all(4000)

        progress = LedgerProgress.objects.get(part=Stream.REALTIME)
        assert progress.until_at == after(4000)


class TestEnd:
    def test_an_old_gap_is_given_up_and_keeps_no_days_any_more(self, plant):
        tell(plant, [0])
        roll_up(3600)
        tick(3600)
        day = Span(low=START - timedelta(hours=12), high=START + timedelta(hours=12))
        kept = why_kept(day)

        tick(GIVE_UP_AFTER.total_seconds() + 1)

        assert kept == "a gap may still be filled"
        assert Gap.objects.get().given_up_at is not None
        assert why_kept(day) == ""

    def test_a_gap_that_was_given_up_is_neither_opened_again_nor_kept_open_when_the_plant_returns(
        self, plant
    ):
        tell(plant, [0])
        late = GIVE_UP_AFTER.total_seconds() + 1000
        tick(late)
        tick(late + 60)
        opened = Gap.objects.count()
        tell(plant, [late + 100])

        tick(late + 101)

        assert opened == 1
        assert Gap.objects.get().to_at == after(late + 100)

    def test_gaps_older_than_the_rollups_are_forgotten_once_nobody_waits_for_them(self, plant):
        facts = {"plant": plant, "stream": "REALTIME", "expected_period_s": 10, "found_at": START}
        very_old = START - timedelta(days=1200)
        for n, changes in enumerate(({"filled_at": START}, {"given_up_at": START}, {})):
            Gap.objects.create(
                from_at=very_old + n * MINUTE,
                to_at=very_old + timedelta(hours=1),
                missing_s=1,
                **facts,
                **changes,
            )

        tick(0)  # the third is given up by this run, and so goes too

        assert not Gap.objects.exists()
