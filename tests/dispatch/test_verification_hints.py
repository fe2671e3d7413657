"""What explains a target that was missed: charge, limits, alarms, silence."""

import pytest

from dispatch.models import Proof
from plants.models import Alarm, PlantState, TimeConfigOrigin
from plants.services.time_config import Author, set_time_config
from plants.time_config import Block
from tests import factories
from tests.dispatch.helpers import setpoint
from tests.dispatch.proof_world import MINUTE, SLOT, judged, measure, proof_of, sent
from tests.factories import AT

pytestmark = pytest.mark.django_db


# --- hints ------------------------------------------------------------------------------------------------------------


def test_an_empty_battery_explains_what_is_missing():
    plant = factories.plant(soc_min_pct=10.0)
    command = sent(plant, setpoint(10.0))
    measure(plant, -2.0, soc_pct=10.2)

    assert judged(command).hint == "SOC_AT_BOUND"


def test_a_battery_that_ran_empty_within_the_time_explains_what_is_missing():
    plant = factories.plant(soc_min_pct=10.0)
    command = sent(plant, setpoint(10.0))
    measure(plant, -10.0, until=AT + 8 * MINUTE, soc_pct=20.0)
    measure(plant, 0.0, since=AT + 8 * MINUTE, until=AT + SLOT, soc_pct=10.0)

    assert (judged(command).verdict, proof_of(command).hint) == (Proof.OFF_TARGET, "SOC_AT_BOUND")


@pytest.mark.parametrize(
    ("minutes", "made_at", "enabled", "expected"),
    [
        ((180, 300), AT - MINUTE, True, "SOC_AT_BOUND"),  # AT is 03:00 in UTC, 04:00 on the plant's clock
        ((0, 240), AT - MINUTE, True, ""),
        ((255, 1440), AT - MINUTE, True, ""),
        ((254, 1440), AT - MINUTE, True, "SOC_AT_BOUND"),
        ((180, 300), AT + 2 * MINUTE, True, ""),
        ((180, 300), AT - MINUTE, False, ""),
    ],
    ids=["its hour", "before", "after", "reaches in", "made later", "not used"],
)
def test_the_charge_that_the_time_config_keeps_is_a_bound_in_its_hours(minutes, made_at, enabled, expected):
    plant = factories.plant(soc_min_pct=10.0, time_zone="Europe/Prague", config_enabled=enabled)
    start, end = minutes
    rest = [Block(start_minute=low, end_minute=high, p_bat_min_kw=-5, p_bat_max_kw=5, soc_min_pct=10, soc_max_pct=90)
            for low, high in ((0, start), (end, 1440)) if low < high]  # fmt: skip
    keeps = Block(
        start_minute=start, end_minute=end, p_bat_min_kw=-5, p_bat_max_kw=5, soc_min_pct=40, soc_max_pct=90
    )
    set_time_config(
        plant_id=plant.pk,
        blocks=[*rest, keeps],
        origin=TimeConfigOrigin.PERSON,
        author=Author(name="op"),
        at=made_at,
    )
    command = sent(plant, setpoint(10.0))
    measure(plant, -2.0, soc_pct=40.2)

    assert judged(command).hint == expected


def test_a_full_battery_does_not_explain_a_missing_discharge():
    plant = factories.plant(soc_max_pct=90.0)
    command = sent(plant, setpoint(10.0))
    measure(plant, -2.0, soc_pct=90.0)

    assert judged(command).hint == ""


@pytest.mark.parametrize(
    ("cleared_after", "expected"), [(None, "DEVICE_FAULT"), (10, "DEVICE_FAULT"), (0, "")]
)
def test_an_alarm_of_a_device_explains_a_miss_while_it_was_open(cleared_after, expected):
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -2.0)
    raised = AT - MINUTE
    Alarm.objects.create(
        connection=plant.connection, plant=plant, alarm_id="a", severity="ERROR", code="FAULT", device_id="B1",
        raised_at=raised, cleared_at=None if cleared_after is None else AT + cleared_after * MINUTE,
        told_at=raised, received_at=raised,
    )  # fmt: skip

    assert judged(command).hint == expected


@pytest.mark.parametrize(("others_at", "expected"), [(AT + SLOT, "SITE_OFFLINE"), (AT - MINUTE, "")])
def test_a_plant_that_is_silent_while_others_are_heard_is_offline(others_at, expected):
    plant = factories.plant()
    other = factories.plant(on=plant.connection)
    for one, at in ((plant, AT - MINUTE), (other, others_at)):
        PlantState.objects.filter(plant=one).update(measured_at=at)
    command = sent(plant, setpoint(10.0))

    proof = judged(command)

    assert (proof.verdict, proof.hint) == (Proof.NO_DATA, expected)


def test_the_limit_of_the_site_explains_what_is_missing_of_the_plants_own_power():
    plant = factories.plant(max_export_kw=50.0)
    command = sent(plant, setpoint(40.0, include_consumption=False))
    measure(plant, -49.9, battery_power_kw=-20.0, fve_power_kw=10.0)

    assert judged(command).hint == "LIMITED"
