"""Connecting a Voke: paste, check, map, credentials, switch; secrets are shown once or not at all."""

import json
import socket
from unittest import mock

import pytest
from django.test import Client

from console.connect import runs
from console.connect.views_credentials import PER_PAGE
from esm import clock
from people.models import AuditEntry
from plants.models import Connection, ConnectionMode, Organisation
from tests import factories
from tests.console.connect.bundles import API_KEY, SIGNING_KEY, bundle_text, says_no_secret
from tests.factories import AT
from tests.queries import queries_of
from trading_api.models import Credential, PullJournal

pytestmark = pytest.mark.django_db
NEW, READ = "/console/connections/new/", "/console/connections/new/read/"


def test_what_is_pasted_is_shown_with_secrets_masked_and_unknown_members_named(
    engineer_client: Client,
) -> None:
    answer = engineer_client.post(READ, {"bundle": bundle_text(surprise="x")}).content.decode()

    says_no_secret(answer)
    assert f"••••{API_KEY[-4:]}" in answer
    assert f"••••{SIGNING_KEY[-4:]}" in answer
    assert "broker.invalid:5671" in answer
    assert "surprise" in answer
    assert Connection.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"amqpsUri": None}, "amqpsUri"),
        ({"amqpsUri": "amqp://a:b@host/v"}, "amqpsUri"),
        ({"amqpsUri": "https://a:b@host/v"}, "amqpsUri"),
        ({"slug": 7}, "slug"),
        ({"queuePrefix": "a.#"}, "queuePrefix"),
    ],
)
def test_a_bad_bundle_is_refused_at_its_member_and_never_echoed(
    engineer_client: Client, changes: dict[str, object], path: str
) -> None:
    read = engineer_client.post(READ, {"bundle": bundle_text(**changes)}).content.decode()
    posted = engineer_client.post(NEW, {"bundle": bundle_text(**changes), "name": "Voke"})

    assert path in read
    assert posted.status_code == 422
    says_no_secret(read + posted.content.decode())
    assert Connection.objects.count() == 0


@pytest.mark.parametrize("place", ["127.0.0.1", "10.0.0.8", "169.254.169.254", "::1"])
def test_a_host_inside_is_refused_when_pasted_and_when_imported(
    engineer_client: Client, settings, place: str
) -> None:
    settings.CONNECT_ALLOW_PRIVATE = False
    told = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, 5671))]
    with mock.patch.object(socket, "getaddrinfo", autospec=True, return_value=told):
        read = engineer_client.post(READ, {"bundle": bundle_text()}).content.decode()
        posted = engineer_client.post(NEW, {"bundle": bundle_text(), "name": "Voke"})

    assert "not public" in read
    assert posted.status_code == 422
    assert "ADDRESS_REFUSED" in posted.content.decode()
    assert Connection.objects.count() == 0


def test_an_imported_connection_observes_and_the_import_is_audited_without_secrets(
    engineer_client: Client, organisation: Organisation
) -> None:
    answer = engineer_client.post(NEW, {"bundle": bundle_text(), "name": "Staging", "source": "acme-esm"})

    connection = Connection.objects.get()
    assert answer["Location"] == f"/console/connections/{connection.pk}/check/"
    assert (connection.organisation, connection.mode, connection.source) == (
        organisation,
        ConnectionMode.OBSERVE,
        "acme-esm",
    )
    entry = AuditEntry.objects.get()
    assert entry.action == "connection.imported"
    says_no_secret(json.dumps(entry.after))


def test_no_page_about_a_connection_shows_its_secrets(engineer_client: Client) -> None:
    engineer_client.post(NEW, {"bundle": bundle_text(), "name": "Staging"})
    at = f"/console/connections/{Connection.objects.get().pk}/"

    pages = ["/console/connections/", at, f"{at}check/", f"{at}bundle/", f"{at}reverse/"]
    for path in pages:
        answer = engineer_client.get(path)
        assert answer.status_code == 200, path
        says_no_secret(answer.content.decode())


def test_a_key_that_takes_over_moves_the_plants(engineer_client: Client, organisation: Organisation) -> None:
    old = factories.connection(owner=organisation, slug="acme")
    plant = factories.plant(on=old)
    assert "takes_over" in engineer_client.post(READ, {"bundle": bundle_text()}).content.decode()

    engineer_client.post(NEW, {"bundle": bundle_text(), "name": "Next", "takes_over": str(old.pk)})

    plant.refresh_from_db()
    old.refresh_from_db()
    assert plant.connection is not None
    assert plant.connection.name == "Next"
    assert old.succeeded_by == plant.connection


