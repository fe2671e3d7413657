"""Emergencies for a selection: counted, confirmed by a person who may, followed plant by plant, released as one."""

import pytest
from django.urls import reverse

from console.fleet.orders import ids_of, ranges_of
from dispatch.models import Command, EmergencyLatch, EmergencyOrder
from people.models import AuditEntry
from plants.errors import Invalid
from tests import factories
from tests.admin.pages import text_of
from tests.console import seed_fleet as seed
from tests.console.seed_fleet import NOW
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
ASK = reverse("console:fleet:emergency")


@pytest.fixture
def plants(organisation):
    on = seed.link(organisation, NOW)
    made = [seed.plant(on, f"Depot {number:02d}", number) for number in range(4)]
    for plant in made:
        seed.measured(plant, NOW)
    return made


def ask(client, plants, **more):
    return client.get(ASK, {"plant": [plant.pk for plant in plants], **more})


def send(client, plants, **changes):
    page = ask(client, plants)
    form, counted = page.context["form"], page.context["counted"]
    data = {
        "plants": form["plants"].value(), "token": counted.token, "key": form["key"].value(),
        "type": "STOP", "reason": "Storm over the valley",
    }  # fmt: skip
    return client.post(ASK, data | changes)


def test_the_dialog_names_the_plants_and_says_what_happens_before_anything_is_sent(operator_client, plants):
    shown = text_of(ask(operator_client, plants[:2]))

    assert "Emergency for 2 plants?" in shown
    assert "Depot 00, Depot 01." in shown
    assert "Nothing else is sent to these plants until a person releases them with a reason." in shown
    assert not Command.objects.exists()


def test_a_confirmed_emergency_latches_each_plant_and_leads_to_its_progress(operator_client, plants):
    answer = send(operator_client, plants[:2])

    order = EmergencyOrder.objects.get()
    assert answer["Location"] == reverse("console:fleet:order", args=[order.pk])
    assert (order.type, order.asked, order.made_by.username) == ("STOP", 2, "operator")
    assert set(EmergencyLatch.objects.values_list("plant_id", flat=True)) == {plants[0].pk, plants[1].pk}


def test_what_was_done_is_written_down_once_with_the_person_and_the_reason(operator_client, plants):
    page = ask(operator_client, plants[:2])
    data = {
        "plants": page.context["form"]["plants"].value(), "token": page.context["counted"].token,
        "key": page.context["form"]["key"].value(), "type": "HOLD", "reason": "Storm",
    }  # fmt: skip

    first, second = (operator_client.post(ASK, data)["Location"] for _ in range(2))

    entry = AuditEntry.objects.get(action="emergency.sent")
    assert first == second == entry.subject_path
    assert (entry.user.username, entry.reason, entry.after["plants"]) == ("operator", "Storm", 2)
    assert EmergencyOrder.objects.count() == 1


def test_all_that_match_are_meant_not_only_the_page_and_their_number_must_be_typed(
    operator_client, organisation
):
    on = seed.link(organisation, NOW)
    for number in range(60):
        seed.plant(on, f"Depot {number:02d}", number)

    page = operator_client.get(ASK, {"all": "1", "view": "all", "q": "Depot"})
    form, counted = page.context["form"], page.context["counted"]
    data = {
        "plants": form["plants"].value(), "token": counted.token, "key": form["key"].value(),
        "type": "STOP", "reason": "Storm",
    }  # fmt: skip
    refused = operator_client.post(ASK, data | {"number": "59"})
    sent = operator_client.post(ASK, data | {"number": "60"})

    assert counted.count == 60
    assert "These are all plants of the organisation." in text_of(page)
    assert refused.status_code == 422
    assert "Type 60, the number of plants." in text_of(refused)
    assert sent.status_code == 302
    assert EmergencyLatch.objects.count() == 60


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": "  "}, "This field is required."),
        ({"token": "0" * 64}, "The selection has changed"),
        ({"type": "BURN"}, "Select a valid choice"),
        ({"key": "x"}, None),
    ],
)
def test_a_form_that_does_not_fit_sends_nothing_and_says_why(operator_client, plants, changes, words):
    answer = send(operator_client, plants[:2], **changes)

    assert answer.status_code == 422
    assert words is None or words in text_of(answer) or words in str(answer.context["form"].errors)
    assert not EmergencyOrder.objects.exists()


@pytest.mark.parametrize("chosen", [{}, {"plant": "x"}, {"plant": "999999999"}, {"plant": "9" * 30}])
def test_without_a_plant_it_says_to_choose_some(operator_client, plants, chosen):
    answer = operator_client.get(ASK, chosen)

    assert answer.status_code == 422
    assert "Choose plants first" in text_of(answer)


