"""Sending from the admin: two steps, checked twice, once only; times are the plant's wall clock."""

from datetime import UTC, datetime, timedelta

import pytest

from dispatch.models import Command, OutboundMessage
from dispatch.states import State
from esm import clock
from plants.models import Asset, ConnectionMode
from plants.services.connections import set_connection_dispatch
from tests import factories
from tests.admin.pages import page, text_of
from tests.factories import AT

pytestmark = pytest.mark.django_db

SETPOINT = {
    "direction": "EXPORT",
    "type": "POWER",
    "target_value_kw": "20",
    "priority": "NORMAL",
    "include_consumption": "on",
    "valid_until": "2026-01-02T04:30",
}


def url_of(plant, kind="site-setpoint"):
    return f"{page('dispatch_command_send')}?plant={plant.pk}&kind={kind}"


def review(jana, plant, data, kind="site-setpoint"):
    return jana.post(url_of(plant, kind), data | {"do": "review"})


def hidden(response):
    """The fields that the review page carries to the second step."""
    return {field.html_name: field.value() for field in response.context["form"] if field.value() is not None}


def test_a_setpoint_is_reviewed_then_sent_signed_off_by_the_person(jana, admin_user):
    plant = factories.plant()

    reviewed = review(jana, plant, SETPOINT)
    stored_by_review = Command.objects.count()
    sent = jana.post(url_of(plant), hidden(reviewed) | {"do": "send"})

    command = Command.objects.get()
    shown = text_of(reviewed)
    assert stored_by_review == 0
    assert f"Export 20 kW: send it to {plant.name}?" in shown
    assert "It holds until Fri 2 Jan 04:30:00" in shown
    assert sent["Location"] == page("dispatch_command_change", command.pk)
    assert (command.state, command.requested_by, command.automatic) == (State.QUEUED, admin_user, False)
    assert command.payload["validUntil"] == "2026-01-02T03:30:00.000Z"
    assert OutboundMessage.objects.filter(command=command).count() == 1


WITHOUT_END = {name: value for name, value in SETPOINT.items() if name != "valid_until"}


@pytest.mark.parametrize(
    ("changes", "holds_s", "shown", "sent"),
    [
        ({}, 900, "until Fri 2 Jan 04:15:00", "2026-01-02T03:15:00.000Z"),
        ({}, 90, "until Fri 2 Jan 04:01:30", "2026-01-02T03:01:30.000Z"),
        (
            {"valid_from": "2026-01-02T05:00"},
            900,
            "from Fri 2 Jan 05:00:00 until Fri 2 Jan 05:15:00",
            "2026-01-02T04:15:00.000Z",
        ),
        ({"due_at": "2026-01-02T05:00"}, 900, "until Fri 2 Jan 05:15:00", "2026-01-02T04:15:00.000Z"),
        ({"valid_from": "2026-01-02T03:50"}, 900, "until Fri 2 Jan 04:15:00", "2026-01-02T03:15:00.000Z"),
        (
            {"type": "ENERGY", "target_value_kwh": "5", "interval_minutes": "60"},
            900,
            "until Fri 2 Jan 05:00:00",
            "2026-01-02T04:00:00.000Z",
        ),
    ],
    ids=["from now", "90 s", "begins later", "sent later", "began before", "an hour of energy"],
)
def test_the_end_that_the_review_shows_is_the_one_that_is_sent_however_long_it_is_read(
    jana, changes, holds_s, shown, sent
):
    plant = factories.plant(setpoint_valid_s=holds_s)

    reviewed = review(jana, plant, WITHOUT_END | changes)
    with clock.frozen(AT + timedelta(seconds=40)):
        jana.post(url_of(plant), hidden(reviewed) | {"do": "send"})

    assert f"It holds {shown}." in text_of(reviewed)
    assert sent in reviewed.context["wire"]
    assert Command.objects.get().payload["validUntil"] == sent


def test_a_review_that_was_left_open_until_its_end_sends_nothing(jana):
    plant = factories.plant()
    reviewed = review(jana, plant, WITHOUT_END)

    with clock.frozen(AT + timedelta(seconds=900)):
        response = jana.post(url_of(plant), hidden(reviewed) | {"do": "send"})

    assert "Is over before the command is due" in str(response.context["form"].errors["valid_until"])
    assert not Command.objects.exists()


@pytest.mark.parametrize(("holds_s", "told"), [(900, "15 min"), (90, "90 s"), (5400, "1 h 30 min")])
def test_the_form_says_how_long_a_setpoint_without_an_end_holds(jana, holds_s, told):
    shown = text_of(jana.get(url_of(factories.plant(setpoint_valid_s=holds_s))))

    assert f"Empty: {told} after it begins, as the plant is set" in shown


