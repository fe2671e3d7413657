"""Emergencies for many plants that are asked for twice, by two people, or cut off: one effect each, and its entry."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from console.access import Viewer
from dispatch.models import Command, EmergencyLatch, EmergencyOrder
from dispatch.requests import CommandRequest
from dispatch.services.emergency import send_emergency
from esm import clock
from people.models import AuditEntry
from people.rights import Role
from plants.models import Organisation, Plant, User
from tests import factories
from tests.admin.pages import text_of
from tests.console import seed_fleet
from tests.console.seed_fleet import NOW
from tests.factories import OPERATOR
from tests.hostile.console_things import signed_in
from tests.threads import together
from vcp import Emergency, EmergencyType

pytestmark = pytest.mark.django_db
at_once = pytest.mark.django_db(transaction=True)
ASK = reverse("console:fleet:emergency")


@pytest.fixture(autouse=True)
def _still() -> Iterator[None]:
    with clock.frozen(NOW):
        yield


@pytest.fixture
def home(db: None) -> Organisation:
    return factories.organisation(name="Acme Energy", slug="acme")


@pytest.fixture
def plants(home: Organisation) -> list[Plant]:
    on = seed_fleet.link(home, NOW)
    return [seed_fleet.plant(on, f"Depot {number}", number) for number in range(3)]


def operator(home: Organisation, name: str) -> Client:
    return signed_in(User.objects.create_user(name, organisation=home, role=Role.OPERATOR))


def form_of(client: Client, plants: list[Plant], **changes: str) -> dict[str, Any]:
    """What the dialog sends once it is confirmed."""
    page = client.get(ASK, {"plant": [plant.pk for plant in plants]})
    filled = {"type": "STOP", "reason": "Storm over the valley", "number": str(len(plants))}
    hidden = {"plants": page.context["form"]["plants"].value(), "key": page.context["form"]["key"].value()}
    return hidden | filled | {"token": page.context["counted"].token} | changes


def places(answers: list[HttpResponse]) -> list[str]:
    return [answer.headers.get("Location", str(answer)) for answer in answers]


def page_of(order: EmergencyOrder) -> str:
    return reverse("console:fleet:order", args=[order.pk])


def acts() -> list[tuple[str, str, str]]:
    """Who did what to what."""
    rows = AuditEntry.objects.order_by("pk").values_list("action", "user_name", "subject_path")
    return [row for row in rows if row[0].startswith("emergency.")]


@at_once
def test_one_form_that_arrives_three_times_at_once_is_one_order(
    home: Organisation, plants: list[Plant]
) -> None:
    client = operator(home, "anna")
    data = form_of(client, plants)

    answers = together(*[lambda: client.post(ASK, data)] * 3)

    order = EmergencyOrder.objects.get()
    assert places(answers) == [page_of(order)] * 3
    assert sorted(Command.objects.values_list("plant_id", flat=True)) == sorted(one.pk for one in plants)
    assert acts() == [("emergency.sent", "anna", page_of(order))]


@at_once
def test_two_people_at_once_have_an_order_each_and_every_plant_one_latch(
    home: Organisation, plants: list[Plant]
) -> None:
    """One of the plants was on hold before: it stops now, and its latch stays the one that somebody set."""
    held = plants[1]
    send_emergency(
        organisation_id=home.pk,
        request=CommandRequest(
            external_plant_id=held.external_plant_id,
            payload=Emergency(type=EmergencyType.HOLD, reason="Works"),
            reason="Works",
        ),
        actor=OPERATOR,
        at=NOW,
        policy=factories.policy(),
    )
    clients = {name: operator(home, name) for name in ("anna", "boris")}
    forms = {name: form_of(client, plants) for name, client in clients.items()}

    answers = together(*[lambda name=name: clients[name].post(ASK, forms[name]) for name in clients])

    orders = {order.made_by_name: order for order in EmergencyOrder.objects.all()}
    assert places(answers) == [page_of(orders[name]) for name in clients]
    assert sorted(acts()) == [("emergency.sent", name, page_of(orders[name])) for name in sorted(clients)]
    for order in orders.values():
        told = Command.objects.filter(batch_ref=f"order:{order.pk}")
        assert sorted(told.values_list("plant_id", flat=True)) == sorted(one.pk for one in plants)
    latches = {latch.plant_id: latch for latch in EmergencyLatch.objects.filter(released_at=None)}
    assert len(latches) == EmergencyLatch.objects.count() == len(plants)
    assert {latch.type for latch in latches.values()} == {"STOP"}
    assert latches[held.pk].order_id is None
    for name, client in clients.items():
        assert "Storm over the valley" in text_of(client.get(page_of(orders[name])))


@at_once
def test_two_people_who_release_an_order_at_once_release_it_once_and_one_is_told_so(
    home: Organisation, plants: list[Plant]
) -> None:
    anna, boris = (operator(home, name) for name in ("anna", "boris"))
    anna.post(ASK, form_of(anna, plants))
    release = reverse("console:fleet:release", args=[EmergencyOrder.objects.get().pk])

    answers = together(
        *[lambda one=one: one.post(release, {"reason": "It is over"}) for one in (anna, boris)]
    )

    assert sorted(answer.status_code for answer in answers) == [302, 422]
    late = next(answer for answer in answers if answer.status_code == 422)
    assert "released already" in text_of(late)
    assert [action for action, _, _ in acts()] == ["emergency.sent", "emergency.released"]
    assert not EmergencyLatch.objects.filter(released_at=None).exists()


def test_a_form_that_asks_for_something_else_the_second_time_is_refused_and_says_so(
    home: Organisation, plants: list[Plant]
) -> None:
    client = operator(home, "anna")
    data = form_of(client, plants, type="HOLD")
    client.post(ASK, data)

    stop, fewer = (
        client.post(ASK, data | {"type": "STOP"}),
        client.post(ASK, form_of(client, plants[:1], type="HOLD") | {"key": data["key"]}),
    )

    assert (stop.status_code, fewer.status_code) == (422, 422)
    assert "This form was sent before" in text_of(stop)
    assert EmergencyOrder.objects.get().type == "HOLD"
    assert len(acts()) == 1


def test_an_order_that_can_not_be_written_down_is_neither_sent_nor_released(
    home: Organisation, plants: list[Plant], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = operator(home, "anna")
    client.post(ASK, form_of(client, plants[:1]))
    standing = EmergencyOrder.objects.get()
    before = (Command.objects.count(), acts())

    def broken(*_given: object, **_how: object) -> None:
        raise RuntimeError("the audit can't be written")

    with monkeypatch.context() as patched:
        patched.setattr(Viewer, "record", broken)
        sent = client.post(ASK, form_of(client, plants[1:]))
        released = client.post(reverse("console:fleet:release", args=[standing.pk]), {"reason": "It is over"})

    assert (sent.status_code, released.status_code) == (500, 500)
    assert EmergencyOrder.objects.get().released_at is None
    assert (Command.objects.count(), acts()) == before
    assert EmergencyLatch.objects.filter(released_at=None).count() == 1
