"""As you type: limits with the nearest value that fits, the charge at the end, what it is above, what refuses it."""

from datetime import timedelta

import pytest

from dispatch.models import Command
from plants.models import ConnectionMode, Plant, PlantState
from plants.services.connections import set_connection_dispatch
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.admin.seed_plans import make_override, make_plan
from tests.console.acting.helpers import HX, acting_plant, check, review, url, words
from tests.dispatch.helpers import ask, stop_now
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def codes(response):
    return [one.code for one in response.context["findings"] if one.family == "fail"]


@pytest.mark.parametrize(
    ("tab", "changes", "told", "use"),
    [
        ("setpoint", {"amount": "51"}, "1.0 kW over the export limit. Nearest that fits: 50 kW.", "50"),
        (
            "setpoint",
            {"amount": "101", "direction": "IMPORT"},
            "over the import limit. Nearest that fits: 100 kW.",
            "100",
        ),
        (
            "setpoint",
            {"amount": "30", "target": "ENERGY", "interval_minutes": "30"},
            "10 kW over the export limit. Nearest that fits: 25 kWh.",
            "25",
        ),
        ("device", {"amount": "41"}, "1.0 kW over the rated power of B1. Nearest that fits: 40 kW.", "40"),
    ],
)
def test_a_limit_is_named_with_the_nearest_amount_that_fits(operator_client, plant, tab, changes, told, use):
    checked = check(operator_client, plant, tab, **changes)
    fits = check(operator_client, plant, tab, **changes | {"amount": use})

    assert told in words(checked)
    assert [one.use for one in checked.context["findings"] if one.use] == [use]
    assert (codes(checked), checked.context["blocked"]) == (["CONSTRAINT_VIOLATION"], True)
    assert (codes(fits), fits.context["blocked"]) == ([], False)


def test_the_limit_of_all_batteries_counts_too(operator_client, plant_with):
    plant = plant_with(max_discharge_kw=25.0)

    assert "battery limit of the site. Nearest that fits: 25 kW." in words(
        check(operator_client, plant, "device")
    )


@pytest.mark.parametrize(
    ("tab", "changes", "told"),
    [
        # 20 kW of export with 10 kW of sun and 4 kW of load: 14 kW for half an hour out of 80 kWh are 9 %.
        ("setpoint", {}, "Battery reaches about 41 % at 04:30, allowed from 10 %"),
        (
            "setpoint",
            {"direction": "IMPORT", "amount": "4"},
            "Battery reaches about 56 % at 04:30, allowed up to 90 %",
        ),
        ("setpoint", {"amount": "20", "consumption": ""}, "Battery reaches about 44 % at 04:30"),
        (
            "device",
            {"amount": "40", "until": "60"},
            "Battery is empty at about 04:48, before the end: 10 % is its bound",
        ),
        ("device", {"amount": "20", "until": "60"}, "Battery reaches about 25 % at 05:00, allowed from 10 %"),
        ("setpoint", {"amount": "50", "until": "60"}, "discharge 44 kW, about 4.0 kW more than it can"),
    ],
)
def test_the_charge_at_the_end_is_estimated_from_what_is_measured_now(
    operator_client, plant, tab, changes, told
):
    text = words(check(operator_client, plant, tab, **changes))

    assert told.replace(" %", "\u202f%").replace("\u202f", " ") in text


def test_without_fresh_values_nothing_is_estimated_and_it_says_so(operator_client, plant, plant_with):
    PlantState.objects.filter(plant=plant).update(measured_at=AT - timedelta(minutes=16))

    assert "No data for 16 min, so the charge at the end is not estimated" in words(
        check(operator_client, plant)
    )
    assert "No data yet" in words(check(operator_client, plant_with(measured=False)))


