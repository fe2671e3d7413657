"""Tables that the machine owns: to be opened, searched and filtered, and written by nobody; lists cost a fixed number
of queries."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext

from plants.admin.base import BoundedPaginator, MachineOwned
from plants.models import Alarm, DeadLetter, InboundMessage
from plants.services.dead_letters import Letter, store_dead_letter
from tests import factories
from tests.admin.pages import page, text_of
from tests.admin.seed import seed
from tests.factories import AT
from tests.standing import standing

pytestmark = pytest.mark.django_db

# Session, person, count and rows, and what the filters and chips of the page need; never one query per row.
QUERIES = {
    "auth_group": 4,
    "dispatch_command": 5,
    "dispatch_emergencylatch": 5,
    "dispatch_emergencyorder": 5,
    "dispatch_outboundmessage": 5,
    "dispatch_publishedsiteconfig": 6,
    "dispatch_schedulenotice": 5,
    "dispatch_sitereport": 4,
    "metering_gap": 4,
    "metering_registerevent": 5,
    "metering_retentionhold": 4,
    "metering_streamperiod": 5,
    "people_auditentry": 5,
    "plants_alarm": 5,
    "plants_connection": 7,
    "plants_deadletter": 6,
    "plants_inboundmessage": 5,
    "plants_organisation": 4,
    "plants_plant": 6,
    "plants_recenttelemetrybody": 4,
    "plants_user": 6,
    "schedules_dayplan": 7,
    "schedules_override": 5,
    "trading_api_configupdaterequest": 5,
    "trading_api_credential": 5,
    "trading_api_pulljournal": 5,
    "watch_notification": 5,
    "watch_notificationchannel": 5,
    "watch_tickrun": 4,
}


def name_of(model) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def registered(kind=object):
    admin.autodiscover()
    return [(name_of(model), model) for model, page in admin.site._registry.items() if isinstance(page, kind)]


@pytest.fixture(scope="module")
def installation(django_db_setup, django_db_blocker):
    def make():
        return seed(at=AT, plants=8, commands=18, journal=16, letters=4)

    with standing(django_db_blocker, make, at=AT) as made:
        yield made


@pytest.fixture
def lived_in(installation, db):
    return installation.copy()


def costs(client):
    found = {}
    for name in QUERIES:
        with CaptureQueriesContext(connection) as captured:
            response = client.get(page(f"{name}_changelist"))
        assert response.status_code == 200
        found[name] = len(captured)
    return found


def test_every_list_of_a_lived_in_installation_costs_what_is_pinned_here(jana, lived_in):
    assert costs(jana) == QUERIES


def test_every_registered_list_is_pinned():
    names = {name for name, _ in registered()} - {"plants_installation"}

    assert names == set(QUERIES)


def test_the_cost_of_a_list_does_not_grow_with_its_rows(jana, lived_in):
    for plant in [factories.plant() for _ in range(12)]:
        Alarm.objects.create(
            connection=plant.connection, plant=plant, alarm_id=f"a{plant.pk}", severity="ERROR", code="X",
            raised_at=AT, told_at=AT, received_at=AT,
        )  # fmt: skip

    assert costs(jana) == QUERIES


@pytest.mark.parametrize(("name", "model"), registered(MachineOwned))
def test_a_machine_owned_row_is_opened_and_never_written(jana, lived_in, name, model):
    row = model.objects.first()
    opened = jana.get(page(f"{name}_change", row.pk))

    assert opened.status_code == 200
    assert jana.get(page(f"{name}_add")).status_code == 403
    assert jana.post(page(f"{name}_change", row.pk), {}).status_code == 403
    assert jana.post(page(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_list_takes_a_search_and_every_page_opens_without_rows(jana, name):
    empty = jana.get(page(f"{name}_changelist"))
    searched = jana.get(page(f"{name}_changelist"), {"q": "nothing like this"})

    assert (empty.status_code, searched.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("plants_alarm", {"state": "open", "severity": "CRITICAL"}),
        ("plants_alarm", {"state": "cleared"}),
        ("plants_deadletter", {"q": "MALFORMED_JSON"}),
        ("trading_api_pulljournal", {"answer": "refused", "endpoint": "token"}),
        ("trading_api_configupdaterequest", {"state__exact": "OPEN"}),
        ("dispatch_outboundmessage", {"outcome__exact": "CONFIRMED"}),
        ("dispatch_emergencylatch", {"q": "jana"}),
        ("plants_inboundmessage", {"disposition__exact": "APPLIED"}),
        ("metering_registerevent", {"decision": "unknown"}),
        ("metering_registerevent", {"decision": "own", "kind__exact": "RESET"}),
        ("metering_registerevent", {"decision": "person"}),
        ("metering_streamperiod", {"stream__exact": "METER", "source__exact": "SET"}),
        ("metering_retentionhold", {"state": "held"}),
        ("metering_retentionhold", {"state": "released", "q": "operator"}),
    ],
)
def test_filters_leave_some_rows_and_not_all(jana, lived_in, name, query):
    everything = jana.get(page(f"{name}_changelist")).context["cl"].result_count
    filtered = jana.get(page(f"{name}_changelist"), query).context["cl"].result_count

    assert 0 < filtered <= everything
    assert filtered < everything or name in {"dispatch_emergencylatch", "plants_inboundmessage"}


def test_a_list_counts_no_further_than_its_bound(jana, lived_in, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "LIMIT", 10)

    response = jana.get(page("dispatch_command_changelist"))

    assert response.context["cl"].result_count == 10
    assert "more than 10 rows" in text_of(response)


def test_who_may_see_nothing_sees_nothing(staff, lived_in):
    client = staff()

    statuses = {name: client.get(page(f"{name}_changelist")).status_code for name in QUERIES}

    assert set(statuses.values()) == {403}
    assert page("dispatch_command_changelist") not in client.get(page("index")).content.decode()


def dead_letter(body: bytes) -> DeadLetter:
    letter = Letter(
        queue="vcp.acme.event.status", routing_key="acme.event.alarm", headers={"h": "<b>"}, body=body,
        reason="MALFORMED_JSON", path="payload", detail="oops",
    )  # fmt: skip
    store_dead_letter(connection_id=factories.connection().pk, letter=letter, at=AT)
    return DeadLetter.objects.latest("pk")


def test_a_dead_letter_shows_its_bytes_as_text_and_hex_whatever_they_are(jana):
    row = dead_letter(b"\x00\xff<script>alert(1)</script>\x1b[31m")

    response = jana.get(page("plants_deadletter_change", row.pk))

    shown = text_of(response)
    assert "<script>alert(1)" not in response.content.decode().split("content-main")[-1].replace("&lt;", "")
    assert "Not readable as JSON" in shown
    assert "000000 00 ff 3c 73 63 72 69 70 74 3e" in shown


def test_nesting_that_nobody_could_read_is_shown_as_text(jana):
    row = dead_letter(b"[" * 60_000)

    response = jana.get(page("plants_deadletter_change", row.pk))

    assert response.status_code == 200
    assert "Not readable as JSON" in text_of(response)


def test_a_very_long_body_is_cut_and_says_so(jana):
    row = dead_letter(b"x" * 200_000)

    response = jana.get(page("plants_deadletter_change", row.pk))

    assert len(response.content) < 200_000
    assert "200000 bytes, the first 65,536 shown" in text_of(response)


def test_direction_marks_in_a_message_can_not_turn_the_page_around(jana):
    row = dead_letter('{"note": "\u202egnirts"}'.encode())

    shown = jana.get(page("plants_deadletter_change", row.pk)).content.decode()

    assert "\u202e" not in shown


def test_an_alarm_with_words_of_vokes_own_is_shown_as_told(jana):
    plant = factories.plant()
    alarm = Alarm.objects.create(
        connection=plant.connection, plant=plant, alarm_id="a1", severity="NOTICE", code="GRID_CODE_77",
        message="Own words", raised_at=AT, told_at=AT, received_at=AT, actual_value="12 kW", metadata={"slot": 3},
    )  # fmt: skip

    shown = text_of(jana.get(page("plants_alarm_change", alarm.pk)))

    assert all(word in shown for word in ("NOTICE", "GRID_CODE_77", "Own words", "12 kW", "Still raised"))


def test_an_event_links_its_plant_and_shows_both_of_its_times(jana, lived_in):
    row = InboundMessage.objects.first()

    shown = text_of(jana.get(page("plants_inboundmessage_change", row.pk)))

    assert row.plant.name in shown
    assert row.message_id in shown
    assert "Sent by Voke" in shown