def test_a_new_bundle_keeps_what_the_connection_is(
    engineer_client: Client, organisation: Organisation
) -> None:
    connection = factories.connection(owner=organisation, slug="acme", vhost="partner-7")

    answer = engineer_client.post(f"/console/connections/{connection.pk}/bundle/", {"bundle": bundle_text()})

    assert answer.status_code == 302
    connection.refresh_from_db()
    assert connection.api_key == API_KEY
    assert AuditEntry.objects.get().action == "connection.bundle_replaced"


def _listed(connection: Connection, *sites: tuple[str, str, str]) -> None:
    """Voke's list as if it had been read."""

    def work(tell) -> None:
        for site_id, external, name in sites:
            tell({"site_id": site_id, "external_plant_id": external, "name": name})

    runs.start(f"sites.{connection.pk}", work, clock=clock.now)


SITE = "6f0d6a3e-0000-4000-8000-000000000001"


def test_a_site_is_suggested_and_only_taken_over_when_a_person_says_so(
    engineer_client: Client, organisation: Organisation
) -> None:
    connection = factories.connection(owner=organisation)
    plant = factories.plant(on=connection, external_plant_id="BREWERY-1", voke_uuid=None)
    _listed(connection, (SITE, "BREWERY-1", "Brewery"))
    path = f"/console/connections/{connection.pk}/sites/"

    shown = engineer_client.get(path).content.decode()
    plant.refresh_from_db()
    assert "same id" in shown
    assert plant.voke_uuid is None

    taken = engineer_client.post(path, {f"site-{SITE}": str(plant.pk)}).content.decode()
    plant.refresh_from_db()
    assert "1 plant has its site now" in taken
    assert str(plant.voke_uuid) == SITE
    assert AuditEntry.objects.get().after == {"BREWERY-1": SITE}


def test_one_plant_can_not_be_two_sites(engineer_client: Client, organisation: Organisation) -> None:
    connection = factories.connection(owner=organisation)
    plant = factories.plant(on=connection, voke_uuid=None)
    other = SITE.replace("0001", "0002")
    _listed(connection, (SITE, "A", "A"), (other, "B", "B"))

    answer = engineer_client.post(
        f"/console/connections/{connection.pk}/sites/",
        {f"site-{SITE}": str(plant.pk), f"site-{other}": str(plant.pk)},
    )

    assert answer.status_code == 422
    plant.refresh_from_db()
    assert plant.voke_uuid is None


def test_a_plant_of_another_organisation_can_not_be_chosen(
    engineer_client: Client, organisation: Organisation
) -> None:
    connection = factories.connection(owner=organisation)
    foreign = factories.plant(voke_uuid=None)
    _listed(connection, (SITE, "A", "A"))

    answer = engineer_client.post(
        f"/console/connections/{connection.pk}/sites/", {f"site-{SITE}": str(foreign.pk)}
    )

    assert answer.status_code == 422
    foreign.refresh_from_db()
    assert foreign.voke_uuid is None


def test_a_list_that_can_not_be_read_says_why(engineer_client: Client, organisation: Organisation) -> None:
    connection = factories.connection(owner=organisation, rest_base_url="https://nowhere.invalid/v1")

    shown = engineer_client.get(f"/console/connections/{connection.pk}/sites/").content.decode()

    assert "Voke&#x27;s list can&#x27;t be read" in shown or "Voke's list can't be read" in shown
    assert "Read again" in shown


def test_a_secret_is_in_one_answer_and_nowhere_else(
    engineer_client: Client, organisation: Organisation, caplog: pytest.LogCaptureFixture
) -> None:
    answer = engineer_client.post("/console/connections/credentials/issue/", {"label": "Voke staging"})

    text = answer.content.decode()
    credential = Credential.objects.get()
    shown = [
        part.partition('"')[0]
        for part in text.split('data-copy="')[1:]
        if not part.startswith(("http", credential.client_id))
    ]
    assert len(shown) == 1
    assert answer["Cache-Control"].startswith("max-age=0")
    assert "no-store" in answer["Cache-Control"]
    assert credential.organisation == organisation
    assert shown[0] not in engineer_client.get("/console/connections/credentials/").content.decode()
    assert shown[0] not in json.dumps([entry.after for entry in AuditEntry.objects.all()])
    assert shown[0] not in caplog.text


def test_a_renewed_secret_kills_the_old_one(engineer_client: Client, organisation: Organisation) -> None:
    engineer_client.post("/console/connections/credentials/issue/", {"label": ""})
    credential = Credential.objects.get()
    path = f"/console/connections/credentials/{credential.pk}/renew/"
    assert "dead at once" in engineer_client.get(path).content.decode()

    engineer_client.post(path)

    renewed = Credential.objects.get()
    assert renewed.secret_hash != credential.secret_hash
    assert renewed.revision == credential.revision + 1


