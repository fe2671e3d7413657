"""Emergencies for many plants in the admin: counted, typed, sent as one order, followed and released."""

import pytest

from dispatch.models import Command, EmergencyLatch, EmergencyOrder
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.admin.pages import page, text_of
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def asked_for(jana, *plants):
    """The confirmation page of plants that were ticked in the list."""
    data = {"action": "stop_selected", "_selected_action": [plant.pk for plant in plants]}
    return jana.post(page("plants_plant_changelist"), data)["Location"]


def send_order(jana, *plants, **changes):
    url = asked_for(jana, *plants)
    form = jana.get(url).context["form"]
    data = {name: form[name].value() for name in ("key", "token")}
    return jana.post(url, {"type": "STOP", "reason": "Storm", "number": str(len(plants)), **data} | changes)


def test_selected_plants_are_counted_and_named_before_anything_is_sent(jana):
    link = factories.connection()
    plants = [factories.plant(on=link, name=name) for name in ("Alpha", "Beta")]

    shown = text_of(jana.get(asked_for(jana, *plants)))

    assert "Emergency for 2 plants?" in shown
    assert "This reaches 2 selected plants." in shown
    assert "Alpha, Beta" in shown
    assert not Command.objects.exists()


def test_the_number_must_be_typed_and_the_order_is_followed_plant_by_plant(jana):
    link = factories.connection()
    plants = [factories.plant(on=link) for _ in range(2)]
    set_plant_dispatch(plant_id=plants[1].pk, enabled=False)

    refused = send_order(jana, *plants, number="3")
    sent = send_order(jana, *plants)

    order = EmergencyOrder.objects.get()
    shown = text_of(jana.get(sent["Location"]))
    assert "2 plants are named above" in text_of(refused)
    assert sent["Location"] == page("dispatch_emergencyorder_change", order.pk)
    assert "Not delivered yet: 1" in shown
    assert "Not sent: 1" in shown
    assert shown.count("ispatch is switched off") == 1
    assert "Not sent Dispatch is switched off for the plant" in shown


def test_when_the_selection_changed_meanwhile_nothing_is_sent(jana):
    link = factories.connection()
    factories.plant(on=link)
    url = f"{page('dispatch_emergencyorder_ask')}?connection={link.pk}"
    form = jana.get(url).context["form"]
    factories.plant(on=link)

    response = jana.post(
        url,
        {"type": "STOP", "reason": "Storm", "number": "2", "key": "k", "token": form["token"].value()},
    )

    assert "The selection has changed: it has 2 plants now" in text_of(response)
    assert not EmergencyOrder.objects.exists()


def test_one_release_opens_all_of_an_order(jana):
    link = factories.connection()
    plants = [factories.plant(on=link) for _ in range(2)]
    send_order(jana, *plants)
    order = EmergencyOrder.objects.get()
    url = page("dispatch_emergencyorder_release", order.pk)

    asked = text_of(jana.get(url))
    jana.post(url, {"reason": "Over"})

    assert "Release 2 plants?" in asked
    assert not EmergencyLatch.objects.filter(released_at__isnull=True).exists()
    assert "Released" in text_of(jana.get(page("dispatch_emergencyorder_change", order.pk)))


def test_plants_of_two_organisations_are_not_one_order(jana):
    response = jana.post(
        page("plants_plant_changelist"),
        {"action": "stop_selected", "_selected_action": [factories.plant().pk, factories.plant().pk]},
        follow=True,
    )

    assert "Choose plants of one organisation." in text_of(response)


def test_a_connections_page_leads_to_the_emergency_for_all_of_its_plants(jana):
    link = factories.connection(name="Voke production")
    factories.plant(on=link, name="Alpha")
    factories.plant(on=factories.connection(owner=link.organisation), name="Elsewhere")

    button = page("plants_connection_emergency", link.pk)
    asked = jana.get(button, follow=True)

    assert button in jana.get(page("plants_connection_change", link.pk)).content.decode()
    assert "This reaches all plants of connection Voke production." in text_of(asked)
    assert "Plants Alpha What happens" in text_of(asked)
    assert page("plants_connection_change", link.pk) in asked.content.decode()


def test_an_organisations_page_leads_to_the_emergency_for_all_of_its_plants(jana):
    link = factories.connection()
    factories.plant(on=link, name="Alpha")
    factories.plant(on=factories.connection(owner=link.organisation), name="Beta")
    factories.plant(name="Somebody else's")
    button = page("plants_organisation_emergency", link.organisation_id)

    asked = jana.get(button, follow=True)

    assert button in jana.get(page("plants_organisation_change", link.organisation_id)).content.decode()
    assert "This reaches all plants of the organisation." in text_of(asked)
    assert f"Organisation {link.organisation.name} Plants Alpha, Beta What happens" in text_of(asked)
    assert page("plants_organisation_change", link.organisation_id) in asked.content.decode()


