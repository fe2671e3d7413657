"""Pages for what can't be shown: in the frame for who is signed in, on a page of their own for everybody else."""

import pytest
from django.test import Client, RequestFactory

from esm import errors
from plants.models import User
from tests import factories
from tests.admin.pages import text_of

pytestmark = pytest.mark.django_db


def test_another_organisations_plant_is_not_found_within_the_frame(viewer_client):
    foreign = factories.plant()

    answer = viewer_client.get(f"/console/plants/{foreign.pk}/")

    assert answer.status_code == 404
    assert "There is nothing here" in text_of(answer)
    assert 'class="nav"' in answer.content.decode()


@pytest.mark.parametrize("address", ["/console/nowhere/", "/nowhere/"])
def test_an_address_that_leads_nowhere_is_told_without_the_frame(address):
    answer = Client().get(address)

    assert answer.status_code == 404
    assert "There is nothing here" in text_of(answer)
    assert "Busbar" in text_of(answer)
    assert 'class="nav"' not in answer.content.decode()


def test_a_form_that_is_too_old_says_that_nothing_was_done(organisation):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("petr", organisation=organisation))

    answer = client.post("/console/account/theme/", {"theme": "dark"})

    assert answer.status_code == 403
    assert "Nothing was done" in text_of(answer)


def test_a_fault_of_ours_names_the_request_and_asks_no_database(django_assert_num_queries):
    request = RequestFactory().get("/console/fleet/")
    request.request_id = "4f1c"

    with django_assert_num_queries(0):
        answer = errors.server_error(request)

    assert answer.status_code == 500
    assert "Something went wrong on our side" in text_of(answer)
    assert "4f1c" in text_of(answer)
