"""People and audit as pages: for organisation admins, of their organisation alone."""

import csv
import io
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.urls import reverse

from console.account.audit_views import safe_cell
from people.models import AuditEntry, OneTimeLink
from people.rights import Role
from people.services.audit import record
from plants.models import User
from tests import factories
from tests.admin.pages import text_of
from tests.console.account.conftest import enrolled
from tests.factories import AT

pytestmark = pytest.mark.django_db
HX = {"HX-Request": "true"}


def url(name, *args):
    return reverse(f"console:account:{name}", args=args)


@pytest.fixture
def petr(person):
    return person(Role.OPERATOR, username="petr", first_name="Petr", last_name="Svoboda")


PAGES = [("people", ()), ("person", (1,)), ("audit", ()), ("audit_export", ())]
ACTS = [
    ("invite", ()),
    ("withdraw", (1,)),
    *(("change", (1, act)) for act in ("role", "deactivate", "activate")),
]


@pytest.mark.parametrize(("name", "args"), PAGES)
def test_an_engineer_sees_whose_page_it_is_instead_of_it(engineer_client, name, args):
    answer = engineer_client.get(url(name, *args))

    assert answer.status_code == 403
    assert "Organisation admin" in text_of(answer)


@pytest.mark.parametrize(("name", "args"), ACTS)
def test_an_engineer_changes_nobody(engineer_client, name, args):
    assert engineer_client.post(url(name, *args)).status_code == 403
    assert not OneTimeLink.objects.exists()


def test_the_list_shows_people_of_the_organisation_alone(manager_client, petr):
    User.objects.create_user("stranger", organisation=factories.organisation())

    shown = text_of(manager_client.get(url("people")))

    assert "Petr Svoboda" in shown
    assert "stranger" not in shown


def test_a_person_of_another_organisation_is_not_there(manager_client):
    other = User.objects.create_user("stranger", organisation=factories.organisation())

    answers = [
        manager_client.get(url("person", other.pk)),
        *(manager_client.post(url("change", other.pk, act), {"role": "ADMIN"}) for act in
          ("role", "deactivate", "activate", "reset-factor", "new-password", "nonsense")),
    ]  # fmt: skip

    assert {answer.status_code for answer in answers} == {404}


def test_an_invitation_shows_its_link_once_and_the_newcomer_joins_by_it(manager_client, client, organisation):
    page = manager_client.get(url("people"))
    asked = {"name": "Ota Nový", "email": "", "role": "OPERATOR", "request_key": page.context["request_key"]}

    made = manager_client.post(url("invite"), asked)
    again = manager_client.post(url("invite"), asked)
    link = made.context["issued"]["url"]
    client.post(
        link, {"username": "ota", "password": "correct horse battery", "again": "correct horse battery"}
    )

    ota = User.objects.get(username="ota")
    assert (ota.organisation, ota.role) == (organisation, Role.OPERATOR)
    assert (again.status_code, "issued" in again.context) == (422, False)
    assert link not in manager_client.get(url("people")).content.decode()
    assert made["Cache-Control"] == "no-store"


def test_without_a_mail_server_nothing_is_mailed(manager_client):
    manager_client.post(url("invite"), {"name": "Ota", "email": "ota@example.com", "role": "VIEWER"})

    assert mail.outbox == []


def test_a_dead_link_says_what_to_do(client):
    answer = client.get(url("link", "guessed"))

    assert answer.status_code == 410
    assert "Ask for a new one" in text_of(answer)


def test_a_role_is_changed_and_the_answer_shows_it(manager_client, petr):
    answer = manager_client.post(url("change", petr.pk, "role"), {"role": "ENGINEER"}, headers=HX)

    assert "The role is Engineer now" in text_of(answer)
    assert User.objects.get(pk=petr.pk).role == Role.ENGINEER


def test_a_refusal_is_told_on_the_persons_page(manager_client):
    me = User.objects.get(username="admin")

    answer = manager_client.post(url("change", me.pk, "role"), {"role": "VIEWER"}, headers=HX)

    assert (answer.status_code, answer.context["error"]["code"]) == (422, "ONESELF")


def test_a_password_link_of_the_page_sets_a_new_password(manager_client, client, petr):
    made = manager_client.post(url("change", petr.pk, "new-password"))

    new = "another horse battery"
    client.post(made.context["issued"]["url"], {"password": new, "again": new})

    assert User.objects.get(pk=petr.pk).check_password(new)