def test_credentials_are_disabled_and_enabled(engineer_client: Client) -> None:
    engineer_client.post("/console/connections/credentials/issue/", {"label": ""})
    at = f"/console/connections/credentials/{Credential.objects.get().pk}"

    engineer_client.post(f"{at}/disable/")
    assert not Credential.objects.get().enabled
    engineer_client.post(f"{at}/enable/")

    assert Credential.objects.get().enabled
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == [
        "credential.issued",
        "credential.disabled",
        "credential.enabled",
    ]


def test_credentials_are_shown_a_page_at_a_time_those_in_use_first(
    engineer_client: Client, organisation: Organisation
) -> None:
    for number in range(PER_PAGE + 2):
        Credential.objects.create(
            organisation=organisation,
            client_id=f"client-{number:02}",
            secret_hash="x",
            enabled=number > 0,
            created_at=AT,
        )

    first = engineer_client.get("/console/connections/credentials/").content.decode()
    second = engineer_client.get("/console/connections/credentials/?page=2").content.decode()

    assert f"{PER_PAGE + 1} to {PER_PAGE + 2} of {PER_PAGE + 2}" in second
    assert "client-00" not in first
    assert "client-00" in second


def test_the_lamp_lights_with_the_first_pull(engineer_client: Client, organisation: Organisation) -> None:
    engineer_client.post("/console/connections/credentials/issue/", {"label": ""})
    page = "/console/connections/credentials/"
    assert "Voke has not pulled yet" in engineer_client.get(page).content.decode()

    PullJournal.objects.create(
        at=AT,
        organisation=organisation,
        credential=Credential.objects.get(),
        request_id="1",
        endpoint="list",
        method="GET",
        status=200,
        latency_ms=3,
        bytes_in=1,
        bytes_out=1,
    )

    assert "Voke has pulled" in engineer_client.get(page).content.decode()


def test_activating_asks_what_it_means_takes_a_reason_and_is_audited(
    engineer_client: Client, organisation: Organisation
) -> None:
    connection = factories.connection(owner=organisation, mode=ConnectionMode.OBSERVE)
    path = f"/console/connections/{connection.pk}/switch/activate/"
    asked = engineer_client.get(path).content.decode()
    assert "command real devices" in asked
    assert "not checked" in asked

    without = engineer_client.post(path, {"reason": ""})
    done = engineer_client.post(path, {"reason": "onboarding is done"})

    connection.refresh_from_db()
    assert (without.status_code, done.status_code, connection.mode) == (422, 204, ConnectionMode.ACTIVE)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason) == ("connection.activated", "onboarding is done")
    assert entry.before == {"mode": "OBSERVE", "dispatch_enabled": True}


def test_a_connection_that_could_not_sign_is_not_activated(
    engineer_client: Client, organisation: Organisation
) -> None:
    connection = factories.connection(owner=organisation, mode=ConnectionMode.OBSERVE, signing_key="")

    answer = engineer_client.post(f"/console/connections/{connection.pk}/switch/activate/", {"reason": "go"})

    assert answer.status_code == 422
    assert "no signing key" in answer.content.decode()


@pytest.mark.parametrize("path", ["new/", "{id}/check/", "{id}/sites/", "{id}/reverse/", "{id}/switch/off/"])
def test_an_operator_sees_connections_and_changes_none(
    operator_client: Client, organisation: Organisation, path: str
) -> None:
    connection = factories.connection(owner=organisation)
    at = "/console/connections/"

    assert operator_client.get(at).status_code == 200
    assert operator_client.get(f"{at}{connection.pk}/").status_code == 200
    refused = operator_client.get(at + path.format(id=connection.pk))
    assert refused.status_code == 403
    assert "Engineer" in refused.content.decode()


@pytest.mark.parametrize("path", ["", "check/", "sites/", "reverse/", "bundle/", "switch/off/"])
def test_another_organisations_connection_does_not_exist(engineer_client: Client, path: str) -> None:
    foreign = factories.connection()

    assert engineer_client.get(f"/console/connections/{foreign.pk}/{path}").status_code == 404


def test_the_list_costs_the_same_for_many(viewer_client: Client, organisation: Organisation) -> None:
    factories.connection(owner=organisation)
    few = queries_of(lambda: viewer_client.get("/console/connections/"))
    for _ in range(6):
        factories.connection(owner=organisation)

    many = queries_of(lambda: viewer_client.get("/console/connections/"))

    assert many == few <= 24
