"""The inbox as people use it: what they see, what they may do, and that it is written down."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from people.models import AuditEntry
from plants.models import AlarmCase, AlarmNote
from plants.services.alarm_care import acknowledge, close
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from tests import factories
from tests.console.conftest import signed_in
from tests.console.seed_alarms import Seeded, seed
from tests.factories import AT
from tests.queries import queries_of
from tests.standing import standing

pytestmark = pytest.mark.django_db
LIST = "/console/alarms/"
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def inbox(django_db_setup, django_db_blocker):
    def make():
        return seed(factories.organisation(name="Moravia Flex"), at=AT)

    with standing(django_db_blocker, make, at=AT) as made:
        yield made


@pytest.fixture
def seeded(inbox, db) -> Seeded:
    return inbox.copy()


@pytest.fixture
def organisation(request, db):
    """Whose inbox is looked at: the seeded one where a test asks for it, else one without any alarm."""
    if "seeded" in request.fixturenames:
        return request.getfixturevalue("seeded").connection.organisation
    return factories.organisation(name="Acme Energy")


def page(client, query=""):
    answer = client.get(LIST + query)
    assert answer.status_code == 200
    return answer.content.decode()


def titles(html):
    return re.findall(r'class="al-title ell">([^<]+)<', html)


def address(case, act=""):
    return f"{LIST}{case.pk}/{act}/" if act else f"{LIST}{case.pk}/"


def foreign_case():
    plant = factories.plant()
    raise_platform_alarm(
        connection_id=None,
        plant_id=plant.pk,
        alarm_id="f",
        severity="ERROR",
        code="FOREIGN",
        message="",
        at=AT,
    )
    return AlarmCase.objects.get(code="FOREIGN")


def test_the_list_opens_with_the_worst_that_is_raised_and_what_is_over_stands_last(viewer_client, seeded):
    found = titles(page(viewer_client))

    assert found[0] == "Constraint violation"
    assert found[-1] == "Site drift"
    assert found.index("Operating mode not honored") < found.index("Communication lost")
    assert "Soc out of range" not in found


def test_twelve_raises_of_one_problem_are_one_row_that_says_so(viewer_client, seeded):
    html = page(viewer_client)

    assert titles(html).count("Communication lost") == 1
    assert "12\u202f×, flapping" in html


def test_a_word_of_vokes_own_stands_as_it_came(viewer_client, seeded):
    assert ">NOTICE<" in page(viewer_client)


def test_tabs_say_how_many_and_hold_them(operator_client, seeded):
    html = page(operator_client)
    counts = re.findall(r">(\w+)<i>([\d,]+)</i>", html)

    assert counts == [("Open", "8"), ("Mine", "0"), ("Unowned", "6")]
    assert titles(page(operator_client, "?tab=closed")) == ["Soc out of range"]
    assert "You own no open alarm" in page(operator_client, "?tab=mine")


def test_filters_are_in_the_address_and_survive_in_every_link(viewer_client, seeded):
    html = page(viewer_client, f"?severity=CRITICAL&plant={seeded.plants[0].pk}&origin=VOKE")

    assert titles(html) == ["Constraint violation"]
    assert f"severity=CRITICAL&amp;plant={seeded.plants[0].pk}&amp;origin=VOKE" in html


@pytest.mark.parametrize(
    "query", ["?severity=' OR 1&plant=x&origin=Z&tab=nope", "?after=%00", "?plant=9999999999999999999"]
)
def test_an_address_written_by_hand_shows_the_inbox(viewer_client, seeded, query):
    answer = viewer_client.get(LIST + query, follow=True)

    assert answer.status_code == 200


def test_an_empty_inbox_says_so(viewer_client):
    html = page(viewer_client)

    assert "No open alarm" in html


def test_one_alarm_tells_what_was_measured_and_what_was_expected(viewer_client, seeded):
    html = viewer_client.get(address(seeded.case("CONSTRAINT_VIOLATION"))).content.decode()

    for name, value in (
        ("Actual", "312\u202fkW"),
        ("Expected", "300\u202fkW"),
        ("Breached", "maxExportKw"),
        ("Tolerance", "5\u202f%"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in html
    assert "Export of 312 kW is over the limit of 300 kW" in html
    assert "Night shift" in html


def test_one_that_flaps_lists_each_raise(viewer_client, seeded):
    html = viewer_client.get(address(seeded.case("COMMUNICATION_LOST"))).content.decode()

    assert html.count("2\u202fmin</span>") == 11
    assert "Raised 12 times" in html


def test_by_htmx_only_the_pane_comes(viewer_client, seeded):
    html = viewer_client.get(address(seeded.case("CONSTRAINT_VIOLATION")), headers=HTMX).content.decode()

    assert html.lstrip().startswith('<div class="al-pane"')


def test_another_organisations_alarm_is_as_one_that_does_not_exist(viewer_client, operator_client):
    case = foreign_case()

    assert viewer_client.get(address(case)).status_code == 404
    assert viewer_client.get(address(case, "chart")).status_code == 404
    assert operator_client.post(address(case, "acknowledge")).status_code == 404
    assert titles(page(viewer_client)) == []


def test_what_is_about_the_installation_is_shown_to_its_staff_alone(viewer_client, seeded, django_user_model):
    raise_platform_alarm(connection_id=None, alarm_id="t", severity="ERROR", code="TICK", message="", at=AT)
    staff = signed_in(django_user_model.objects.create_user("root", is_staff=True))

    of_organisation = titles(page(viewer_client))
    assert titles(page(staff)).count("Tick") == 1
    assert of_organisation
    assert "Tick" not in of_organisation


# --- acts -------------------------------------------------------------------------------------------------------------


def test_acknowledging_answers_the_pane_as_it_is_now_and_is_written_down(operator_client, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")

    answer = operator_client.post(address(case, "acknowledge"), {"request_key": "k"}, headers=HTMX)

    entry = AuditEntry.objects.get()
    assert answer.status_code == 200
    assert "Acknowledged by operator" in answer.content.decode()
    assert '"undo": "/console/alarms/' in answer["HX-Trigger"]
    assert (entry.action, entry.subject) == ("alarm.acknowledged", "Constraint violation, Brewery Přerov")
    assert (entry.before["acknowledged"], entry.after["acknowledged"]) == (False, True)


def test_without_javascript_an_act_leads_back_to_the_alarm(operator_client, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")

    answer = operator_client.post(address(case, "acknowledge") + "?tab=unowned", {"request_key": "k"})

    assert (answer.status_code, answer["Location"]) == (302, address(case) + "?tab=unowned")


def test_a_form_sent_twice_is_done_and_written_down_once(operator_client, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")

    answers = [
        operator_client.post(address(case, "comment"), {"request_key": "k", "text": "seen"}, headers=HTMX)
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert AlarmNote.objects.filter(case=case).count() == AuditEntry.objects.count() == 1


def test_the_second_to_acknowledge_sees_who_was_first(operator_client, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")
    acknowledge(case_id=case.pk, by=seeded.people[0], at=AT)

    answer = operator_client.post(address(case, "acknowledge"), headers=HTMX)
    page_answer = operator_client.post(address(case, "acknowledge"))

    html = answer.content.decode()
    assert (answer.status_code, page_answer.status_code) == (200, 409)
    assert "HX-Trigger" not in answer
    assert 'data-code="ALREADY_ACKNOWLEDGED"' in html
    assert "Acknowledged by Petr Novák" in html
    assert not AuditEntry.objects.exists()


def test_one_that_is_raised_is_not_closed_without_a_reason(operator_client, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")

    answer = operator_client.post(address(case, "close"), {"why": ""}, headers=HTMX)

    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'data-code="REASON_REQUIRED"' in html
    assert 'aria-invalid="true"' in html
    assert AlarmCase.objects.get(pk=case.pk).closed_at is None


def test_closing_keeps_why_and_can_be_undone(operator_client, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")

    operator_client.post(address(case, "close"), {"why": "meter replaced"}, headers=HTMX)
    closed = AlarmCase.objects.get(pk=case.pk)
    operator_client.post(address(case, "reopen"), headers=HTMX)

    assert (closed.closed_at, closed.closed_why) == (AT, "meter replaced")
    assert AlarmCase.objects.get(pk=case.pk).closed_at is None
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "reason")) == [
        ("alarm.closed", "meter replaced"),
        ("alarm.reopened", ""),
    ]


def test_assigning_to_a_colleague_and_to_nobody(operator_client, seeded):
    case, eva = seeded.case("CONSTRAINT_VIOLATION"), seeded.people[1]

    operator_client.post(address(case, "assign"), {"owner": str(eva.pk)}, headers=HTMX)
    owned = AlarmCase.objects.get(pk=case.pk).owner
    operator_client.post(address(case, "assign"), {"owner": ""}, headers=HTMX)

    assert (owned, AlarmCase.objects.get(pk=case.pk).owner) == (eva, None)


@pytest.mark.parametrize("owner", ["x", "999999", "stranger"])
def test_nobody_else_can_be_made_the_owner(operator_client, seeded, owner, django_user_model):
    case = seeded.case("CONSTRAINT_VIOLATION")
    stranger = django_user_model.objects.create_user("s", organisation=factories.organisation())
    wanted = str(stranger.pk) if owner == "stranger" else owner

    answer = operator_client.post(address(case, "assign"), {"owner": wanted}, headers=HTMX)

    assert answer.status_code == 422
    assert 'data-code="NOT_A_MEMBER"' in answer.content.decode()


def test_what_is_over_is_closed_at_once_and_the_rest_stays(operator_client, seeded):
    over, raised = seeded.case("SITE_DRIFT"), seeded.case("CONSTRAINT_VIOLATION")

    answer = operator_client.post(reverse("console:alarms:close_cleared"), {"ids": f"{over.pk},{raised.pk}"})

    assert answer.status_code == 302
    assert AlarmCase.objects.get(pk=over.pk).closed_at == AT
    assert AlarmCase.objects.get(pk=raised.pk).closed_at is None
    assert AuditEntry.objects.get().action == "alarm.closed"


@pytest.mark.parametrize("act", ["acknowledge", "take-back", "assign", "comment", "close", "reopen"])
def test_a_viewer_may_do_nothing_and_is_told_which_role_it_takes(viewer_client, seeded, act):
    case = seeded.case("CONSTRAINT_VIOLATION")

    answer = viewer_client.post(address(case, act))
    html = viewer_client.get(address(case)).content.decode()

    assert answer.status_code == 403
    assert "Takes the role Operator." in html
    assert f'action="{address(case)}' not in html
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("act", ["acknowledge", "take-back", "assign", "comment", "close", "reopen"])
def test_looking_changes_nothing(operator_client, seeded, act):
    assert operator_client.get(address(seeded.case("CONSTRAINT_VIOLATION"), act)).status_code == 405


def test_a_comment_is_shown_as_text(operator_client, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")

    html = operator_client.post(
        address(case, "comment"), {"text": "<b>bold</b>\nnext"}, headers=HTMX
    ).content.decode()

    assert "&lt;b&gt;bold&lt;/b&gt;<br>next" in html


# --- what changes meanwhile -------------------------------------------------------------------------------------------


def test_changed_rows_come_as_they_are_now_and_say_when_they_left_the_list(operator_client, seeded, person):
    case, other = seeded.case("CONSTRAINT_VIOLATION"), seeded.case("COMMUNICATION_LOST")
    close(case_id=case.pk, why="known", by=seeded.people[0], at=AT)

    html = operator_client.get(
        f"{LIST}changed/?ids={case.pk},{other.pk},{foreign_case().pk},x"
    ).content.decode()

    rows = dict(re.findall(r'id="alarm-(\d+)"([^>]*)>', html))
    assert set(rows) == {str(case.pk), str(other.pk)}
    assert "data-elsewhere" in rows[str(case.pk)]
    assert "data-elsewhere" not in rows[str(other.pk)]
    assert "Open<i>7</i>" in html


def test_the_chart_is_of_the_plant_half_an_hour_before_and_after(viewer_client, seeded):
    case = seeded.case("CONSTRAINT_VIOLATION")

    data = viewer_client.get(address(case, "chart")).json()

    raised_ms = int(case.last_raised_at.timestamp() * 1000)
    assert data["to"] - data["from"] == 61 * 60_000
    assert data["from"] <= raised_ms - 29 * 60_000
    assert data["alarm"] == [{"raised": raised_ms, "cleared": None}]


def test_what_is_about_no_plant_has_no_chart(viewer_client, seeded):
    case = seeded.case("LINK_SILENT")

    assert viewer_client.get(address(case, "chart")).status_code == 404
    assert "data-chart" not in viewer_client.get(address(case)).content.decode()


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_a_page_takes_the_same_statements_however_many_rows_it_has(viewer_client, seeded):
    few = queries_of(lambda: page(viewer_client))
    for number in range(30):
        raise_platform_alarm(
            connection_id=None,
            plant_id=seeded.plants[number % 5].pk,
            alarm_id=f"more{number}",
            severity="ERROR",
            code=f"MORE_{number}",
            message="",
            at=AT - timedelta(minutes=number),
        )

    assert queries_of(lambda: page(viewer_client)) == few
    assert few <= 16


def test_one_alarm_takes_the_same_statements_whatever_happened_to_it(operator_client, seeded):
    case = seeded.case("COMMUNICATION_LOST")
    once = queries_of(lambda: operator_client.get(address(case), headers=HTMX))
    for number in range(5):
        operator_client.post(address(case, "comment"), {"text": f"word {number}"}, headers=HTMX)

    assert queries_of(lambda: operator_client.get(address(case), headers=HTMX)) == once
    assert once <= 10


def test_pages_go_on_where_the_last_row_was(viewer_client, seeded):
    for number in range(60):
        raise_platform_alarm(
            connection_id=None,
            plant_id=seeded.plants[0].pk,
            alarm_id=f"more{number}",
            severity="ERROR",
            code=f"MORE_{number}",
            message="",
            at=AT - timedelta(minutes=number),
        )
    clear_platform_alarm(connection_id=None, alarm_id="more59", at=AT)
    first = page(viewer_client)
    more = re.search(r'hx-get="([^"]+after=[^"]+)"', first)
    assert more is not None

    second = viewer_client.get(more[1].replace("&amp;", "&"), headers=HTMX | {"HX-Target": "alarm-more-x"})

    names = titles(first) + titles(second.content.decode())
    assert len(names) == len(set(names)) == 68
    assert "<html" not in second.content.decode()
