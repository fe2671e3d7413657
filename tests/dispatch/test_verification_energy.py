"""Verified by measurement: energies, by the registers of meters where there are any, else by integrated power."""

from datetime import timedelta

import pytest
from django.db.models import F

from dispatch.models import Proof
from metering.models import RegisterEvent
from plants.models import MeterReading
from tests import factories
from tests.dispatch.helpers import energy, setpoint
from tests.dispatch.proof_world import SLOT, count, judged, measure, sent
from tests.factories import AT
from vcp import Direction

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def test_an_energy_is_judged_by_the_difference_of_the_registers():
    """10 kW for a quarter of an hour; the readings are not on the minute, so their differences are spread."""
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    count(plant, export_kw=10.0)
    measure(plant, 99.0)

    proof = judged(command)

    assert (proof.verdict, proof.source, proof.unit) == (Proof.VERIFIED, "METER", "kWh")
    assert (proof.from_at, proof.to_at) == (AT, AT + SLOT)
    assert (proof.target, proof.measured) == (-2.5, pytest.approx(-2.5))
    assert proof.tolerance == pytest.approx(0.125)
    assert proof.coverage_pct == pytest.approx(100.0)


def test_import_and_export_are_netted():
    plant = factories.plant()
    command = sent(plant, energy(1.0, 15, direction=Direction.IMPORT))
    count(plant, import_kw=10.0, export_kw=2.0)

    proof = judged(command)

    assert (proof.verdict, proof.measured) == (Proof.OFF_TARGET, pytest.approx(2.0))
    assert proof.off_by == pytest.approx(1.0)


def test_without_a_meter_the_power_is_integrated_and_the_row_says_so():
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    measure(plant, lambda s: -20.0 if s < 450 else 0.0)

    proof = judged(command)

    assert (proof.verdict, proof.source, proof.measured) == ("VERIFIED", "TELEMETRY", pytest.approx(-2.5))


def test_a_meter_that_tells_one_direction_only_does_not_count():
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    count(plant, export_kw=10.0)
    MeterReading.objects.update(import_register_kwh=None)
    measure(plant, -10.0)

    assert judged(command).source == "TELEMETRY"


def test_the_meter_at_the_grid_counts_and_no_other():
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    count(plant, export_kw=10.0)
    count(plant, export_kw=50.0, device_id="M2", role="PV")

    assert judged(command).measured == pytest.approx(-2.5)


def test_the_plants_own_energy_is_that_of_its_own_meters():
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15, include_consumption=False))
    count(plant, export_kw=40.0)
    for device, column, kw in (("B1", "discharge_register_kwh", 6.0), ("S1", "production_register_kwh", 4.0)):
        count(plant, device_id=device, role="OTHER", import_kw=kw)
        MeterReading.objects.filter(device_id=device).update(
            **{column: F("import_register_kwh")},
            charge_register_kwh=7.0,
            import_register_kwh=None,
            export_register_kwh=None,
        )

    proof = judged(command)

    assert (proof.source, proof.measured) == ("METER", pytest.approx(-2.5))


def test_a_hole_within_the_interval_loses_nothing():
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    count(plant, export_kw=10.0)
    MeterReading.objects.filter(reading_at__gt=AT + 3 * MINUTE, reading_at__lt=AT + 12 * MINUTE).delete()

    proof = judged(command)

    assert (proof.verdict, proof.measured) == (Proof.VERIFIED, pytest.approx(-2.5))
    assert proof.coverage_pct == pytest.approx(100.0)


def test_a_hole_over_the_bound_is_an_estimate_and_covers_nothing():
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    count(plant, export_kw=10.0, until=AT + SLOT + 10 * MINUTE)
    MeterReading.objects.filter(
        reading_at__gt=AT + 3 * MINUTE, reading_at__lt=AT + SLOT + 5 * MINUTE
    ).delete()

    assert judged(command).verdict == Proof.NO_DATA


def test_a_register_that_began_again_at_zero_goes_on():
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    count(plant, export_kw=10.0)
    for row in MeterReading.objects.filter(reading_at__gt=AT + 7 * MINUTE).order_by("reading_at"):
        began = 1000 + 10.0 * 8 / 60
        MeterReading.objects.filter(plant=plant, reading_at=row.reading_at).update(
            export_register_kwh=row.export_register_kwh - began
        )

    proof = judged(command)

    assert proof.verdict == Proof.VERIFIED
    assert proof.measured == pytest.approx(-2.5, abs=0.2)


def test_what_a_person_decided_about_a_register_counts():
    """A leap of 400 kWh is an exchange of the meter for us; a person says that 4 kWh were counted."""
    plant = factories.plant(max_import_kw=100.0)
    command = sent(plant, energy(2.5, 15))
    count(plant, export_kw=0.0)
    MeterReading.objects.filter(reading_at__gt=AT + 7 * MINUTE).update(export_register_kwh=1400.0)
    before, after = (
        MeterReading.objects.filter(reading_at__lt=AT + 7 * MINUTE).order_by("-reading_at")[0],
        MeterReading.objects.filter(reading_at__gt=AT + 7 * MINUTE).order_by("reading_at")[0],
    )
    RegisterEvent.objects.create(
        plant=plant, device_id="M1", register="EXPORT", kind="EXCHANGE", before_at=before.reading_at,
        after_at=after.reading_at, before_kwh=1000.0, after_kwh=1400.0, energy_kwh=2.5, found_at=AT,
        decided_by_name="Ann",
    )  # fmt: skip

    assert judged(command).measured == pytest.approx(-2.5)


def test_an_energy_whose_interval_was_cut_short_proves_nothing():
    plant = factories.plant()
    first = sent(plant, energy(2.5, 15))
    sent(plant, setpoint(0.0, valid_from=AT + 10 * MINUTE), at=AT + 10 * MINUTE)
    count(plant, export_kw=10.0)

    assert judged(first).verdict == Proof.NOT_IN_FORCE


def test_two_meters_that_take_turns_are_left_to_the_telemetry():
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    count(plant, export_kw=10.0, until=AT + 5 * MINUTE)
    count(plant, export_kw=10.0, since=AT + 5 * MINUTE, device_id="M2")
    measure(plant, -10.0)

    proof = judged(command)

    assert (proof.source, proof.measured) == ("TELEMETRY", pytest.approx(-2.5))
