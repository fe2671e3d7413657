"""Why readings are missing: from the journal of the link and from what other plants of the connection did."""

import pytest

from metering.gap_rules import Evidence, Stretch, end_of, holes_in, missing_in, tolerance_s, verdict
from metering.models import Gap
from metering.services import gap_causes
from metering.services.gap_causes import PLANTS_ASKED, judge_gaps
from plants.models import Connection, LinkState
from tests import factories
from tests.metering.gap_world import after, journal, tell, tell_meter, tick
from tests.queries import queries_of

UP, DOWN, SLOW = LinkState.CONNECTED, LinkState.DOWN, LinkState.SLOW
CAUSE = Gap.Cause


def judged(*stretches, others=0, heard=False, since=-1000):
    """The cause of a hole of 600 s with these (state, from, until) in the journal."""
    return verdict(
        Evidence(
            from_at=after(0),
            to_at=after(600),
            journal_from=None if since is None else after(since),
            stretches=[
                Stretch(state=state, from_at=after(low), until_at=after(high))
                for state, low, high in stretches
            ],
            others=others,
            heard=heard,
        )
    )


@pytest.mark.parametrize(
    ("stretches", "facts", "cause", "words"),
    [
        ([], {}, CAUSE.PLATFORM_STOPPED, "No consumer of ours ran for 10\u202fmin of 10\u202fmin."),
        ([(UP, -60, 5), (UP, 590, 700)], {}, CAUSE.PLATFORM_STOPPED, "No consumer"),
        ([(UP, -60, 5), (DOWN, 5, 590), (UP, 590, 700)], {}, CAUSE.LINK_DOWN, "was DOWN for 9\u202fmin of"),
        ([("REFUSED", 0, 400), (DOWN, 400, 600)], {}, CAUSE.LINK_DOWN, "was REFUSED for 10\u202fmin"),
        ([("BLOCKED", 0, 600)], {}, CAUSE.LINK_DOWN, "was BLOCKED"),
        ([(SLOW, 0, 600)], {}, CAUSE.UNKNOWN, "database did not store them in time"),
        ([(UP, 0, 600)], {"others": 3, "heard": True}, CAUSE.PLANT_OFFLINE, "this one was not"),
        ([(UP, 0, 600)], {"others": 3}, CAUSE.NOTHING_ARRIVED, "none of 3 other plants"),
        ([(UP, 0, 600)], {}, CAUSE.NOTHING_ARRIVED, "no other plant of the connection"),
        ([], {"since": None}, CAUSE.UNKNOWN, "does not reach back"),
        ([(UP, 300, 600)], {"since": 300}, CAUSE.UNKNOWN, "does not reach back"),
        # Two consumers: where one was up the link was up; the same moment is counted once.
        ([(DOWN, 0, 600), (UP, 0, 600)], {"heard": True}, CAUSE.PLANT_OFFLINE, ""),
        ([(UP, 0, 200), (UP, 100, 250)], {}, CAUSE.PLATFORM_STOPPED, "for 5\u202fmin of"),
        # A short reconnect within a long hole is not its cause.
        ([(UP, 0, 500), (DOWN, 500, 520), (UP, 520, 600)], {"heard": True}, CAUSE.PLANT_OFFLINE, ""),
    ],
)
def test_the_cause_is_what_holds_for_at_least_half_of_the_time(stretches, facts, cause, words):
    found = judged(*stretches, **facts)

    assert found.cause == cause
    assert words in found.detail


def test_the_tolerance_is_three_periods_and_five_seconds():
    assert (tolerance_s(10), tolerance_s(60)) == (35, 185)
    assert holes_in([after(0), after(35), after(70.001)], period_s=10) == [(after(35), after(70.001))]


def test_what_is_missing_is_what_no_reading_speaks_for():
    moments = [after(second) for second in (0, 10, 110, 145)]

    assert missing_in(moments, stream="REALTIME", period_s=10) == 100 - 15
    assert missing_in([after(0), after(300)], stream="METER", period_s=60) == 300


def test_a_gap_ends_where_messages_were_on_time_again():
    queued = [(after(second), after(400)) for second in range(10, 401, 10)]

    assert end_of(queued, from_at=after(0), period_s=10) == after(370)
    assert end_of(queued[:20], from_at=after(0), period_s=10) is None
    assert end_of([], from_at=after(0), period_s=10) is None


# --- on real tables ---------------------------------------------------------------------------------------------------


@pytest.fixture
def plant():
    return factories.plant(assets=[])


