"""From the box to the command: typed, reviewed, sent once, written down; with or without JavaScript."""

from datetime import timedelta

import pytest

from dispatch.models import Command, OutboundMessage, TimedCommand
from dispatch.states import State
from esm import clock
from people.models import AuditEntry
from schedules.models import Override
from tests.admin.seed_plans import make_override, make_plan
from tests.console.acting.helpers import ASKS, HX, acting_plant, carried, review, send, url, words
from tests.factories import AT
from tests.factories import organisation as make_organisation

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def test_a_setpoint_is_reviewed_then_sent_and_the_answer_shows_the_state_of_the_database(
    operator_client, plant
):
    reviewed = review(operator_client, plant)
    stored_by_review = Command.objects.count()

    done = send(operator_client, plant, reviewed)

    command = Command.objects.get()
    assert stored_by_review == 0
    assert "Export 20 kW at Brewery Přerov until 04:30 ?" in words(reviewed)
    assert "Send command" in words(reviewed)
    assert (command.state, command.kind, command.automatic) == (State.QUEUED, "site-setpoint", False)
    assert command.payload["validUntil"] == "2026-01-02T03:30:00.000Z"
    assert "Queued" in words(done)
    assert done["HX-Trigger-After-Settle"] == "acting:done"
    assert OutboundMessage.objects.filter(command=command).count() == 1


@pytest.mark.parametrize("tab", ASKS)
def test_what_was_sent_is_written_down_with_the_person_and_the_reason(operator_client, plant, tab):
    reason = ASKS[tab].get("reason", "Price")

    send(operator_client, plant, review(operator_client, plant, tab), tab, reason=reason)

    command, entry = Command.objects.get(), AuditEntry.objects.get(action="command.sent")
    assert (command.requested_by.username, command.reason) == ("operator", reason)
    assert (entry.user_name, entry.reason, entry.after["command"]) == (
        command.requested_by_name,
        reason,
        command.pk,
    )


def test_what_the_review_showed_is_sent_however_long_it_was_read(operator_client, plant):
    reviewed = review(operator_client, plant)

    with clock.frozen(AT + 10 * MINUTE):
        send(operator_client, plant, reviewed)

    payload = Command.objects.get().payload
    assert (payload["validFrom"], payload["validUntil"]) == (
        "2026-01-02T03:00:00.000Z",
        "2026-01-02T03:30:00.000Z",
    )


def test_a_review_left_open_until_its_end_sends_nothing(operator_client, plant):
    reviewed = review(operator_client, plant)

    with clock.frozen(AT + 30 * MINUTE):
        answer = send(operator_client, plant, reviewed)

    assert answer.status_code == 422
    assert answer.context["codes"] == {"until": ["ALREADY_OVER"]}
    assert not Command.objects.exists()


@pytest.mark.parametrize("tab", ASKS)
def test_two_clicks_make_one_command_and_both_show_it(operator_client, plant, tab):
    reviewed = review(operator_client, plant, tab)

    send(operator_client, plant, reviewed, tab)
    second = send(operator_client, plant, reviewed, tab)

    assert Command.objects.count() == 1
    assert AuditEntry.objects.filter(action="command.sent").count() == 1
    assert (second.status_code, "had been sent already" in words(second)) == (200, True)


