"""People in the admin: staff of the installation belong to no organisation; switches of the whole installation."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from plants.models import Installation, Organisation, User
from tests import factories
from tests.admin.pages import form_data, page, text_of
from tests.admin.seed import seed
from tests.factories import AT

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


def login(**facts):
    User.objects.create_user("petr", password=PASSWORD, **facts)
    client = Client()
    asked = client.get(page("index"), follow=True).redirect_chain[-1][0]
    response = client.post(asked, {"username": "petr", "password": PASSWORD, "next": page("index")})
    return client, response


def test_staff_of_the_installation_signs_in(db):
    client, response = login(is_staff=True)

    assert (response.status_code, response["Location"]) == (302, page("index"))
    assert client.get(page("index")).status_code == 200


def test_a_person_of_an_organisation_does_not_enter_the_admin_even_with_the_staff_flag(db):
    client, response = login(is_staff=True, organisation=factories.organisation())

    assert response["Location"] != page("index")
    assert client.get(page("index")).status_code == 302


def test_a_person_can_not_be_made_staff_of_the_installation_and_member_of_an_organisation(jana):
    user = User.objects.create_user("petr", password=PASSWORD, organisation=factories.organisation())
    url = page("plants_user_change", user.pk)

    data = form_data(jana.get(url), is_staff="on")

    response = jana.post(url, data)

    user.refresh_from_db()
    assert "organisation" in response.context["adminform"].form.errors
    assert user.is_staff is False


def test_a_person_is_added_to_an_organisation(jana):
    owner = factories.organisation()

    response = jana.post(
        page("plants_user_add"),
        {
            "username": "eva",
            "organisation": owner.pk,
            "password1": PASSWORD,
            "password2": PASSWORD,
            "usable_password": "true",
        },
    )

    user = User.objects.get(username="eva")
    assert response.status_code == 302
    assert (user.organisation, user.is_staff, user.check_password(PASSWORD)) == (owner, False, True)


def test_an_organisation_is_made_and_renamed_and_keeps_its_slug(jana):
    jana.post(page("plants_organisation_add"), {"name": "Moravia Flex", "slug": "moravia-flex"})
    made = Organisation.objects.get()
    url = page("plants_organisation_change", made.pk)

    jana.post(url, {"name": "Moravia Energy", "slug": "other"})

    made.refresh_from_db()
    assert (made.name, made.slug) == ("Moravia Energy", "moravia-flex")


@pytest.mark.parametrize(
    ("data", "field"), [({"name": "", "slug": "x"}, "name"), ({"name": "Two", "slug": "taken"}, "slug")]
)
def test_an_organisation_that_does_not_fit_is_refused_at_its_field(jana, data, field):
    factories.organisation(slug="taken")

    response = jana.post(page("plants_organisation_add"), data)

    assert field in response.context["adminform"].form.errors
    assert Organisation.objects.count() == 1


def test_the_installation_is_switched_off_and_on_by_a_page_that_says_what_it_means(jana):
    url = page("plants_installation_changelist")
    asked = text_of(jana.get(url))

    jana.post(url, {"enabled": "off"})
    off = Installation.objects.get().dispatch_enabled
    jana.post(url, {"enabled": "on"})

    assert "Nothing at all is published to Voke any more, for any organisation" in asked
    assert (off, Installation.objects.get().dispatch_enabled) == (False, True)
    assert LogEntry.objects.filter(change_message__contains="Switched dispatch off").exists()


def test_the_installation_switch_needs_its_permission(staff):
    client = staff("plants.view_installation")

    assert client.post(page("plants_installation_changelist"), {"enabled": "off"}).status_code == 403
    assert not Installation.objects.filter(dispatch_enabled=False).exists()


def test_a_calm_installation_looks_calm_and_a_switched_off_one_says_so_first(jana):
    calm = text_of(jana.get(page("index")))

    jana.post(page("plants_installation_changelist"), {"enabled": "off"})

    assert "Nothing that you may see does right now" in calm
    assert "Dispatch is off" in text_of(jana.get(page("index")))


def test_the_first_page_counts_what_needs_a_person_and_tells_people_only_of_what_they_may_see(jana, staff):
    seed(at=AT, plants=8, commands=4, journal=2, letters=4)

    response = jana.get(page("index"))
    to_petr = staff("plants.view_alarm").get(page("index"))

    matters = {matter.title: jana.get(matter.url).status_code for matter in response.context["matters"]}
    assert set(matters.values()) == {200}
    assert {"1 plant latched", "2 config updates wait", "4 dead letters"} <= set(matters)
    assert [matter.permission for matter in to_petr.context["matters"]] == ["plants.view_alarm"]