def causes():
    return [(gap.cause, bool(gap.cause_detail)) for gap in Gap.objects.order_by("pk")]


@pytest.mark.django_db
class TestJudged:
    def test_a_plant_that_stopped_alone_was_offline(self, plant):
        other = factories.plant(on=plant.connection, assets=[])
        journal(plant.connection_id, UP, -600, 1000)
        tell(plant, range(0, 101, 10))
        tell(other, range(0, 301, 10))

        tick(301)

        assert causes() == [("PLANT_OFFLINE", True)]

    def test_where_all_stopped_while_the_link_was_up_nothing_arrived(self, plant):
        other = factories.plant(on=plant.connection, assets=[])
        journal(plant.connection_id, UP, -600, 1000)
        for one in (plant, other):
            tell(one, range(0, 101, 10))

        tick(301)

        assert causes() == [("NOTHING_ARRIVED", True)] * 2

    def test_what_came_late_for_others_is_not_heard(self, plant):
        other = factories.plant(on=plant.connection, assets=[])
        journal(plant.connection_id, UP, -600, 1000)
        for one in (plant, other):
            tell(one, range(0, 101, 10))
        tick(140)
        for one in (plant, other):
            tell(one, range(110, 501, 10), received=500)

        tick(501)

        assert causes() == [("NOTHING_ARRIVED", True)] * 2

    def test_a_cause_is_judged_again_when_the_gap_has_ended(self, plant):
        tell(plant, [0])
        journal(plant.connection_id, UP, -600, 45)
        journal(plant.connection_id, DOWN, 45, 1000)
        tick(50)
        at_first = causes()
        tell(plant, [1000])

        tick(1001)

        assert at_first == [("NOTHING_ARRIVED", True)]
        assert causes() == [("LINK_DOWN", True)]

    def test_the_journal_of_the_connection_that_was_taken_over_counts_too(self, plant):
        old = factories.connection(owner=plant.organisation, succeeded_by=plant.connection)
        journal(old.pk, UP, -600, -1)
        journal(old.pk, DOWN, 0, 300)
        tell(plant, [0])

        tick(300)

        assert causes() == [("LINK_DOWN", True)]

    def test_a_plant_that_belongs_to_no_connection_any_more_is_not_judged_by_one(self, plant):
        tell(plant, [0])
        gap = Gap.objects.create(
            plant=plant,
            stream="REALTIME",
            from_at=after(0),
            expected_period_s=10,
            found_at=after(9),
            missing_s=1,
        )
        type(plant).objects.filter(pk=plant.pk).update(connection=None)

        judge_gaps(at=after(100), spent=lambda: False)

        gap.refresh_from_db()
        assert (gap.cause, gap.cause_detail) == ("UNKNOWN", "The plant belongs to no connection now.")

    def test_where_the_journal_is_too_long_to_be_read_its_newest_part_counts_and_the_rest_is_not_known(
        self, plant, monkeypatch
    ):
        monkeypatch.setattr(gap_causes, "SPANS_READ", 3)
        for low in range(-600, 1000, 100):
            journal(plant.connection_id, UP if low < 500 else DOWN, low, low + 100)
        for low, high in ((0, 100), (800, 1000)):
            Gap.objects.create(
                plant=plant,
                stream="REALTIME",
                from_at=after(low),
                to_at=after(high),
                expected_period_s=10,
                found_at=after(high),
                missing_s=50,
            )

        judge_gaps(at=after(1100), spent=lambda: False)

        assert causes() == [("UNKNOWN", True), ("LINK_DOWN", True)]

    def test_meters_are_judged_by_other_meters(self, plant):
        other = factories.plant(on=plant.connection, assets=[])
        journal(plant.connection_id, UP, -600, 2000)
        tell_meter(plant, range(0, 301, 60))
        tell_meter(other, range(0, 1201, 60))

        tick(1201)

        assert causes() == [("PLANT_OFFLINE", True)]

    def test_gaps_of_the_same_minutes_are_judged_by_a_fixed_number_of_queries(self):
        def asked(count):
            Gap.objects.all().delete()
            link: Connection = factories.connection()
            journal(link.pk, UP, -600, 1000)
            for _ in range(count):
                row = factories.plant(on=link, assets=[])
                Gap.objects.create(
                    plant=row,
                    stream="REALTIME",
                    from_at=after(0),
                    to_at=after(600),
                    expected_period_s=10,
                    found_at=after(600),
                    missing_s=585,
                )
            return queries_of(lambda: judge_gaps(at=after(700), spent=lambda: False))

        assert asked(3) == asked(3 * PLANTS_ASKED)
