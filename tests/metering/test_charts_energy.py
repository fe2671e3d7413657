"""Bars of energy by role, from what is counted and what is not counted yet."""

from datetime import timedelta

import pytest

from metering.models import MeterQuarter
from metering.registers import REGISTERS
from metering.selectors.energy_charts import energy_series
from metering.tiers import Tier, to_ms
from plants.errors import Invalid, NotFound
from tests.factories import plant
from tests.metering.meter_world import (
    HOUR,
    LATER,
    LIMITS,
    QUARTER,
    RULES,
    START,
    Told,
    counting,
    roll_up,
    store,
)
from tests.queries import queries_of

DAY = timedelta(days=1)


@pytest.fixture
def depot(db):
    return plant()


def series(depot, *, since=timedelta(0), until=HOUR, at=LATER, width_px=1000, **changes):
    return energy_series(
        plant_id=depot.pk,
        from_at=START + since,
        to_at=START + until,
        width_px=width_px,
        at=at,
        rules=RULES,
        limits=LIMITS,
        **changes,
    )


@pytest.mark.django_db
def test_a_day_shows_bars_of_quarter_hours_and_nothing_where_nothing_is_known(depot):
    store(depot.pk, counting(upto_s=2700, kwh_per_minute=0.5))
    roll_up(LATER)

    found = series(depot, until=DAY)

    assert (found.axis.tier, found.axis.start_ms, len(found.axis.times_ms)) == (
        Tier.QUARTER,
        to_ms(START),
        96,
    )
    bars = found.roles["GRID"]
    assert bars.energies_kwh["IMPORT"][:4] == [pytest.approx(7.5)] * 3 + [None]
    assert set(bars.energies_kwh["EXPORT"]) == {None}
    assert bars.coverage_pct[:4] == [100, 100, 100, 0]
    assert bars.quality_rank[:4] == [3, 3, 3, 3]
    assert not any(bars.estimated)


@pytest.mark.django_db
def test_meters_of_one_role_are_summed_and_other_roles_stand_alone(depot):
    store(depot.pk, counting(upto_s=1800, kwh_per_minute=0.5))
    store(depot.pk, counting(upto_s=900, kwh_per_minute=0.25, device="M2", rank=2))
    store(depot.pk, counting(upto_s=1800, kwh_per_minute=1.0, device="P1", role="PV"))
    roll_up(LATER)

    found = series(depot, until=DAY)

    grid, pv = found.roles["GRID"], found.roles["PV"]
    assert grid.energies_kwh["IMPORT"][:2] == [pytest.approx(11.25), pytest.approx(7.5)]
    assert grid.coverage_pct[:2] == [100, 50]
    assert grid.quality_rank[0] == 2
    assert pv.energies_kwh["IMPORT"][:2] == [pytest.approx(15)] * 2


@pytest.mark.django_db
def test_energy_over_a_hole_is_shown_as_estimated(depot):
    store(depot.pk, [Told(after_s=0, values=[100.0]), Told(after_s=1800, values=[106.0])])
    roll_up(LATER)

    found = series(depot, until=DAY).roles["GRID"]

    assert found.energies_kwh["IMPORT"][:2] == [pytest.approx(3)] * 2
    assert (found.estimated[:3], found.coverage_pct[:2]) == ([True, True, False], [0, 0])


