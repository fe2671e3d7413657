"""Reading energy: by interval and role, and as the balance of a local day."""

from datetime import date, datetime, timedelta

import pytest

from metering.selectors.energy import EnergyInterval, energy_balance, energy_of_plant
from plants.errors import Invalid, NotFound
from tests.factories import plant
from tests.metering.meter_world import HOUR, QUARTER, START, Told, counting, roll_up, store
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def read(depot, interval=EnergyInterval.QUARTER, **changes):
    facts = {"from_at": START, "to_at": START + 2 * HOUR, "limit": 100}
    return energy_of_plant(plant_id=depot.pk, interval=interval, **(facts | changes))


def site(depot) -> None:
    """An hour of a grid meter, a meter of a load and one of PV."""
    grid = [
        Told(after_s=180 * n, values=[10 + n, 20 + n / 10], rank=2 if n == 3 else 3, device="G")
        for n in range(21)
    ]
    load = [Told(after_s=180 * n, values=[500 + 2 * n], device="L", role="LOAD") for n in range(21)]
    pv = [Told(after_s=180 * n, values=[None, None, 7 + n / 2], device="P", role="PV") for n in range(21)]
    store(depot.pk, [*grid, *load, *pv])
    roll_up()


def test_energy_is_told_by_interval_and_role():
    depot = plant()
    site(depot)

    page = read(depot, to_at=START + 2 * QUARTER)

    told = [(row.start_at, row.end_at, row.role, row.import_kwh, row.production_kwh) for row in page.rows]
    assert told == [
        (START, START + QUARTER, "GRID", pytest.approx(5), None),
        (START, START + QUARTER, "LOAD", pytest.approx(10), None),
        (START, START + QUARTER, "PV", None, pytest.approx(2.5)),
        (START + QUARTER, START + 2 * QUARTER, "GRID", pytest.approx(5), None),
        (START + QUARTER, START + 2 * QUARTER, "LOAD", pytest.approx(10), None),
        (START + QUARTER, START + 2 * QUARTER, "PV", None, pytest.approx(2.5)),
    ]
    assert (page.rows[0].coverage_pct, page.rows[0].quality_rank, page.rows[1].quality_rank) == (100, 2, 3)
    assert page.next_from is None


def test_a_meter_that_takes_over_with_the_same_role_goes_on_with_its_sum():
    depot = plant()
    store(depot.pk, counting(upto_s=900, device="OLD"))
    store(
        depot.pk,
        [one._replace(after_s=one.after_s + 900) for one in counting(upto_s=900, device="NEW", first_kwh=0)],
    )
    roll_up()

    (row,) = read(depot, EnergyInterval.HOUR).rows

    assert (row.import_kwh, row.meters, row.events) == (pytest.approx(15), 2, ())
    assert row.coverage_pct == 25


def test_pages_follow_each_other_without_gap_or_repetition():
    depot = plant()
    store(depot.pk, counting(upto_s=7200))
    roll_up()

    starts, from_at = [], START
    while from_at is not None:
        page = read(depot, from_at=from_at, limit=3)
        starts += [row.start_at for row in page.rows]
        from_at = page.next_from

    assert starts == [START + n * QUARTER for n in range(8)]


@pytest.mark.parametrize("interval", EnergyInterval)
def test_a_page_is_one_statement(interval):
    depot = plant()
    site(depot)

    assert queries_of(lambda: read(depot, interval)) == 1


def test_days_are_local_ones():
    depot = plant(time_zone="Asia/Kathmandu")
    store(depot.pk, [Told(after_s=180 * n, values=[n / 5]) for n in range(481)])
    roll_up()

    days = read(
        depot, EnergyInterval.DAY, from_at=START - timedelta(days=1), to_at=START + timedelta(days=2)
    ).rows

    assert [day.end_at - day.start_at for day in days] == [timedelta(hours=24)] * 2
    assert sum(day.import_kwh for day in days) == pytest.approx(96)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"to_at": START}, "to_at"),
        ({"from_at": datetime(2026, 1, 1)}, "from_at"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, path):
    with pytest.raises(Invalid) as refused:
        read(plant(), **changes)

    assert refused.value.path == path


def test_the_balance_of_a_day_takes_import_and_export_from_the_grid_meter():
    depot = plant()
    site(depot)

    balance = energy_balance(plant_id=depot.pk, day=date(2026, 3, 10))

    assert (balance.import_kwh, balance.export_kwh) == (pytest.approx(20), pytest.approx(2))
    assert (balance.production_kwh, balance.charge_kwh, balance.discharge_kwh) == (
        pytest.approx(10),
        None,
        None,
    )
    assert (balance.quality_rank, balance.estimated, balance.events) == (2, False, ())
    assert balance.coverage_pct == pytest.approx(100 / 24)
    assert not balance.complete


def test_without_a_grid_meter_all_meters_count():
    depot = plant()
    store(depot.pk, counting(upto_s=900, role="") + counting(upto_s=900, role="", device="M2"))
    roll_up()

    assert energy_balance(plant_id=depot.pk, day=date(2026, 3, 10)).import_kwh == pytest.approx(15)


def test_a_day_that_is_covered_from_midnight_to_midnight_is_complete():
    depot = plant(time_zone="UTC")
    store(depot.pk, [Told(after_s=180 * n, values=[1000 + n / 5]) for n in range(-250, 260)])
    roll_up()

    balance = energy_balance(plant_id=depot.pk, day=date(2026, 3, 10))

    assert (balance.complete, balance.import_kwh, balance.coverage_pct) == (True, pytest.approx(96), 100)


def test_a_day_of_which_nothing_is_known_has_no_energy():
    balance = energy_balance(plant_id=plant().pk, day=date(2026, 3, 10))

    assert (balance.import_kwh, balance.coverage_pct, balance.quality_rank, balance.complete) == (
        None,
        0,
        None,
        False,
    )


def test_the_balance_of_an_unknown_plant_is_refused():
    with pytest.raises(NotFound):
        energy_balance(plant_id=0, day=date(2026, 3, 10))


def told_until(device: str, role: str, steps: int) -> list[Told]:
    """A reading each three minutes from the evening of the 9th until so many steps after noon of the 10th."""
    return [
        Told(after_s=180 * n, values=[1000 + n / 5], device=device, role=role) for n in range(-250, steps)
    ]


def test_a_day_on_which_the_grid_meter_is_silent_is_not_complete_and_no_other_meter_speaks_for_it():
    depot = plant(time_zone="UTC")
    store(depot.pk, told_until("G", "GRID", 230) + told_until("L", "LOAD", 730))
    roll_up()

    balance = energy_balance(plant_id=depot.pk, day=date(2026, 3, 11))

    assert (balance.complete, balance.import_kwh, balance.coverage_pct) == (False, None, 100)


@pytest.mark.parametrize(("device", "role"), [("NEW", "GRID"), ("G", "MAIN")])
def test_a_meter_that_was_exchanged_or_got_another_role_is_not_missed(device, role):
    depot = plant(time_zone="UTC")
    store(depot.pk, told_until("G", "GRID", 230))
    store(
        depot.pk,
        [Told(after_s=180 * n, values=[1000 + n / 5], device=device, role=role) for n in range(240, 730)],
    )
    roll_up()

    balance = energy_balance(plant_id=depot.pk, day=date(2026, 3, 11))

    assert (balance.complete, balance.import_kwh) == (True, pytest.approx(96))


def test_a_balance_is_three_statements():
    depot = plant()
    site(depot)

    assert queries_of(lambda: energy_balance(plant_id=depot.pk, day=date(2026, 3, 10))) == 3