def test_a_mode_without_an_end_holds_until_another_one(jana):
    shown = text_of(review(jana, factories.plant(), {"mode": "PEAK_SHAVING"}, "mode"))

    assert "It holds until another mode is set." in shown


def test_the_second_click_sends_nothing(jana):
    plant = factories.plant()
    data = hidden(review(jana, plant, SETPOINT)) | {"do": "send"}

    first = jana.post(url_of(plant), data)
    second = jana.post(url_of(plant), data, follow=True)

    assert Command.objects.count() == 1
    assert second.redirect_chain[0][0] == first["Location"]
    assert "had already been sent by this form" in text_of(second)


def test_a_dry_run_stores_nothing_and_says_that_it_fits(jana):
    response = jana.post(url_of(factories.plant()), SETPOINT | {"do": "dry_run"})

    assert "Dry run: this fits. Nothing was stored or sent." in text_of(response)
    assert not Command.objects.exists()


@pytest.mark.parametrize("step", ["dry_run", "review", "send"])
def test_a_power_over_the_sites_limit_is_refused_at_its_field_in_every_step(jana, step):
    plant = factories.plant(max_export_kw=50.0)

    data = SETPOINT | {"target_value_kw": "51", "valid_from": "2026-01-02T04:00", "do": step}

    response = jana.post(url_of(plant), data)

    assert "51 kW is over the site" in str(response.context["form"].errors["target_value_kw"])
    assert not Command.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"target_value_kw": ""}, "target_value_kw", "A POWER setpoint needs its power"),
        (
            {"type": "ENERGY", "target_value_kwh": "5"},
            "interval_minutes",
            "An ENERGY setpoint needs its interval",
        ),
        (
            {"type": "ENERGY", "interval_minutes": "15"},
            "target_value_kwh",
            "An ENERGY setpoint needs its energy",
        ),
        ({"valid_until": "2026-01-02T03:59"}, "valid_until", "Must be later than the start"),
        ({"valid_until": "soon"}, "valid_until", "Enter a valid date/time"),
        ({"due_at": "2026-01-02T02:00"}, "due_at", "Is in the past"),
        ({"target_value_kw": "-1"}, "target_value_kw", "greater than or equal to 0"),
        ({"target_value_kw": "nan"}, "target_value_kw", "Enter a number"),
    ],
)
def test_what_the_protocol_or_a_service_refuses_is_said_at_its_field(jana, changes, field, told):
    response = review(jana, factories.plant(), SETPOINT | changes)

    assert told in str(response.context["form"].errors[field])


def test_times_are_typed_on_the_plants_own_clock(jana):
    plant = factories.plant(time_zone="America/New_York")

    data = hidden(
        review(jana, plant, SETPOINT | {"valid_until": "2026-01-01T22:30", "due_at": "2026-01-01T22:10"})
    )
    jana.post(url_of(plant), data | {"do": "send"})

    command = Command.objects.get()
    assert command.due_at == datetime(2026, 1, 2, 3, 10, tzinfo=UTC)
    assert command.deliver_by_at == datetime(2026, 1, 2, 3, 30, tzinfo=UTC)
    assert command.state == State.SCHEDULED


def test_a_time_that_the_clock_change_leaves_out_is_refused(jana):
    response = review(jana, factories.plant(), SETPOINT | {"valid_until": "2026-03-29T02:30"})

    assert "may not exist" in str(response.context["form"].errors["valid_until"])


def test_devices_that_are_filled_in_go_out_as_one_batch(jana):
    plant = factories.plant()
    data = {
        "B1:command": "BESS_DISCHARGE", "B1:power_kw": "30", "B1:respect_limits": "on",
        "S1:command": "FVE_REDUCE_PERCENT", "S1:percent": "40",
    }  # fmt: skip

    jana.post(url_of(plant, "device"), hidden(review(jana, plant, data, "device")) | {"do": "send"})

    assert Command.objects.get().payload["commands"] == [
        {
            "deviceId": "B1",
            "assetType": "BESS",
            "command": "BESS_DISCHARGE",
            "params": {"powerKw": 30.0, "respectLimits": True},
        },
        {
            "deviceId": "S1",
            "assetType": "FVE",
            "command": "FVE_REDUCE_PERCENT",
            "params": {"percent": 40.0, "respectLimits": False},
        },
    ]


