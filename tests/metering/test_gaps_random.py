"""Whatever comes, in whatever order, and whenever the ledger looks: at the end it tells of each hole of the history."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from metering.models import Gap, Stream
from metering.partitions import ROLLUPS
from metering.services.gaps import SETTLED_AFTER
from plants.services.partitions import READINGS, ensure_partitions
from tests import factories
from tests.examples import examples
from tests.metering.gap_world import (
    START,
    after,
    holes_of_history,
    look_at_all,
    roll_up,
    tell,
    tell_meter,
    tick,
)

pytestmark = pytest.mark.django_db
LAST_S = 4000
PERIODS = {Stream.REALTIME: 10.0, Stream.METER: 60.0}

# A run of readings, and how late it arrives; or the ledger looks, or what has ended is rolled up.
RUNS = st.tuples(
    st.integers(0, LAST_S - 100),
    st.integers(1, 30),
    st.sampled_from([1, 10, 10, 10, 36, 60, 200]),
    st.sampled_from([0, 0, 0, 40, 900, 2500]),
    st.randoms(use_true_random=False),
)
STEPS = st.lists(st.one_of(RUNS, st.sampled_from(["look", "roll up", "look at all"])), min_size=1, max_size=8)


@pytest.fixture
def _partitions():
    """Made once: each example is rolled back."""
    for tables in (READINGS, ROLLUPS):
        ensure_partitions(days=[START.date()], tables=tables)


@examples(15)
@given(steps=STEPS)
@pytest.mark.usefixtures("_partitions")
@pytest.mark.parametrize("stream", list(Stream))
def test_the_ledger_equals_what_the_history_says_from_scratch(stream, steps):
    with transaction.atomic():
        live_through(stream, steps)
        transaction.set_rollback(True)


def live_through(stream, steps):
    plant = factories.plant(assets=[])
    say = tell if stream == Stream.REALTIME else tell_meter
    now = 0.0

    for step in steps:
        match step:
            case "look":
                tick(now)
            case "roll up":
                now += 1
                roll_up(now)
            case "look at all":
                look_at_all(now + 1)
                now += 1 + SETTLED_AFTER.total_seconds()
            case first, count, apart, late, chance:
                seconds = [second for second in range(first, first + count * apart, apart) if second < LAST_S]
                chance.shuffle(seconds)
                now = max(now, max(seconds) + late)
                half = len(seconds) // 2
                for some in (seconds[:half], seconds[half:]):
                    if some:
                        say(plant, some, received=now)
    end = now + 4 * LAST_S
    look_at_all(end)
    look_at_all(end + 1000)

    spoke = any(isinstance(step, tuple) for step in steps)
    assert_ledger_tells_of_the_history(plant, stream, spoke=spoke)
    before = list(Gap.objects.order_by("pk").values())
    look_at_all(end + 1000)
    assert list(Gap.objects.order_by("pk").values()) == before


def assert_ledger_tells_of_the_history(plant, stream, *, spoke):
    gaps = list(Gap.objects.filter(plant=plant, stream=stream).order_by("from_at"))
    closed = [gap for gap in gaps if gap.to_at is not None]
    left = holes_of_history(plant, stream, PERIODS[stream])
    for gap in gaps:
        within = [hole for hole in left if gap.from_at <= hole[0] and (not gap.to_at or hole[1] <= gap.to_at)]
        left = [hole for hole in left if hole not in within]
        if gap.to_at is None:  # what came late within one that is still open left holes of its own
            assert gap.filled_at is None
            continue
        assert gap.missing_s == pytest.approx(sum(missing for _, _, missing in within), abs=1e-3)
        assert (gap.filled_at is not None) == (not within)
    assert left == [], "holes that the ledger does not tell of"
    for one, two in pairwise(gaps):
        assert one.to_at is not None and one.to_at <= two.from_at, "gaps overlap"
    if not spoke:
        assert not gaps
        return
    assert len(gaps) - len(closed) == 1, "the stream has stopped, and just one gap tells so"
    assert gaps[-1].to_at is None
    assert gaps[-1].found_at > after(0) - timedelta(seconds=1)
