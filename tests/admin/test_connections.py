"""Connections in the admin: imported from bundles, watched, switched; secrets go in and never come out."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection as database

from dispatch.models import OutboundMessage
from dispatch.services.site_config import publish_changed
from plants.models import Connection, ConnectionMode
from tests import factories
from tests.admin.pages import form_data, page, text_of
from tests.factories import AT, SIGNING_KEY

pytestmark = pytest.mark.django_db

BUNDLE = {
    "amqpsUri": "amqps://acme:k%2Babc@amqp.example.com:5671/partner-8d1f",
    "apiKey": "k+abc-very-secret",
    "signingKey": SIGNING_KEY,
    "keyId": "8d1f",
    "slug": "acme",
    "queues": {"eventStatus": "vcp.acme.event.status"},
    "restBaseUrl": "https://api.example.com/api/v1",
}
SECRETS = ("k%2Babc", "k+abc", SIGNING_KEY)


def asked(organisation, **changes):
    facts = {
        "organisation": organisation.pk,
        "name": "Voke production",
        "source": "busbar",
        "bundle": json.dumps(BUNDLE),
        "key_decoding": "HEX",
        "scopes": ["vcp:connect", "vcp:write:mode"],
        "sign_emergency": "on",
    }
    return facts | changes


def test_a_pasted_bundle_becomes_a_connection_that_observes(jana):
    organisation = factories.organisation()

    response = jana.post(page("plants_connection_add"), asked(organisation))

    made = Connection.objects.get()
    assert response.status_code == 302
    assert (made.mode, made.slug, made.vhost, made.source) == (
        ConnectionMode.OBSERVE,
        "acme",
        "partner-8d1f",
        "busbar",
    )
    assert made.scopes == ["vcp:connect", "vcp:write:mode"]
    assert "command.emergency" in made.signed_families
    assert str(made.signing_key) == SIGNING_KEY


def test_a_bundle_may_be_uploaded_as_a_file(jana):
    upload = SimpleUploadedFile("bundle.json", json.dumps(BUNDLE).encode(), content_type="application/json")

    jana.post(page("plants_connection_add"), asked(factories.organisation(), bundle="", bundle_file=upload))

    assert Connection.objects.get().key_id == "8d1f"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"bundle": ""}, "Paste the bundle or choose its file"),
        ({"bundle": "{oops"}, "JSON is malformed"),
        ({"bundle": json.dumps(BUNDLE | {"amqpsUri": "amqp://a:b@c/d"})}, "The scheme must be amqps"),
        ({"bundle": json.dumps(BUNDLE | {"signingKey": "0f"})}, "A signing key has 64 hex digits"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_a_bundle_that_cannot_be_used_is_said_at_its_field_and_stores_nothing(jana, changes, told):
    response = jana.post(page("plants_connection_add"), asked(factories.organisation(), **changes))

    assert response.status_code == 200
    assert told in text_of(response)
    assert not Connection.objects.exists()


def test_a_name_that_is_taken_is_said_at_the_name(jana):
    taken = factories.connection(name="Voke production")

    response = jana.post(page("plants_connection_add"), asked(taken.organisation))

    assert "already" in str(response.context["form"].errors["name"])


def test_no_page_shows_a_secret_again(jana):
    jana.post(page("plants_connection_add"), asked(factories.organisation()))
    made = Connection.objects.get()
    names = ("change", "new_bundle", "switch_mode", "switch_dispatch", "attach", "history")
    pages = [
        page("plants_connection_changelist"),
        *(page(f"plants_connection_{name}", made.pk) for name in names),
    ]

    shown = "".join(jana.get(url).content.decode() for url in pages)

    assert not [secret for secret in SECRETS if secret in shown]
    assert "Signing key: set, key version" in text_of(jana.get(page("plants_connection_change", made.pk)))


@pytest.mark.parametrize(
    "changes", [{"source": ""}, {"bundle": json.dumps(BUNDLE | {"signingKey": SIGNING_KEY + "f"})}]
)
def test_a_refused_import_says_no_secret_back_and_logs_none(jana, caplog, changes):
    response = jana.post(page("plants_connection_add"), asked(factories.organisation(), **changes))

    told = response.content.decode() + caplog.text
    assert response.status_code == 200
    assert not [secret for secret in SECRETS if secret in told]


def test_a_page_opens_although_a_secret_does_not_decrypt_and_says_so(jana):
    link = factories.connection()
    plant = factories.plant(on=link)
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE plants_connection SET signing_key = 'gone$gAAAAAc2VjcmV0' WHERE id = %s", [link.pk]
        )

    for url in (
        page("plants_connection_changelist"),
        page("plants_plant_changelist"),
        page("plants_plant_change", plant.pk),
    ):
        assert jana.get(url).status_code == 200
    shown = text_of(jana.get(page("plants_connection_change", link.pk)))
    assert "Signing key: unusable, key version 'gone' is not in FIELD_KEYS" in shown


def test_a_secret_that_was_stored_in_clear_text_is_not_shown_either(jana):
    link = factories.connection()
    with database.cursor() as cursor:
        cursor.execute("UPDATE plants_connection SET api_key = 'clear-text-key' WHERE id = %s", [link.pk])

    response = jana.get(page("plants_connection_change", link.pk))

    assert "API key: unusable, not in the form VERSION$TOKEN" in text_of(response)
    assert "clear-text-key" not in response.content.decode()


def test_a_command_over_an_undecryptable_secret_is_refused_in_words(jana):
    plant = factories.plant()
    with database.cursor() as cursor:
        cursor.execute("UPDATE plants_connection SET signing_key = 'gone$gAAAAAc2VjcmV0'")

    response = jana.post(
        page("dispatch_command_send") + f"?plant={plant.pk}&kind=mode", {"mode": "STANDARD", "do": "dry_run"}
    )

    assert response.status_code == 200
    assert "stored secret is unusable" in text_of(response)


def test_the_switch_to_active_says_what_it_means_then_publishes_the_site_config(jana):
    link = factories.connection(mode=ConnectionMode.OBSERVE)
    factories.plant(on=link)
    url = page("plants_connection_switch_mode", link.pk)
    asked_first = text_of(jana.get(url))

    jana.post(url, {"mode": "ACTIVE"})
    publish_changed(at=AT, policy=factories.policy())

    link.refresh_from_db()
    assert "Commands for its plants may be published to Voke from now on" in asked_first
    assert (link.mode, link.activated_at) == (ConnectionMode.ACTIVE, AT)
    assert OutboundMessage.objects.filter(connection=link, family="config.topology").exists()


def test_a_connection_without_a_signing_key_is_not_switched_to_active(jana):
    link = factories.connection(mode=ConnectionMode.OBSERVE, signing_key="")

    response = jana.post(page("plants_connection_switch_mode", link.pk), {"mode": "ACTIVE"})

    link.refresh_from_db()
    assert "has no signing key" in text_of(response)
    assert link.mode == ConnectionMode.OBSERVE


def test_the_dispatch_switch_of_a_connection_stops_publishing(jana):
    link = factories.connection()

    jana.post(page("plants_connection_switch_dispatch", link.pk), {"enabled": "off"})

    link.refresh_from_db()
    assert link.dispatch_enabled is False
    assert "Active, dispatch off" in text_of(jana.get(page("plants_connection_changelist")))


def test_plants_of_the_organisation_are_attached_and_others_are_not_offered(jana):
    link = factories.connection()
    ours = factories.plant(on=factories.connection(owner=link.organisation))
    foreign = factories.plant()
    url = page("plants_connection_attach", link.pk)

    refused = jana.post(url, {"plants": [foreign.pk]})
    jana.post(url, {"plants": [ours.pk]})

    ours.refresh_from_db()
    foreign.refresh_from_db()
    assert "not one of the available choices" in text_of(refused)
    assert ours.connection_id == link.pk
    assert foreign.connection_id != link.pk


def test_settings_are_saved_and_address_secrets_and_mode_stay(jana):
    link = factories.connection()
    url = page("plants_connection_change", link.pk)

    response = jana.post(
        url, form_data(jana.get(url), name="Renamed", signature_kid="kid-7", scopes=["vcp:read"])
    )

    link.refresh_from_db()
    assert response.status_code == 302
    assert (link.name, link.signature_kid, link.scopes) == ("Renamed", "kid-7", ["vcp:read"])
    assert (str(link.signing_key), link.mode) == (SIGNING_KEY, ConnectionMode.ACTIVE)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("routing_prefix", "acme.#", "A routing key needs words without wildcards"),
        ("queues", '{"command": ""}', "A queue name is a text of 1 to 255 bytes"),
        ("queues", "[1]", "Expected an object of queue names"),
    ],
)
def test_names_that_can_not_be_on_the_wire_are_refused_at_their_field(jana, field, value, told):
    link = factories.connection()
    url = page("plants_connection_change", link.pk)

    response = jana.post(url, form_data(jana.get(url), **{field: value}))

    assert told in str(response.context["adminform"].form.errors[field])


def test_scopes_that_this_version_does_not_know_survive_a_save(jana):
    link = factories.connection(scopes=["vcp:read", "vcp:write:tariff"])
    url = page("plants_connection_change", link.pk)

    jana.post(url, form_data(jana.get(url), name="Renamed"))

    link.refresh_from_db()
    assert link.scopes == ["vcp:read", "vcp:write:tariff"]


def test_a_new_bundle_replaces_the_secrets_and_keeps_the_plants(jana):
    link = factories.connection()
    plant = factories.plant(on=link)
    fresh = BUNDLE | {"signingKey": "ff" * 32, "keyId": "9e2a"}

    jana.post(
        page("plants_connection_new_bundle", link.pk), {"bundle": json.dumps(fresh), "key_decoding": "HEX"}
    )

    link.refresh_from_db()
    plant.refresh_from_db()
    assert (str(link.signing_key), link.key_id, link.mode) == ("ff" * 32, "9e2a", ConnectionMode.ACTIVE)
    assert plant.connection_id == link.pk


def test_a_new_bundle_without_a_signing_key_is_refused_where_commands_are_signed(jana):
    link = factories.connection()
    bare = {name: value for name, value in BUNDLE.items() if name != "signingKey"}

    response = jana.post(
        page("plants_connection_new_bundle", link.pk), {"bundle": json.dumps(bare), "key_decoding": "HEX"}
    )

    link.refresh_from_db()
    assert "Has no signing key" in text_of(response)
    assert str(link.signing_key) == SIGNING_KEY


@pytest.mark.parametrize(
    ("seconds", "status", "kept"),
    [("12.5", 302, 12.5), ("0", 200, None), ("-5", 200, None), ("x", 200, None), ("nan", 200, None)],
)
def test_an_expected_period_is_set_and_one_that_is_none_refused(jana, seconds, status, kept):
    link = factories.connection()
    url = page("plants_connection_change", link.pk)
    form = jana.get(url).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    posted = {name: value for name, value in values.items() if value not in (None, "")}

    response = jana.post(url, posted | {"queues": "{}", "realtime_period_s": seconds})

    link.refresh_from_db()
    assert (response.status_code, link.realtime_period_s) == (status, kept)


@pytest.mark.parametrize("name", ["new_bundle", "switch_mode", "switch_dispatch", "attach"])
def test_who_may_only_look_can_not_open_a_switch(staff, name):
    link = factories.connection()
    client = staff("plants.view_connection")

    assert client.get(page("plants_connection_change", link.pk)).status_code == 200
    assert client.get(page(f"plants_connection_{name}", link.pk)).status_code == 403
    assert client.get(page("plants_connection_add")).status_code == 403
