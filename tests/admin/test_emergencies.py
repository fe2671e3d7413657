"""Emergencies in the admin: a page that names the plants and what happens, a latch, a release with a reason."""

import pytest

from dispatch.models import Command, EmergencyLatch, Kind
from dispatch.states import State
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.admin.pages import page, text_of

pytestmark = pytest.mark.django_db


def url_of(*plants):
    return f"{page('dispatch_command_emergency')}?plants={','.join(str(plant.pk) for plant in plants)}"


def text_with_links(client, plant):
    return client.get(page("plants_plant_change", plant.pk)).content.decode()


def confirm(jana, *plants, **changes):
    key = jana.get(url_of(*plants)).context["form"]["key"].value()
    return jana.post(url_of(*plants), {"type": "STOP", "reason": "Smoke", "key": key} | changes)


def test_the_page_names_the_plant_and_says_what_happens_before_anything_is_sent(jana):
    plant = factories.plant(name="Brewery Přerov")

    shown = text_of(jana.get(url_of(plant)))

    assert "Emergency for Brewery Přerov?" in shown
    assert "nothing else is sent to it until a person releases it with a reason" in shown
    assert "Send the emergency to Brewery Přerov" in shown
    assert not Command.objects.exists()


def test_a_confirmed_emergency_is_queued_first_in_line_and_latches_the_plant(jana):
    plant = factories.plant()

    response = confirm(jana, plant)

    command = Command.objects.get()
    latch = EmergencyLatch.objects.get(plant=plant)
    assert response["Location"] == page("dispatch_command_change", command.pk)
    assert (command.kind, command.payload) == (Kind.EMERGENCY, {"type": "STOP", "reason": "Smoke"})
    assert command.messages.get().urgent is True
    assert (latch.type, latch.set_by_name) == ("STOP", "jana")


def test_an_emergency_needs_a_reason(jana):
    response = confirm(jana, factories.plant(), reason="")

    assert "reason" in response.context["form"].errors
    assert not Command.objects.exists()


def test_the_second_click_sends_no_second_emergency(jana):
    plant = factories.plant()
    key = jana.get(url_of(plant)).context["form"]["key"].value()
    data = {"type": "STOP", "reason": "Smoke", "key": key}

    first, second = (jana.post(url_of(plant), data)["Location"] for _ in range(2))

    assert first == second
    assert Command.objects.count() == 1


def test_many_plants_are_all_named_and_their_number_must_be_typed(jana):
    plants = [factories.plant(name=name) for name in ("Alpha", "Beta", "Gamma")]

    shown = text_of(jana.get(url_of(*plants)))
    refused = confirm(jana, *plants, number="2")
    sent = confirm(jana, *plants, number="3")

    assert all(plant.name in shown for plant in plants)
    assert "3 plants are named above" in text_of(refused)
    assert sent.status_code == 302
    assert EmergencyLatch.objects.count() == 3


def test_a_plant_that_can_not_be_reached_does_not_spare_the_others(jana):
    reachable, dark = factories.plant(), factories.plant(name="Dark")
    set_plant_dispatch(plant_id=dark.pk, enabled=False)

    response = jana.post(
        url_of(reachable, dark),
        {"type": "HOLD", "reason": "Smoke", "number": "2", "key": "k"},
        follow=True,
    )

    shown = text_of(response)
    assert [latch.plant for latch in EmergencyLatch.objects.all()] == [reachable]
    assert "Emergency sent to 1 plant." in shown
    assert "Not sent to Dark: Dispatch is switched off for the plant." in shown


def test_when_no_plant_can_be_reached_the_page_says_why(jana):
    dark = factories.plant(name="Dark")
    set_plant_dispatch(plant_id=dark.pk, enabled=False)

    response = confirm(jana, dark)

    assert response.status_code == 200
    assert "Dark: Dispatch is switched off for the plant." in text_of(response)


def test_a_latched_plant_says_so_and_offers_the_release(jana):
    plant = factories.plant()
    confirm(jana, plant)

    detail = jana.get(page("plants_plant_change", plant.pk))
    listed = text_of(jana.get(page("plants_plant_changelist") + "?latch=latched"))

    assert "Latched by an emergency: STOP" in text_of(detail)
    assert page("dispatch_command_release", plant.pk) in detail.content.decode()
    assert "Latched, stop" in listed


def test_a_release_needs_a_reason_and_sends_the_base_mode(jana):
    plant = factories.plant(base_mode="ZERO_EXPORT")
    confirm(jana, plant)
    url = page("dispatch_command_release", plant.pk)

    refused = jana.post(url, {"reason": "  "})
    released = jana.post(url, {"reason": "False alarm"})

    latch = EmergencyLatch.objects.get(plant=plant)
    mode = Command.objects.get(kind=Kind.MODE)
    assert "reason" in refused.context["form"].errors
    assert released["Location"] == page("dispatch_command_change", mode.pk)
    assert (latch.released_by_name, latch.release_reason) == ("jana", "False alarm")
    assert mode.payload["mode"] == "ZERO_EXPORT"
    assert Command.objects.get(kind=Kind.EMERGENCY).state == State.CANCELLED


def test_a_release_whose_base_mode_is_not_sent_says_so_and_why(jana):
    plant = factories.plant()
    confirm(jana, plant)
    set_plant_dispatch(plant_id=plant.pk, enabled=False)

    response = jana.post(page("dispatch_command_release", plant.pk), {"reason": "False alarm"}, follow=True)

    assert "Standard was not sent: Dispatch is switched off." in text_of(response)
    assert not EmergencyLatch.objects.filter(released_at__isnull=True).exists()


def test_releasing_a_plant_that_is_not_latched_changes_nothing(jana):
    plant = factories.plant()

    response = jana.post(page("dispatch_command_release", plant.pk), {"reason": "x"}, follow=True)

    assert "has no emergency to release" in text_of(response)
    assert not Command.objects.exists()


def test_other_commands_are_refused_while_the_plant_is_latched(jana):
    plant = factories.plant()
    confirm(jana, plant)
    send = f"{page('dispatch_command_send')}?plant={plant.pk}&kind=mode"

    shown = text_of(jana.post(send, {"mode": "STANDARD", "do": "review"}))

    assert "latched by an emergency STOP; release it first" in shown


def test_the_permission_to_send_commands_does_not_reach_emergencies(staff):
    plant = factories.plant()
    sender = staff("dispatch.send_command", "dispatch.view_command", "plants.view_plant")

    assert sender.get(url_of(plant)).status_code == 403
    assert sender.post(page("dispatch_command_release", plant.pk), {"reason": "x"}).status_code == 403
    assert (
        "emergency/"
        not in sender.get(page("plants_plant_change", plant.pk))
        .content.decode()
        .split("<main")[-1]
        .split("nav-sidebar")[0]
    )
    listed = sender.post(
        page("plants_plant_changelist"), {"action": "stop_selected", "_selected_action": [plant.pk]}
    )
    assert "emergency" not in listed.get("Location", "")
