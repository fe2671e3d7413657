"""Whatever comes, in whatever order: the tables equal the reference, and a rebuild from scratch changes nothing."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.models import RollupDue, RollupMark
from metering.rollup import MEASURES, Sample
from metering.rules import QUARTER
from metering.services.due import fold_marks
from metering.services.rollups import Rolled, rebuild, roll_up_chunk, roll_up_telemetry
from tests.examples import examples
from tests.factories import plant
from tests.metering.rollup_world import HOUR, RULES, START, assert_same, expected, store, tables

LATER = START + timedelta(days=2)
ZONES = ("Europe/Prague", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Honolulu")
VALUES = st.one_of(st.none(), st.floats(-1e4, 1e4), st.integers(-3, 3).map(float))
# Around boundaries as often as anywhere; whole and broken seconds, some of them at the same moment.
MOMENTS_S = st.one_of(
    st.integers(0, 6000).map(float),
    st.builds(
        lambda n, off: 900 * n + off,
        st.integers(0, 6),
        st.sampled_from([-15, -14.999999, -5, -1e-6, 0, 1e-6, 5]),
    ),
)
SAMPLES = st.builds(
    lambda after_s, values, rank, missing: Sample(
        measured_at=START + timedelta(seconds=after_s),
        values=values,
        quality_rank=0 if missing else rank,
        missing=missing,
    ),
    MOMENTS_S,
    st.tuples(*[VALUES] * len(MEASURES)),
    st.integers(0, 3),
    st.sampled_from([False, False, False, True]),
)
# A batch of samples, or what happens between batches.
STEPS = st.lists(
    st.one_of(
        st.lists(SAMPLES, min_size=1, max_size=25),
        st.sampled_from(["fold", "chunk", "early tick", "tick"]),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.django_db
@examples(25)
@given(steps=STEPS, zone=st.sampled_from(ZONES))
def test_any_order_repetition_correction_lateness_and_split_gives_what_a_rebuild_gives(steps, zone):
    depot = plant(time_zone=zone)

    for step in steps:
        match step:
            case "fold":
                fold_marks(limit=2)
            case "chunk":
                roll_up_chunk(at=LATER, rules=RULES)
            case "early tick":
                roll_up_telemetry(at=START + 3 * QUARTER, rules=RULES)
            case "tick":
                roll_up_telemetry(at=LATER, rules=RULES)
            case batch:
                store(depot.pk, batch)
    roll_up_telemetry(at=LATER, rules=RULES)

    found = tables(depot.pk)
    assert_same(found, expected(depot.pk, zone=zone))
    assert roll_up_telemetry(at=LATER, rules=RULES) == Rolled(marks=0, quarters=0, more=False)
    assert not RollupMark.objects.exists() and not RollupDue.objects.exists()
    rebuild(plant_ids=[depot.pk], from_at=START - HOUR, to_at=START + 3 * HOUR, at=LATER, rules=RULES)
    assert_same(tables(depot.pk), found)
