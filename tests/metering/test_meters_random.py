"""Whatever meters tell, in whatever order: the tables equal the reference, and a rebuild changes nothing."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.models import RollupDue, RollupMark
from metering.services.due import fold_marks
from metering.services.meters import rebuild_meters, roll_up_meter_chunk
from tests.examples import examples
from tests.factories import plant
from tests.metering.meter_world import (
    LATER,
    LIMITS,
    NOTHING,
    QUARTER,
    RULES,
    START,
    Told,
    assert_same,
    expected,
    roll_up,
    store,
    tables,
)

ZONES = ("Europe/Prague", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Honolulu")
# Around boundaries as often as anywhere, a minute apart as often as hours, some of them at the same moment.
MOMENTS_S = st.one_of(
    st.integers(0, 90).map(lambda n: 60.0 * n),
    st.integers(0, 60_000).map(float),
    st.builds(
        lambda n, off: 900 * n + off,
        st.integers(0, 8),
        st.sampled_from([-301, -60, -1e-6, 0, 1e-6, 60, 299.999999, 300, 301]),
    ),
)
# Grown evenly since START, which makes them plain; or anything, which makes them fall and leap.
WILD = st.one_of(
    st.none(), st.floats(0, 50), st.sampled_from([0.0, 0.5, 99_999.9, 100_000.5, 1e6, 4_294_967.0])
)


@st.composite
def told(draw):
    after_s = draw(MOMENTS_S)
    rank = draw(st.sampled_from([3, 3, 3, 2, 1, 0]))
    plain = [1000.0 * n + after_s * n / 720 for n in range(1, 4)]
    values = [draw(st.one_of(st.just(value), WILD)) for value in plain[:2]]
    values.append(draw(st.one_of(st.none(), st.just(plain[2]))))  # the register that many readings lack
    return Told(
        after_s=after_s,
        values=values,
        rank=rank,
        device=draw(st.sampled_from(["M1", "M1", "M2"])),
        role=draw(st.sampled_from(["GRID", "", "PV"])),
        missing=rank == 0 and draw(st.booleans()),
    )


STEPS = st.lists(
    st.one_of(
        st.lists(told(), min_size=1, max_size=12),
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
                roll_up_meter_chunk(at=LATER, rules=RULES, limits=LIMITS)
            case "early tick":
                roll_up(START + 3 * QUARTER)
            case "tick":
                roll_up()
            case batch:
                store(depot.pk, batch)
    roll_up()

    found = tables(depot)
    assert_same(found, expected(depot, power_kw=100.0))
    assert roll_up() == NOTHING
    assert not RollupMark.objects.exists() and not RollupDue.objects.exists()
    rebuild_meters(
        plant_ids=[depot.pk],
        from_at=START - timedelta(days=1),
        to_at=START + timedelta(days=1),
        at=LATER,
        rules=RULES,
        limits=LIMITS,
    )
    assert_same(tables(depot), found)