@pytest.mark.django_db
@pytest.mark.parametrize("rolled_up", [0, 1, 3, 8])
@pytest.mark.parametrize(
    ("days", "width_px", "tier"),
    [(1, 1000, Tier.QUARTER), (1, 60, Tier.HOUR), (30, 1000, Tier.DAY), (30, 8, Tier.DAY)],
)
def test_bars_are_the_same_however_far_the_counting_has_come(depot, rolled_up, days, width_px, tier):
    store(depot.pk, counting(upto_s=6000, kwh_per_minute=0.5))
    store(depot.pk, counting(upto_s=5940, kwh_per_minute=0.2, device="M2", first_kwh=7.0))
    now = START + timedelta(seconds=6010)
    asked = {"since": 2 * HOUR - days * DAY, "until": 2 * HOUR, "at": now, "width_px": width_px}
    if rolled_up:
        roll_up(START + rolled_up * QUARTER + RULES.grace + timedelta(seconds=300))
    rolled = MeterQuarter.objects.filter(device_id="M1").count()
    early = series(depot, **asked)
    roll_up(LATER)

    late = series(depot, **asked)

    assert (early.axis.tier, rolled) == (tier, min(rolled_up, 7))
    assert early.axis == late.axis
    assert early.unread is None
    for name, values in vars(late.roles["GRID"]).items():
        if name == "energies_kwh":
            for register in REGISTERS:
                assert early.roles["GRID"].energies_kwh[register] == pytest.approx(
                    values[register], nan_ok=True
                )
        else:
            assert getattr(early.roles["GRID"], name) == pytest.approx(values), name


@pytest.mark.django_db
def test_what_is_left_out_when_the_counting_is_far_behind_is_told(depot):
    store(depot.pk, counting(upto_s=6 * 3600))
    roll_up(START + QUARTER + RULES.grace + timedelta(seconds=300))
    now = START + timedelta(hours=6)

    found = series(depot, until=DAY, at=now)

    assert found.unread == (START + QUARTER, START + 3 * HOUR)
    assert [value is None for value in found.roles["GRID"].energies_kwh["IMPORT"][10:14]] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.django_db
def test_only_the_registers_asked_for_are_shown(depot):
    store(depot.pk, counting(upto_s=900))
    roll_up(LATER)

    found = series(depot, registers=["EXPORT"])

    assert list(found.roles["GRID"].energies_kwh) == ["EXPORT"]


@pytest.mark.django_db
def test_many_roles_over_a_long_time_take_a_coarser_tier_or_are_refused(depot, monkeypatch):
    store(depot.pk, counting(upto_s=1800))
    store(depot.pk, counting(upto_s=1800, device="P1", role="PV"))
    roll_up(LATER)
    monkeypatch.setattr("metering.selectors.energy_charts.READ_AT_MOST", 2)

    coarser = series(depot, until=DAY)
    monkeypatch.setattr("metering.selectors.energy_charts.READ_AT_MOST", 1)

    assert coarser.axis.tier is Tier.HOUR
    with pytest.raises(Invalid) as refused:
        series(depot, until=DAY)
    assert refused.value.path == "from_at"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"until": timedelta(0)}, "to_at"),
        ({"width_px": 0}, "width_px"),
        ({"registers": ["import"]}, "registers[0]"),
        ({"since": timedelta(days=-1801)}, "from_at"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_its_path(depot, changes, path):
    with pytest.raises(Invalid) as refused:
        series(depot, **changes)

    assert refused.value.path == path


@pytest.mark.django_db
def test_an_unknown_plant_is_not_found(depot):
    depot.pk += 1

    with pytest.raises(NotFound):
        series(depot)


@pytest.mark.django_db
def test_the_number_of_queries_does_not_grow(depot):
    store(depot.pk, counting(upto_s=6000))
    for number in range(4):
        store(depot.pk, counting(upto_s=6000, device=f"P{number}", role=f"R{number}"))
    roll_up(START + HOUR)
    now = START + timedelta(seconds=6000)

    assert queries_of(lambda: series(depot, until=DAY, at=now)) == 6
    assert queries_of(lambda: series(depot, since=-300 * DAY, until=DAY, at=now)) == 6
    assert queries_of(lambda: series(depot, until=DAY, at=LATER + 9 * DAY)) == 2


@pytest.mark.django_db
def test_a_meter_that_took_over_from_another_does_not_halve_the_coverage(depot):
    store(depot.pk, counting(upto_s=3600, device="OLD"))
    new = [one._replace(after_s=one.after_s + 3600) for one in counting(upto_s=7200, device="NEW")]
    store(depot.pk, new)
    roll_up(LATER)

    (bars,) = series(depot, until=3 * HOUR).roles.values()

    assert bars.coverage_pct == [100] * 12