LIST_BUTTON = "plants_plant_emergency_of_all"


def test_above_the_list_one_asks_whose_plants_are_meant(jana):
    chosen, other = factories.plant(name="Alpha"), factories.plant(name="Beta")

    asked = jana.get(page(LIST_BUTTON))
    led = jana.post(page(LIST_BUTTON), {"organisation": chosen.organisation_id}, follow=True)

    assert page(LIST_BUTTON) in jana.get(page("plants_plant_changelist")).content.decode()
    assert chosen.organisation.name in text_of(asked) and other.organisation.name in text_of(asked)
    assert "Plants Alpha What happens" in text_of(led)
    assert not Command.objects.exists()


def test_where_only_one_organisation_has_plants_nothing_is_asked(jana):
    plant = factories.plant()
    factories.organisation()

    response = jana.get(page(LIST_BUTTON))

    assert (
        response["Location"] == f"{page('dispatch_emergencyorder_ask')}?organisation={plant.organisation_id}"
    )


@pytest.mark.parametrize("scope", ["connection", "organisation"])
def test_a_filtered_list_leads_to_all_plants_of_what_it_is_filtered_by(jana, scope):
    plant = factories.plant()
    factories.plant()
    wanted = getattr(plant, f"{scope}_id")

    shown = jana.get(f"{page('plants_plant_changelist')}?{scope}__id__exact={wanted}").content.decode()
    led = jana.get(f"{page(LIST_BUTTON)}?{scope}={wanted}")

    assert f"{page(LIST_BUTTON)}?{scope}={wanted}" in shown
    assert led["Location"] == f"{page('dispatch_emergencyorder_ask')}?{scope}={wanted}"


def test_a_connection_without_plants_says_that_nobody_would_be_reached(jana):
    link = factories.connection()

    response = jana.get(page("plants_connection_emergency", link.pk), follow=True)

    assert "There is no plant that it would reach." in text_of(response)


def test_the_emergency_for_all_of_a_connection_is_sent_as_one_order(jana):
    link = factories.connection()
    plants = [factories.plant(on=link) for _ in range(2)]
    url = jana.get(page("plants_connection_emergency", link.pk))["Location"]
    form = jana.get(url).context["form"]
    data = {name: form[name].value() for name in ("key", "token")}

    jana.post(url, {"type": "HOLD", "reason": "Storm", "number": "2", **data})

    order = EmergencyOrder.objects.get()
    assert (order.type, order.asked, order.made_by_name) == ("HOLD", 2, "jana")
    assert {latch.plant for latch in EmergencyLatch.objects.all()} == set(plants)


def test_without_the_permission_no_button_is_shown_and_none_works(staff):
    plant = factories.plant()
    client = staff(
        "plants.view_plant", "plants.view_connection", "plants.view_organisation", "dispatch.send_command"
    )
    pages = {
        page("plants_connection_change", plant.connection_id): page(
            "plants_connection_emergency", plant.connection_id
        ),
        page("plants_organisation_change", plant.organisation_id): page(
            "plants_organisation_emergency", plant.organisation_id
        ),
        page("plants_plant_changelist"): page(LIST_BUTTON),
    }

    for shown_on, button in pages.items():
        assert button not in client.get(shown_on).content.decode()
        assert client.get(button).status_code == 403


def test_the_permission_to_send_emergencies_is_enough_for_the_buttons(staff):
    plant = factories.plant()
    client = staff(
        "plants.view_plant", "plants.view_connection", "plants.view_organisation", "dispatch.send_emergency"
    )

    for button in (
        page("plants_connection_emergency", plant.connection_id),
        page("plants_organisation_emergency", plant.organisation_id),
        page(LIST_BUTTON),
    ):
        assert "Emergency for 1 plant?" in text_of(client.get(button, follow=True))


def test_orders_are_seen_and_sent_only_with_the_permission(staff):
    client = staff("plants.view_plant")

    assert client.get(page("dispatch_emergencyorder_ask")).status_code == 403
    assert client.get(page("dispatch_emergencyorder_change", 1)).status_code == 403
    assert client.get(page("dispatch_emergencyorder_release", 1)).status_code == 403


def test_the_pages_of_an_order_read_the_same_few_statements_however_many_plants(jana):
    link = factories.connection()
    few, many = ([factories.plant(on=link) for _ in range(count)] for count in (2, 12))
    first, second = send_order(jana, *few)["Location"], send_order(jana, *many)["Location"]

    assert queries_of(lambda: jana.get(first)) == queries_of(lambda: jana.get(second))


@pytest.mark.parametrize("query", ["", "?plants=", "?plants=abc", "?plants=999999"])
def test_without_plants_the_page_sends_back_to_the_list(jana, query):
    response = jana.get(page("dispatch_command_emergency") + query)

    assert response["Location"] == page("plants_plant_changelist")