def test_what_is_done_to_people_stands_in_the_audit_with_before_and_after(manager_client, petr):
    enrolled(petr, at=AT)
    manager_client.post(url("change", petr.pk, "role"), {"role": "VIEWER"})
    manager_client.post(url("change", petr.pk, "reset-factor"), {"reason": "phone lost"})
    manager_client.post(url("change", petr.pk, "deactivate"), {"reason": "left"})

    shown = text_of(manager_client.get(url("audit")))

    for words in (
        "Changed the role petr",
        "Operator",
        "Viewer",
        "phone lost",
        "Deactivated petr",
        "127.0.0.1",
    ):
        assert words in shown


def entry(user, **facts):
    return record(
        user=user, organisation_id=user.organisation_id, at=AT, **({"action": "plan.published"} | facts)
    )


def test_the_audit_shows_no_other_organisation_and_is_filtered_by_its_address(manager_client, petr):
    stranger = User.objects.create_user("stranger", organisation=factories.organisation())
    entry(stranger, subject="Theirs")
    entry(petr, subject="Brewery")
    entry(petr, action="command.sent", subject="Sawmill")

    everything = text_of(manager_client.get(url("audit")))
    plans = text_of(manager_client.get(url("audit"), {"action": "plan"}, headers=HX))
    theirs = text_of(manager_client.get(url("audit"), {"person": stranger.pk}))

    assert ("Brewery" in everything, "Sawmill" in everything, "Theirs" in everything) == (True, True, False)
    assert ("Brewery" in plans, "Sawmill" in plans) == (True, False)
    assert "Theirs" not in theirs


def test_times_of_the_audit_and_its_days_are_those_of_the_organisations_plants(manager_client, petr):
    factories.plant(on=factories.connection(owner=petr.organisation), time_zone="Pacific/Auckland")
    entry(petr, subject="Brewery")
    local = AT.astimezone(ZoneInfo("Pacific/Auckland"))

    found, none = (
        manager_client.get(url("audit"), {"from": day.isoformat(), "to": day.isoformat()})
        for day in (local.date(), local.date() - timedelta(days=1))
    )

    assert f"{local:%H:%M:%S}" in text_of(found)
    assert f"{AT:%Y-%m-%dT%H:%M:%S}.000Z · Pacific/Auckland" in found.content.decode()
    assert ("Brewery" in text_of(found), "Brewery" in text_of(none)) == (True, False)


def test_a_person_sees_their_own_acts_alone(operator_client, petr):
    entry(petr, subject="Of Petr")
    me = User.objects.get(username="operator")
    entry(me, subject="Of me")

    shown = text_of(operator_client.get(url("acts")))

    assert ("Of me" in shown, "Of Petr" in shown) == (True, False)


def test_older_entries_are_on_the_next_page(manager_client, petr):
    for number in range(60):
        entry(petr, subject=f"act {number:02d}")

    first = manager_client.get(url("audit"))
    second = manager_client.get(url("audit"), {"before": first.context["following"]})

    assert "act 59" in text_of(first)
    assert "act 09" in text_of(second)
    assert second.context["following"] is None


@pytest.mark.parametrize(
    "query",
    [
        "person=x",
        "before=-1",
        "from=yesterday",
        "to=2026-99-99",
        "from=0001-01-01",
        "to=9999-12-31",
        "action=%00",
        "before=" + "9" * 30,
    ],
)
def test_an_address_that_makes_no_sense_shows_a_page_all_the_same(manager_client, query):
    assert manager_client.get(f"{url('audit')}?{query}").status_code == 200


def test_the_export_holds_what_was_asked_for_and_no_formula(manager_client, petr):
    entry(petr, subject="=HYPERLINK(1)", reason="+1", before={"a": 1}, after={"a": 2})
    entry(petr, action="command.sent")

    answer = manager_client.get(url("audit_export"), {"action": "plan"})

    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [(row["subject"], row["reason"], row["after"]) for row in rows] == [
        ("'=HYPERLINK(1)", "'+1", "a=2")
    ]
    assert AuditEntry.objects.filter(action="audit.exported").exists()


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_cell_that_a_spreadsheet_would_take_for_a_formula_gets_a_quote(text):
    assert safe_cell(text) == f"'{text}"


def test_lists_cost_the_same_however_many_rows_they_have(
    manager_client, person, django_assert_max_num_queries
):
    for number in range(12):
        entry(person(username=f"p{number}"))

    for name in ("people", "audit"):
        with django_assert_max_num_queries(14):
            manager_client.get(url(name))