@pytest.mark.parametrize(
    ("data", "field", "told"),
    [
        ({"B1:command": "BESS_CHARGE"}, "B1:power_kw", "needs powerKw"),
        (
            {"B1:command": "BESS_CHARGE", "B1:power_kw": "41"},
            "B1:power_kw",
            "41 kW is over the 40 kW of asset B1",
        ),
        ({"S1:command": "FVE_REDUCE_PERCENT", "S1:percent": ""}, "S1:percent", "needs percent"),
        ({"B1:power_kw": "5"}, "B1:command", "Choose a command, or clear the number"),
        ({}, "__all__", "Choose a command for at least one device"),
        ({"B1:command": "FVE_STOP"}, "B1:command", "Select a valid choice"),
    ],
)
def test_a_device_that_can_not_do_it_is_named_at_its_row(jana, data, field, told):
    response = review(jana, factories.plant(), data, "device")

    assert told in str(response.context["form"].errors[field])


def test_the_second_device_of_a_batch_gets_its_own_error(jana):
    data = {"B1:command": "BESS_STOP", "S1:command": "FVE_REDUCE_PERCENT"}

    response = review(jana, factories.plant(), data, "device")

    assert list(response.context["form"].errors) == ["S1:percent"]


def test_a_plant_without_such_assets_says_so(jana):
    plant = factories.plant()
    Asset.objects.filter(plant=plant).delete()

    assert "has no battery, PV or inverter" in text_of(jana.get(url_of(plant, "device")))


def test_a_mode_is_sent_with_its_reason(jana):
    plant = factories.plant()
    data = {"mode": "PEAK_SHAVING", "reason": "Cap the quarter", "valid_until": ""}

    jana.post(url_of(plant, "mode"), hidden(review(jana, plant, data, "mode")) | {"do": "send"})

    assert Command.objects.get().payload == {"mode": "PEAK_SHAVING", "reason": "Cap the quarter"}


@pytest.mark.parametrize("situation", ["observing", "switched off", "not connected"])
def test_a_plant_that_can_not_be_reached_is_refused_in_words(jana, situation):
    if situation == "observing":
        plant = factories.plant(on=factories.connection(mode=ConnectionMode.OBSERVE))
        told = "The connection only observes; switch it to ACTIVE first"
    elif situation == "switched off":
        plant = factories.plant()
        set_connection_dispatch(connection_id=plant.connection_id, enabled=False)
        told = "Dispatch is switched off for the connection"
    else:
        plant = factories.plant(connection=None)
        told = "The plant has no connection to Voke"

    response = review(jana, plant, {"mode": "STANDARD"}, "mode")

    assert told in text_of(response)


def test_changing_something_after_the_review_brings_the_form_back(jana):
    plant = factories.plant()

    response = jana.post(url_of(plant), hidden(review(jana, plant, SETPOINT)) | {"do": "edit"})

    assert f"Send a command to {plant.name}" in text_of(response)
    assert response.context["form"]["target_value_kw"].value() == "20"
    assert not Command.objects.exists()


def test_without_a_plant_the_page_asks_for_one(jana):
    plant = factories.plant()

    asked = jana.get(page("dispatch_command_send"))
    chosen = jana.post(page("dispatch_command_send"), {"plant": plant.pk})

    assert "Choose the plant first" in text_of(asked)
    assert chosen["Location"] == f"{page('dispatch_command_send')}?plant={plant.pk}"
    assert jana.get(page("dispatch_command_send") + "?plant=999999").status_code == 404


def test_sending_needs_the_permission_to_send_commands(staff):
    plant = factories.plant()
    viewer = staff("dispatch.view_command", "plants.view_plant")

    assert viewer.get(url_of(plant)).status_code == 403
    assert viewer.post(url_of(plant), SETPOINT | {"do": "send"}).status_code == 403
    assert "command/send/" not in viewer.get(page("dispatch_command_changelist")).content.decode()


def test_the_permission_to_send_commands_is_enough_to_send(staff):
    plant = factories.plant()
    sender = staff("dispatch.send_command", "dispatch.view_command")

    reviewed = sender.post(url_of(plant, "mode"), {"mode": "STANDARD", "do": "review"})
    sender.post(url_of(plant, "mode"), hidden(reviewed) | {"do": "send"})

    assert Command.objects.get().requested_by_name == "petr"


def test_the_form_shows_limits_state_and_the_plants_clock(jana):
    plant = factories.plant(max_import_kw=None, max_export_kw=50.0)

    shown = text_of(jana.get(url_of(plant)))

    assert "Limits of the site: import no limit, export 50 kW" in shown
    assert "Its clock Fri 2 Jan 04:00:00" in shown


def test_a_command_for_later_can_be_cancelled_until_then_says_the_review(jana):
    later = (AT + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M")

    shown = text_of(
        review(jana, factories.plant(time_zone="UTC"), {"mode": "STANDARD", "due_at": later}, "mode")
    )

    assert "It is signed and sent at Fri 2 Jan 03:30:00" in shown
