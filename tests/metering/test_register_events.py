"""Falls and leaps of registers as rows, and people's decisions on them."""

import pytest

from metering.models import MeterQuarter, RegisterEvent
from metering.registers import Pair, Verdict
from metering.selectors.meter_readings import to_us
from metering.services.meters import rebuild_meters
from metering.services.register_events import decide_register_event, evidence_of
from plants.errors import Conflict, Invalid, NotFound
from tests.factories import plant
from tests.metering.meter_world import (
    HOUR,
    LATER,
    LIMITS,
    RULES,
    START,
    Told,
    assert_same,
    expected,
    roll_up,
    store,
    tables,
)

pytestmark = pytest.mark.django_db
EXCHANGED = [
    Told(after_s=0, values=[500], rank=2),
    Told(after_s=600, values=[70_000], rank=2),
    Told(after_s=660, values=[70_001], rank=2),
]


def counted(depot) -> float | None:
    return MeterQuarter.objects.get(plant=depot, start_at=START).import_kwh


def decide(event: RegisterEvent, **changes) -> RegisterEvent:
    facts = {"kind": "EXCHANGE", "energy_kwh": 4.0, "who": "Eva", "note": "By the fitter's protocol."}
    return decide_register_event(event_id=event.pk, **(facts | changes))


@pytest.fixture
def depot():
    return plant()


@pytest.fixture
def event(depot):
    store(depot.pk, EXCHANGED)
    roll_up()
    return RegisterEvent.objects.get(plant=depot)


def test_an_event_tells_what_it_was_found_by(depot, event):
    assert (event.device_id, event.register, event.kind, event.energy_kwh) == (
        "M1",
        "IMPORT",
        "EXCHANGE",
        None,
    )
    assert (event.before_at, event.before_kwh) == (START, 500)
    assert (to_us(event.after_at) - to_us(START), event.after_kwh) == (600_000_000, 70_000)
    assert (event.found_at, event.decided_by_name) == (LATER, "")
    assert counted(depot) == pytest.approx(1)


def test_an_event_that_is_found_again_is_not_written_again(depot, event):
    store(depot.pk, [Told(after_s=720, values=[70_002])])

    roll_up(LATER + HOUR)

    assert RegisterEvent.objects.get(plant=depot).found_at == event.found_at


def test_what_a_person_decides_counts_and_stays(depot, event):
    decide(event)
    roll_up()
    first = counted(depot)
    store(depot.pk, [Told(after_s=720, values=[70_003])])
    roll_up()
    rebuild_meters(
        plant_ids=[depot.pk], from_at=START, to_at=START + HOUR, at=LATER, rules=RULES, limits=LIMITS
    )

    assert (first, counted(depot)) == (pytest.approx(5), pytest.approx(7))
    row = RegisterEvent.objects.get(plant=depot)
    assert (row.decided_by_name, row.note, row.energy_kwh) == ("Eva", "By the fitter's protocol.", 4.0)
    assert MeterQuarter.objects.get(plant=depot, start_at=START).estimated
    pair = Pair("IMPORT", to_us(START), to_us(START) + 600_000_000, 500, 70_000)
    assert_same(tables(depot), expected(depot, power_kw=100.0, decided={pair: Verdict(row.kind, 4.0)}))


def test_an_ignored_event_counts_as_measured_and_is_no_event_of_its_interval(depot, event):
    decide(event, kind="IGNORED", energy_kwh=69_500.0)
    roll_up()
    roll_up(LATER + HOUR)

    quarter = MeterQuarter.objects.get(plant=depot, start_at=START)
    assert (quarter.import_kwh, quarter.events) == (pytest.approx(69_501), "")
    assert RegisterEvent.objects.get(plant=depot).decided_by_name == "Eva"


def test_a_decision_about_other_readings_than_are_there_is_refused(depot, event):
    seen = evidence_of(event)
    store(depot.pk, [Told(after_s=540, values=[504])])
    roll_up()

    with pytest.raises(Conflict):
        decide(event, seen=seen)

    assert RegisterEvent.objects.get(plant=depot).decided_by_name == ""


def test_a_decision_on_a_long_hole_counts_in_all_of_its_intervals(depot):
    store(depot.pk, [Told(after_s=0, values=[70_000]), Told(after_s=4 * 3600, values=[9000])])
    roll_up()

    decide(RegisterEvent.objects.get(plant=depot), energy_kwh=32.0)
    done = roll_up()

    rows = MeterQuarter.objects.filter(plant=depot, start_at__lt=START + 4 * HOUR)
    assert [row.import_kwh for row in rows] == [pytest.approx(2)] * 16
    assert done.quarters == 16


def test_a_decision_that_nothing_is_known_takes_energy_out(depot):
    store(depot.pk, [Told(after_s=0, values=[5000]), Told(after_s=600, values=[3])])
    roll_up()
    before = counted(depot)

    decide(RegisterEvent.objects.get(plant=depot), energy_kwh=None)
    roll_up()

    assert (before, counted(depot)) == (pytest.approx(3), None)


def test_when_a_reading_comes_between_the_decision_is_asked_for_again(depot, event):
    decide(event)
    roll_up()

    store(depot.pk, [Told(after_s=540, values=[504])])
    roll_up()

    row = RegisterEvent.objects.get(plant=depot)
    assert (row.decided_by_name, row.energy_kwh, row.before_kwh) == ("", None, 504)
    assert row.note.startswith(
        "Decide again: other readings have come. Eva had decided EXCHANGE, 4 kWh, between"
    )
    assert row.note.endswith("By the fitter's protocol.")
    assert counted(depot) == pytest.approx(5)


def test_a_decision_on_what_no_longer_is_an_event_stays_and_counts_for_nothing(depot, event):
    decide(event)
    roll_up()

    store(depot.pk, [Told(after_s=600, values=[501], rank=3), Told(after_s=660, values=[502], rank=3)])
    roll_up()

    assert RegisterEvent.objects.get(plant=depot).decided_by_name == "Eva"
    assert counted(depot) == pytest.approx(2)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"kind": "BROKEN"}, "kind"),
        ({"kind": "IGNORED", "energy_kwh": None}, "energy_kwh"),
        ({"energy_kwh": -1.0}, "energy_kwh"),
        ({"energy_kwh": float("nan")}, "energy_kwh"),
        ({"energy_kwh": float("inf")}, "energy_kwh"),
        ({"who": " "}, "who"),
        ({"note": "x" * 501}, "note"),
    ],
)
def test_a_decision_that_is_none_is_refused(event, changes, path):
    with pytest.raises(Invalid) as refused:
        decide(event, **changes)

    assert refused.value.path == path
    assert RegisterEvent.objects.get(pk=event.pk).decided_by_name == ""


def test_an_event_that_is_not_there_can_not_be_decided(event):
    RegisterEvent.objects.all().delete()

    with pytest.raises(NotFound):
        decide(event)