def test_what_it_stands_above_is_named_with_what_resumes(operator_client, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    planned = words(check(operator_client, plant))
    make_override(plant, at=AT)
    overridden = words(check(operator_client, plant))

    assert "Plan v1 pauses, and resumes at 04:30 with import" in planned
    assert "Replaces the override of ann that runs until 04:45" in overridden


def test_a_plan_whose_first_slot_begins_before_the_end_is_paused_too(operator_client, plant):
    make_plan(plant, at=AT, days=0)
    later = check(operator_client, plant, until="at", until_at="2026-01-02T17:00")
    with_end = check(operator_client, plant)

    assert later.context["asked"].route == with_end.context["asked"].route == "OVERRIDE"


def test_a_mode_says_what_it_ends(operator_client, plant):
    make_override(plant, at=AT)

    assert "A mode ends the setpoint in force: the override of ann, Export 12 kW" in words(
        check(operator_client, plant, "mode")
    )


def test_a_device_command_leaves_the_plan_in_force(operator_client, plant):
    make_plan(plant, at=AT - timedelta(hours=1))

    assert "Plan v1 stays in force beside it" in words(check(operator_client, plant, "device"))


def _observe(plant: Plant) -> None:
    plant.connection.mode = ConnectionMode.OBSERVE
    plant.connection.save(update_fields=["mode"])


OBSTACLES = {
    "CONNECTION_OBSERVES": (_observe, "sends nothing"),
    "DISPATCH_OFF": (
        lambda plant: set_plant_dispatch(plant_id=plant.pk, enabled=False),
        "off for this plant",
    ),
    "NOT_CONNECTED": (
        lambda plant: Plant.objects.filter(pk=plant.pk).update(connection=None),
        "has no connection",
    ),
    "PLANT_LATCHED": (
        lambda plant: ask(plant, stop_now()),
        "An emergency STOP is in force. Release it first.",
    ),
}


@pytest.mark.parametrize("code", OBSTACLES)
@pytest.mark.parametrize("tab", ["setpoint", "device", "mode"])
def test_what_keeps_it_from_being_sent_is_said_and_the_review_refuses_it(operator_client, plant, tab, code):
    happen, told = OBSTACLES[code]
    happen(plant)
    before = Command.objects.count()

    checked, reviewed = check(operator_client, plant, tab), review(operator_client, plant, tab)

    assert code in codes(checked)
    assert told in words(checked)
    assert (reviewed.status_code, reviewed.context["codes"]) == (422, {"": [code]})
    assert reviewed["HX-Retarget"] == "#act-box"
    assert Command.objects.count() == before


def test_a_limit_is_said_along_with_the_switch_that_is_off(operator_client, plant):
    set_connection_dispatch(connection_id=plant.connection_id, enabled=False)

    assert codes(check(operator_client, plant, amount="51")) == ["DISPATCH_OFF", "CONSTRAINT_VIOLATION"]


WRONG = [
    ("setpoint", {"amount": ""}, "amount", "required"),
    ("setpoint", {"amount": "-1"}, "amount", "min_value"),
    ("setpoint", {"amount": "nan"}, "amount", "invalid"),
    ("setpoint", {"amount": "51"}, "amount", "CONSTRAINT_VIOLATION"),
    ("setpoint", {"direction": "UP"}, "direction", "invalid_choice"),
    ("setpoint", {"until": "at", "until_at": ""}, "until_at", "END_REQUIRED"),
    ("setpoint", {"until": "at", "until_at": "soon"}, "until_at", "invalid"),
    ("setpoint", {"until": "at", "until_at": "2026-01-02T03:00"}, "until_at", "INVALID_VALUE"),
    ("setpoint", {"target": "ENERGY", "interval_minutes": ""}, "interval_minutes", "MISSING_FIELD"),
    ("device", {"amount": ""}, "amount", "INVALID_COMMAND"),
    ("device", {"asset": "S1"}, "action", "INVALID_COMMAND"),
    ("device", {"asset": "M1"}, "asset", "invalid_choice"),
    ("device", {"until": "at", "until_at": "2026-02-02T05:00"}, "until_at", "TOO_LONG"),
    ("mode", {"mode": "FAST"}, "mode", "invalid_choice"),
    ("mode", {"reason": "\U0001f525" * 300}, "reason", "INVALID_VALUE"),
]


@pytest.mark.parametrize(("tab", "changes", "field", "code"), WRONG)
def test_what_does_not_fit_is_said_at_its_field_with_a_stable_code(
    operator_client, plant, tab, changes, field, code
):
    answer = review(operator_client, plant, tab, **changes)

    assert (answer.status_code, answer.context["codes"]) == (422, {field: [code]})
    assert not Command.objects.exists()


def test_an_override_has_its_own_longest_time(operator_client, plant):
    make_override(plant, at=AT)

    answer = review(operator_client, plant, until="at", until_at="2026-01-04T05:00")

    assert answer.context["codes"] == {"until_at": ["TOO_LONG"]}


def test_an_empty_number_is_no_error_while_somebody_types(operator_client, plant):
    checked = check(operator_client, plant, amount="")

    assert (checked.context["findings"], checked.context["blocked"]) == ([], True)


def test_the_box_has_nothing_to_command_where_there_is_no_such_device(operator_client, organisation):
    plant = acting_plant(organisation, assets=[])

    shown = operator_client.get(url("box", plant), {"tab": "device"}, headers=HX)

    assert "no battery, PV or inverter" in words(shown)


def test_an_asset_that_was_clicked_is_chosen_on_its_tab(operator_client, plant):
    shown = operator_client.get(url("box", plant), {"tab": "device", "asset": "S1"}, headers=HX)

    assert shown.context["form"]["asset"].value() == "S1"
    assert shown.context["form"]["action"].value() == "FVE_REDUCE_POWER"


@pytest.mark.parametrize(("name", "most"), [("page", 18), ("box", 11), ("banner", 10)])
def test_a_page_asks_the_database_a_bounded_number_of_times(operator_client, plant, name, most):
    make_plan(plant, at=AT - timedelta(hours=1))
    make_override(plant, at=AT)
    operator_client.get(url(name, plant), headers=HX)

    assert queries_of(lambda: operator_client.get(url(name, plant), headers=HX)) <= most


def test_a_check_asks_the_database_a_bounded_number_of_times(operator_client, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    make_override(plant, at=AT)
    check(operator_client, plant)

    assert queries_of(lambda: check(operator_client, plant)) <= 18


def test_what_stands_above_another_plant_is_not_told(operator_client, plant):
    other = factories.plant(on=plant.connection, name="Beside it")
    make_override(other, at=AT)

    assert "Nothing is planned until 04:30" in words(check(operator_client, plant))


@pytest.mark.parametrize("tab", ["setpoint", "device", "mode"])
def test_a_plant_that_was_never_measured_and_only_observed_has_its_page(viewer_client, organisation, tab):
    link = factories.connection(owner=organisation, mode=ConnectionMode.OBSERVE)
    plant = acting_plant(organisation, link=link, measured=False, max_export_kw=None, max_import_kw=None)

    shown = viewer_client.get(url("page", plant), {"tab": tab})

    assert shown.status_code == 200
    assert "Observing only" in words(shown)
    assert "No data" in words(shown)
