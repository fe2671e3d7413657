"""Energy from registers in the tables: what is counted when, what a late reading changes, how long a day is."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from metering.models import Meter, MeterDay, MeterHour, MeterQuarter, RegisterEvent, RollupDue, Stream
from metering.selectors.periods import rollup_backlog
from metering.services.due import fold_marks
from metering.services.meters import MetersRolled, rebuild_meters, roll_up_meter_chunk, roll_up_meters
from plants.errors import Invalid
from plants.models import Plant
from tests.factories import plant
from tests.metering.meter_world import (
    HOUR,
    LATER,
    LIMITS,
    NOTHING,
    QUARTER,
    RULES,
    START,
    Told,
    assert_same,
    counting,
    expected,
    roll_up,
    store,
    tables,
)
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
WAIT = RULES.grace + timedelta(seconds=300)
"""After its end a quarter-hour waits for its grace, and for the readings that soon follow."""


def quarter(depot: Plant, number: int = 0, device: str = "M1") -> MeterQuarter:
    return MeterQuarter.objects.get(plant=depot, device_id=device, start_at=START + number * QUARTER)


def test_a_quarter_hour_is_counted_when_what_soon_follows_it_is_in():
    depot = plant()
    store(depot.pk, counting(upto_s=1200))

    early = roll_up(START + QUARTER + WAIT - timedelta(seconds=1))
    ready = roll_up(START + QUARTER + WAIT)

    # Readings from START on also complete the quarter-hour before it, of which nothing is known.
    assert (early.quarters, ready.quarters) == (1, 1)
    row = quarter(depot)
    assert row.import_kwh == pytest.approx(7.5)
    assert (row.role, row.readings, row.covered_s, row.coverage_pct) == ("GRID", 15, 900, 100)
    assert (row.quality_rank, row.estimated, row.events) == (3, False, "")
    assert MeterQuarter.objects.count() == 1


def test_what_comes_on_time_is_counted_once():
    depot = plant()
    times = [START + n * QUARTER + WAIT for n in range(1, 5)]
    for moment, before in zip(times, [START - QUARTER, *times], strict=False):
        store(depot.pk, [one for one in counting(upto_s=4500) if before < one.at <= moment])
        roll_up(moment)

    counted_at = dict(MeterQuarter.objects.values_list("start_at", "computed_at"))
    assert counted_at == {START + n * QUARTER: times[n] for n in range(4)}


def test_nothing_is_left_to_do_and_nothing_is_done_twice():
    depot = plant()
    store(depot.pk, counting(upto_s=3600))

    first = roll_up()

    assert first == MetersRolled(marks=6, quarters=6, more=False)
    assert roll_up() == NOTHING


def test_a_late_reading_has_only_its_own_intervals_counted_again():
    depot = plant()
    store(depot.pk, [one for one in counting(upto_s=4 * 3600) if one.after_s != 5400])
    roll_up()
    again = LATER + HOUR

    store(depot.pk, [Told(after_s=5400 - 60 * 5 + 1, values=[143.0])])
    roll_up(again)

    fresh = MeterQuarter.objects.filter(computed_at=again).values_list("start_at", flat=True)
    assert list(fresh) == [START + 5 * QUARTER, START + 6 * QUARTER]
    assert list(MeterHour.objects.filter(computed_at=again).values_list("start_at", flat=True)) == [
        START + HOUR
    ]
    assert MeterDay.objects.filter(computed_at=again).count() == 1
    assert_same(tables(depot), expected(depot, power_kw=100.0))


def test_a_reading_far_away_changes_every_quarter_hour_between_it_and_its_neighbours():
    depot = plant()
    store(depot.pk, [Told(after_s=0, values=[10])])
    roll_up()

    store(depot.pk, [Told(after_s=4 * 3600, values=[26])])
    roll_up()

    rows = MeterQuarter.objects.filter(plant=depot, start_at__lt=START + 4 * HOUR).order_by("start_at")
    assert [row.import_kwh for row in rows] == [pytest.approx(1)] * 16
    assert {row.estimated for row in rows} == {True}
    assert MeterDay.objects.get(plant=depot).import_kwh == pytest.approx(16)


def test_a_register_told_once_in_hours_is_counted_over_all_of_them_whatever_else_comes():
    depot = plant()
    often = [Told(after_s=60 * n, values=[float(n)]) for n in range(241)]
    seldom = [Told(after_s=30 + 3600 * n, values=[None, None, 8.0 * n]) for n in range(4)]
    store(depot.pk, [*often, *seldom])
    roll_up()

    store(depot.pk, [Told(after_s=5000, values=[83.4])])
    roll_up(LATER + HOUR)

    rows = MeterQuarter.objects.filter(plant=depot, start_at__gt=START, start_at__lt=START + 3 * HOUR)
    assert [row.production_kwh for row in rows] == [pytest.approx(2)] * 11
    assert_same(tables(depot), expected(depot, power_kw=100.0))


def test_what_one_part_of_a_chunk_tells_of_a_meter_counts_in_its_other_parts():
    depot = plant()
    store(depot.pk, [Told(after_s=n, values=[None, None, 5.0 + n / 3600]) for n in (0, 7200)])
    store(depot.pk, [Told(after_s=3600 + 400, values=[7.0])])

    roll_up()

    assert quarter(depot, 4).production_kwh == pytest.approx(0.25)
    assert Meter.objects.get(plant=depot).registers == 0b00101


def test_meters_of_a_plant_are_counted_each_for_itself():
    depot = plant()
    store(depot.pk, counting(upto_s=900) + counting(upto_s=900, device="M2", kwh_per_minute=1, role="PV"))

    roll_up()

    assert quarter(depot).import_kwh == pytest.approx(7.5)
    assert quarter(depot, device="M2").import_kwh == pytest.approx(15)


def test_a_correction_takes_back_what_it_makes_plain():
    depot = plant()
    store(
        depot.pk,
        [
            Told(after_s=0, values=[500]),
            Told(after_s=60, values=[1], rank=1),
            Told(after_s=120, values=[501]),
        ],
    )
    roll_up()
    before = dict(RegisterEvent.objects.values_list("after_kwh", "kind"))

    store(depot.pk, [Told(after_s=60, values=[500.5], rank=3)])
    roll_up()

    assert before == {1: "RESET", 501: "EXCHANGE"}
    assert not RegisterEvent.objects.exists()
    assert (quarter(depot).import_kwh, quarter(depot).events) == (pytest.approx(1), "")


def test_a_correction_that_leaves_nothing_known_takes_the_intervals_back():
    depot = plant()
    store(depot.pk, [Told(after_s=0, values=[500], rank=1)])
    roll_up()
    before = MeterQuarter.objects.count(), MeterHour.objects.count(), MeterDay.objects.count()

    store(depot.pk, [Told(after_s=0, values=[None], rank=3)])
    roll_up()

    assert before == (1, 1, 1)
    assert tables(depot) == {"quarters": {}, "hours": {}, "days": {}, "events": {}}


def test_readings_of_quality_missing_count_for_nothing():
    depot = plant()
    store(depot.pk, [Told(after_s=0, values=[500]), Told(after_s=60, values=[0], rank=0, missing=True)])
    store(depot.pk, [Told(after_s=120, values=[501])])

    roll_up()

    assert (quarter(depot).import_kwh, quarter(depot).readings, quarter(depot).quality_rank) == (
        pytest.approx(1),
        2,
        3,
    )


def test_a_plant_s_own_period_says_what_a_hole_is():
    depot = plant()
    depot.stream_periods.create(stream=Stream.METER, valid_from=START - HOUR, period_s=300, source="SET")
    store(depot.pk, [Told(after_s=n, values=[10]) for n in (0, 900)])

    roll_up()

    assert (quarter(depot).covered_s, quarter(depot).estimated) == (900, False)


def test_a_plant_whose_powers_are_not_known_is_judged_by_the_setting():
    depot = plant(
        assets=[],
        max_import_kw=None,
        max_export_kw=0,
        max_charge_kw=None,
        max_discharge_kw=None,
        fve_peak_power_kwp=None,
    )
    readings = [Told(after_s=0, values=[10]), Told(after_s=900, values=[10 + 1.5 * 40 / 2 - 0.1])]
    store(depot.pk, readings)
    roll_up_meters(at=LATER, rules=RULES, limits=replace(LIMITS, power_max_kw=40))
    plain = quarter(depot).events

    store(depot.pk, readings)
    roll_up_meters(at=LATER, rules=RULES, limits=replace(LIMITS, power_max_kw=39))

    assert (plain, quarter(depot).events) == ("", "EXCHANGE")


@pytest.mark.parametrize(
    ("zone", "day", "begin", "hours"),
    [
        ("Europe/Prague", date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        ("Europe/Prague", date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        ("Asia/Kathmandu", date(2026, 6, 1), datetime(2026, 5, 31, 18, 15, tzinfo=UTC), 24),
    ],
)
def test_a_local_day_has_the_hours_that_its_zone_gives_it(zone, day, begin, hours):
    depot = plant(time_zone=zone)
    first_s = (begin - START).total_seconds()
    # 1 kWh in each quarter-hour, from an hour before the day to an hour after it.
    store(
        depot.pk,
        [Told(after_s=first_s + 180 * n, values=[n / 5]) for n in range(-20, (hours + 1) * 20 + 1)],
    )

    roll_up(begin + timedelta(days=3))

    row = MeterDay.objects.get(plant=depot, day=day)
    assert (row.start_at, row.end_at) == (begin, begin + timedelta(hours=hours))
    assert row.import_kwh == pytest.approx(4 * hours)
    assert (row.covered_s, row.coverage_pct, row.readings) == (3600 * hours, 100, 20 * hours)


def test_a_plant_that_was_deleted_in_the_meantime_is_left_out():
    gone, depot = plant(), plant()
    store(gone.pk, counting(upto_s=900))
    store(depot.pk, counting(upto_s=900))
    fold_marks()
    Plant.objects.filter(pk=gone.pk).delete()

    roll_up()

    assert set(MeterQuarter.objects.values_list("plant_id", flat=True)) == {depot.pk}
    assert not RollupDue.objects.exists()


def test_quarter_hours_whose_readings_may_be_gone_are_left_as_they_are():
    depot = plant()
    store(depot.pk, counting(upto_s=900))
    roll_up()
    before = tables(depot)

    store(depot.pk, [Told(after_s=30, values=[900])])
    roll_up(START + RULES.readings_kept)

    assert tables(depot) == before


def test_a_backlog_is_worked_off_oldest_first_chunk_by_chunk():
    depots = [plant() for _ in range(3)]
    for depot in depots:
        store(depot.pk, counting(upto_s=3600))
    fold_marks()
    rules = replace(RULES, chunk=4)

    roll_up_meter_chunk(at=LATER, rules=rules, limits=LIMITS)
    behind = rollup_backlog(stream=Stream.METER, at=LATER, rules=rules)
    while roll_up_meter_chunk(at=LATER, rules=rules, limits=LIMITS):
        pass

    assert (behind.quarters, behind.oldest_start) == (3 * 6 - 4, START)
    for depot in depots:
        assert_same(tables(depot), expected(depot, power_kw=100.0))


def test_a_quarter_hour_that_waits_for_its_readings_is_no_backlog():
    store(plant().pk, counting(upto_s=1000))
    fold_marks()

    behind = rollup_backlog(
        stream=Stream.METER, at=START + QUARTER + WAIT - timedelta(seconds=1), rules=RULES
    )

    assert (behind.quarters, behind.oldest_start) == (1, START - QUARTER)


@pytest.mark.postgresql
def test_a_chunk_costs_the_same_number_of_statements_however_many_plants_it_holds():
    def costs(plants: int) -> int:
        for depot in [plant() for _ in range(plants)]:
            store(depot.pk, counting(upto_s=1200))
        roll_up(START + timedelta(minutes=10))
        return queries_of(lambda: roll_up_meter_chunk(at=START + QUARTER + WAIT, rules=RULES, limits=LIMITS))

    costs(1)  # partitions are made and remembered

    assert costs(2) == costs(8)


# --- rebuild ----------------------------------------------------------------------------------------------------------


def rebuild(depot: Plant, **changes) -> int:
    facts = {
        "from_at": START - HOUR,
        "to_at": START + 8 * HOUR,
        "at": LATER,
        "rules": RULES,
        "limits": LIMITS,
    }
    return rebuild_meters(plant_ids=[depot.pk], **(facts | changes))


def test_a_rebuild_makes_good_what_was_lost_changed_or_added():
    depot = plant()
    store(depot.pk, [*counting(upto_s=7200), Told(after_s=7260, values=[3.0])])
    roll_up()
    right = tables(depot)
    MeterQuarter.objects.filter(plant=depot, start_at=START).delete()
    MeterQuarter.objects.filter(plant=depot, start_at=START + QUARTER).update(import_kwh=99)
    row = quarter(depot, 2)
    MeterQuarter.objects.filter(plant=depot, start_at=START + 2 * QUARTER).update(device_id="M9")
    RegisterEvent.objects.filter(plant=depot).update(energy_kwh=1000)

    rebuild(depot)

    assert row.device_id == "M1"
    assert_same(tables(depot), right)


def test_a_rebuild_tells_how_much_it_looked_at_and_stops_at_what_has_not_ended():
    depot = plant()
    store(depot.pk, counting(upto_s=3600))

    looked_at = rebuild(depot, from_at=START, at=START + 2 * QUARTER + WAIT)

    assert looked_at == 2
    assert MeterQuarter.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "path"),
    [({"to_at": START - HOUR}, "to_at"), ({"at": START + RULES.readings_kept}, "from_at")],
)
def test_a_rebuild_of_nothing_or_of_what_is_no_longer_kept_is_refused(changes, path):
    with pytest.raises(Invalid) as refused:
        rebuild(plant(), **changes)

    assert refused.value.path == path
