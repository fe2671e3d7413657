"""Credentials in the admin: the secret is on one answer and nowhere else; disabling kills tokens at once."""

import json
import re
import shlex
from datetime import timedelta

import pytest

from tests import factories
from tests.admin.pages import page, text_of
from tests.factories import AT
from trading_api.models import Credential
from trading_api.services.credentials import issue_credentials

pytestmark = pytest.mark.django_db


def issue(jana, organisation, **changes):
    return jana.post(
        page("trading_api_credential_add"), {"organisation": organisation.pk, "label": "staging"} | changes
    )


def test_the_secret_is_shown_once_with_a_line_that_gets_a_token(jana, client):
    organisation = factories.organisation()

    answer = issue(jana, organisation)

    credential = Credential.objects.get()
    words = shlex.split(answer.context["curl"])
    body = json.loads(words[-1])
    token = client.post("/trading/token", words[-1], content_type="application/json")
    assert "no-store" in answer["Cache-Control"]
    assert body["clientId"] == credential.client_id
    assert body["clientSecret"] in answer.content.decode()
    assert token.status_code == 200
    assert "accessToken" in token.json()


def test_no_later_page_knows_the_secret(jana):
    answer = issue(jana, factories.organisation())
    secret = json.loads(shlex.split(answer.context["curl"])[-1])["clientSecret"]
    credential = Credential.objects.get()

    later = [
        jana.get(page("trading_api_credential_changelist")),
        jana.get(page("trading_api_credential_change", credential.pk)),
        jana.get(page("trading_api_credential_history", credential.pk)),
    ]

    assert not [response for response in later if secret in response.content.decode()]
    assert secret not in credential.secret_hash


@pytest.mark.parametrize(("client_id", "told"), [("has space", "1 to 120 letters"), ("taken", "is taken")])
def test_a_client_id_that_can_not_be_used_is_said_at_its_field(jana, client_id, told):
    organisation = factories.organisation()
    issue_credentials(organisation=organisation, client_id="taken", at=AT)

    response = issue(jana, organisation, client_id=client_id)

    assert told in str(response.context["form"].errors["client_id"])
    assert Credential.objects.count() == 1


def test_disabling_kills_tokens_and_enabling_issues_new_ones(jana, client):
    issued = issue_credentials(organisation=factories.organisation(), at=AT)
    body = json.dumps({"clientId": issued.credential.client_id, "clientSecret": issued.secret.reveal()})

    def token():
        return client.post("/trading/token", body, content_type="application/json")

    bearer = {"authorization": f"Bearer {token().json()['accessToken']}"}
    jana.post(page("trading_api_credential_disable", issued.credential.pk))
    dead = (client.get("/trading/plant/list", headers=bearer).status_code, token().status_code)
    jana.post(page("trading_api_credential_enable", issued.credential.pk))

    assert dead == (401, 401)
    assert token().status_code == 200
    assert client.get("/trading/plant/list", headers=bearer).status_code == 401


def test_a_new_secret_replaces_the_old_one(jana, client):
    issued = issue_credentials(organisation=factories.organisation(), at=AT)
    old = json.dumps({"clientId": issued.credential.client_id, "clientSecret": issued.secret.reveal()})

    answer = jana.post(page("trading_api_credential_renew", issued.credential.pk))

    new = shlex.split(answer.context["curl"])[-1]
    statuses = [
        client.post("/trading/token", body, content_type="application/json").status_code
        for body in (old, new)
    ]
    assert statuses == [401, 200]


def test_the_list_says_when_a_credential_was_last_used(jana):
    used = issue_credentials(organisation=factories.organisation(), client_id="used", at=AT).credential
    issue_credentials(organisation=factories.organisation(), client_id="unused", at=AT)
    Credential.objects.filter(pk=used.pk).update(last_token_at=AT - timedelta(minutes=12))

    shown = text_of(jana.get(page("trading_api_credential_changelist")))

    assert "12 min ago" in shown
    assert "never used" in shown


def test_only_the_fitting_switch_is_offered(jana):
    credential = issue_credentials(organisation=factories.organisation(), at=AT).credential
    url = page("trading_api_credential_change", credential.pk)

    enabled = jana.get(url).content.decode()
    jana.post(page("trading_api_credential_disable", credential.pk))
    disabled = jana.get(url).content.decode()

    offered = [
        re.findall(rf"credential/{credential.pk}/(disable|enable)/", shown) for shown in (enabled, disabled)
    ]
    assert offered == [["disable"], ["enable"]]


@pytest.mark.parametrize("name", ["renew", "disable", "enable"])
def test_who_may_only_look_can_not_touch_credentials(staff, name):
    credential = issue_credentials(organisation=factories.organisation(), at=AT).credential
    client = staff("trading_api.view_credential")

    assert client.get(page("trading_api_credential_change", credential.pk)).status_code == 200
    assert client.post(page(f"trading_api_credential_{name}", credential.pk)).status_code == 403
    assert client.post(page("trading_api_credential_add"), {}).status_code == 403