def test_a_foreign_plant_is_neither_counted_nor_stopped(operator_client, plants):
    foreign = seed.plant(seed.link(factories.organisation(), NOW), "Foreign", 99)

    page = ask(operator_client, [plants[0], foreign])

    assert page.context["counted"].count == 1


def test_a_viewer_may_not_send_and_is_told_who_may(viewer_client, organisation, plants):
    answer = ask(viewer_client, plants)
    listed = viewer_client.get(reverse("console:fleet:list"))

    assert answer.status_code == 403
    assert "Operator" in text_of(answer)
    assert 'disabled title="Takes the role Operator"' in listed.content.decode()


def test_the_progress_counts_what_became_of_each_plant_and_narrows_to_one_count(operator_client, plants):
    from plants.services.plants import set_plant_dispatch

    set_plant_dispatch(plant_id=plants[0].pk, enabled=False)
    address = send(operator_client, plants[:3])["Location"]

    whole, refused = operator_client.get(address), operator_client.get(f"{address}?counted=refused")

    assert [(one["name"], one["count"]) for one in whole.context["counts"]] == [("unsent", 2), ("refused", 1)]
    assert [row.plant.name for row in refused.context["listed"]] == ["Depot 00"]
    assert whole.context["is_moving"] is True


def test_one_release_ends_all_latches_of_the_order_and_is_written_down(operator_client, plants):
    address = send(operator_client, plants[:3])["Location"]
    order = EmergencyOrder.objects.get()
    release = reverse("console:fleet:release", args=[order.pk])

    asked = text_of(operator_client.get(release))
    empty = operator_client.post(release, {"reason": " "})
    done = operator_client.post(release, {"reason": "The storm is over"}, headers={"HX-Request": "true"})

    assert "Release 3 plants?" in asked
    assert empty.status_code == 422
    assert done["HX-Redirect"] == address
    assert not EmergencyLatch.objects.filter(released_at__isnull=True).exists()
    assert AuditEntry.objects.get(action="emergency.released").reason == "The storm is over"
    again = operator_client.post(release, {"reason": "Again"})
    assert again.status_code == 422
    assert "already" in text_of(again)


def test_a_viewer_sees_an_order_and_may_not_release_it(operator_client, viewer_client, plants):
    address = send(operator_client, plants[:2])["Location"]

    page = viewer_client.get(address)
    refused = viewer_client.post(f"{address}release/", {"reason": "x"})

    assert page.status_code == 200
    assert "disabled" in page.content.decode()
    assert refused.status_code == 403


def test_another_organisations_order_does_not_exist(operator_client, plants):
    other = EmergencyOrder.objects.create(
        organisation=factories.organisation(),
        type="STOP",
        reason="x",
        scope="x",
        asked=1,
        made_at=NOW,
        made_by_name="x",
    )

    assert operator_client.get(reverse("console:fleet:order", args=[other.pk])).status_code == 404
    assert (
        operator_client.post(reverse("console:fleet:release", args=[other.pk]), {"reason": "x"}).status_code
        == 404
    )
    assert (
        other.reason not in text_of(operator_client.get(reverse("console:fleet:orders"))).split("Reason")[0]
    )


def test_orders_are_listed_newest_first_page_by_page(operator_client, organisation):
    EmergencyOrder.objects.bulk_create(
        EmergencyOrder(
            organisation=organisation,
            type="HOLD",
            reason=f"Reason {n}",
            scope="x",
            asked=1,
            made_at=NOW,
            made_by_name="x",
        )
        for n in range(53)
    )

    first = operator_client.get(reverse("console:fleet:orders"))
    second = operator_client.get(reverse("console:fleet:orders"), {"before": first.context["before"]})

    assert [row.reason for row in first.context["rows"]][:2] == ["Reason 52", "Reason 51"]
    assert [row.reason for row in second.context["rows"]] == ["Reason 2", "Reason 1", "Reason 0"]
    assert second.context["before"] is None


def test_a_page_of_progress_costs_the_same_for_any_number_of_plants(operator_client, plants):
    few = send(operator_client, plants[:1])["Location"]
    many = send(operator_client, plants[1:])["Location"]

    assert queries_of(lambda: operator_client.get(few)) == queries_of(lambda: operator_client.get(many)) <= 16


@pytest.mark.parametrize("ids", [[1], [1, 2, 3], [1, 3, 4, 9], list(range(5, 5000))])
def test_ids_travel_as_ranges_and_come_back_the_same(ids):
    assert ids_of(ranges_of(ids)) == frozenset(ids)


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1-2-3", "1,,2", "1-99999999999", "9" * 40])
def test_ids_that_make_no_sense_are_refused(text):
    with pytest.raises(Invalid):
        ids_of(text)