def test_above_a_plan_it_is_an_override_with_a_reason(operator_client, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    reviewed = review(operator_client, plant)

    without = send(operator_client, plant, reviewed)
    done = send(operator_client, plant, without, reason="The operator called")

    override = Override.objects.get()
    assert "Begin override" in words(reviewed)
    assert "Plan v1 pauses, and resumes at 04:30 with import" in words(reviewed)
    assert (without.status_code, without.context["form"].errors.as_data()["reason"][0].code) == (
        422,
        "REASON_MISSING",
    )
    assert (override.until_at, override.reason) == (AT + 30 * MINUTE, "The operator called")
    assert override.command.payload["priority"] == "HIGH"
    assert "Override: Export 20 kW" in words(done)
    assert AuditEntry.objects.get(action="override.begun").after["command"] == override.command_id


def test_two_clicks_on_an_override_begin_one(operator_client, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    reviewed = review(operator_client, plant)

    for _ in range(2):
        answer = send(operator_client, plant, reviewed, reason="The operator called")

    assert answer.status_code == 200
    assert Override.objects.count() == Command.objects.count() == 1


def test_a_review_that_is_no_longer_true_is_shown_again_and_can_be_sent_then(operator_client, plant):
    reviewed = review(operator_client, plant)
    make_override(plant, at=AT)

    again = send(operator_client, plant, reviewed, reason="Price")
    sent = send(operator_client, plant, again)

    assert again.status_code == 422
    assert "has changed since this was reviewed" in words(again)
    assert "Replaces the override of ann" in words(again)
    assert sent.status_code == 200
    assert Override.objects.get(ended_at=None).reason == "Price"


def test_a_timed_device_command_says_that_its_stop_is_a_second_command(operator_client, plant):
    reviewed = review(operator_client, plant, "device")

    send(operator_client, plant, reviewed, "device")

    timed = TimedCommand.objects.get()
    assert "Its stop is a second command, B1: stop, sent at 04:15" in words(reviewed)
    assert "Two messages on command.device" in words(reviewed)
    assert (timed.stop_at, timed.start.payload["commands"][0]["params"]) == (
        AT + 15 * MINUTE,
        {"powerKw": 30.0, "respectLimits": True},
    )


def test_a_device_command_without_an_end_runs_until_another(operator_client, plant):
    reviewed = review(operator_client, plant, "device", until="none")

    send(operator_client, plant, reviewed, "device")

    assert "it runs until the device is commanded anew" in words(reviewed)
    assert not TimedCommand.objects.exists()
    assert Command.objects.get().kind == "device"


def test_an_action_without_an_end_of_its_own_is_sent_for_itself(operator_client, plant):
    send(
        operator_client,
        plant,
        review(operator_client, plant, "device", action="BESS_STOP", amount=""),
        "device",
    )

    assert Command.objects.get().payload["commands"] == [
        {"deviceId": "B1", "assetType": "BESS", "command": "BESS_STOP"}
    ]
    assert not TimedCommand.objects.exists()


def test_a_mode_tells_voke_its_reason(operator_client, plant):
    send(operator_client, plant, review(operator_client, plant, "mode", until="60"), "mode")

    assert Command.objects.get().payload == {
        "mode": "PEAK_SHAVING", "reason": "Cap the quarter", "validUntil": "2026-01-02T04:00:00.000Z",
    }  # fmt: skip


def test_energy_over_an_interval_is_asked_for_as_such(operator_client, plant):
    asked = {"target": "ENERGY", "amount": "5,5", "interval_minutes": "30"}

    send(operator_client, plant, review(operator_client, plant, **asked))

    payload = Command.objects.get().payload
    assert (payload["type"], payload["targetValueKwh"], payload["intervalMinutes"]) == ("ENERGY", 5.5, 30)


def test_times_are_typed_on_the_plants_own_clock(operator_client, plant_with):
    plant = plant_with(time_zone="America/New_York")

    send(operator_client, plant, review(operator_client, plant, until="at", until_at="2026-01-01T23:15"))

    assert Command.objects.get().payload["validUntil"] == "2026-01-02T04:15:00.000Z"


def test_a_dry_run_lists_everything_shows_the_message_and_stores_nothing(operator_client, plant):
    shown = operator_client.post(url("dry", plant, "setpoint"), ASKS["setpoint"], headers=HX)

    text = words(shown)
    assert "Dry run: Export 20 kW fits" in text
    assert "Nothing was stored or sent" in text
    assert '"targetValueKw": 20.0' in text
    assert "acme.command.site-setpoint" in text
    assert not Command.objects.exists()


def test_without_javascript_the_same_steps_are_pages(operator_client, plant):
    reviewed = operator_client.post(url("review", plant, "setpoint"), ASKS["setpoint"])
    done = operator_client.post(url("send", plant, "setpoint"), carried(reviewed))
    shown = operator_client.get(done["Location"])

    assert "<html" in reviewed.content.decode()
    assert done["Location"] == f"{url('page', plant)}?sent={Command.objects.get().pk}"
    assert "Export 20 kW" in words(shown)


def test_a_viewer_sees_the_box_disabled_with_the_role_it_takes_and_can_send_nothing(viewer_client, plant):
    page = viewer_client.get(url("page", plant))

    assert "Sending takes the role Operator . Yours is Viewer." in words(page)
    assert "disabled" in page.content.decode().split("act-set")[1][:40]
    for name in ("check", "dry", "review", "send"):
        assert (
            viewer_client.post(url(name, plant, "setpoint"), ASKS["setpoint"], headers=HX).status_code == 403
        )
    assert not Command.objects.exists()


def test_another_organisations_plant_does_not_exist(operator_client):
    foreign = acting_plant(make_organisation())

    for name in ("page", "box", "banner", "emergency", "release"):
        assert operator_client.get(url(name, foreign)).status_code == 404
    for name in ("check", "dry", "review", "send"):
        assert operator_client.post(url(name, foreign, "mode"), ASKS["mode"], headers=HX).status_code == 404


def test_a_session_that_ended_is_led_to_the_sign_in_and_nothing_is_sent(operator_client, plant):
    reviewed = review(operator_client, plant)
    operator_client.logout()

    answer = send(operator_client, plant, reviewed)

    assert answer.status_code == 204
    assert "HX-Redirect" in answer
    assert not Command.objects.exists()
