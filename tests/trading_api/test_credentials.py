"""Issuing, renewing and disabling credentials, and the command that shows a secret once."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from plants.errors import Invalid, NotFound
from plants.models import Organisation
from tests import factories
from tests.factories import AT
from tests.trading_api.conftest import Voke
from trading_api.errors import ClientIdTaken
from trading_api.models import Credential
from trading_api.services import disable_credential, enable_credential, issue_credentials, renew_secret

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Organisation:
    return factories.organisation(slug="acme")


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("issue_credentials", *args, stdout=out)
    return out.getvalue()


def test_only_a_keyed_hash_of_the_secret_is_stored(owner: Organisation) -> None:
    issued = issue_credentials(organisation=owner, at=AT)
    stored = [str(value) for value in Credential.objects.values_list().get()]
    assert not any(issued.secret.reveal() in text for text in stored)
    assert issued.credential.pepper_version == "p1"


def test_a_generated_client_id_starts_with_the_organisation(owner: Organisation) -> None:
    assert issue_credentials(organisation=owner, at=AT).credential.client_id.startswith("acme-")


def test_a_client_id_is_given_once_in_the_whole_installation(owner: Organisation) -> None:
    issue_credentials(organisation=owner, at=AT, client_id="voke")
    with pytest.raises(ClientIdTaken):
        issue_credentials(organisation=factories.organisation(), at=AT, client_id="voke")


@pytest.mark.parametrize("changes", [{"client_id": "a b"}, {"client_id": "x" * 121}, {"label": "x" * 81}])
def test_credentials_that_would_not_fit_are_refused(owner: Organisation, changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        issue_credentials(organisation=owner, at=AT, **changes)


def test_disabling_kills_the_tokens_that_are_out_at_once(voke: Voke) -> None:
    disable_credential(credential=voke.credential)
    answer = voke.list()
    assert (answer.status_code, answer.json()["details"][0]["code"]) == (401, "TOKEN_REVOKED")


def test_tokens_from_before_stay_dead_when_the_credential_is_enabled_again(voke: Voke) -> None:
    disable_credential(credential=voke.credential)
    enable_credential(credential=voke.credential)
    assert (voke.list().status_code, voke.authorise().list().status_code) == (401, 200)


def test_a_disabled_credential_gets_no_token(voke: Voke) -> None:
    disable_credential(credential=voke.credential)
    assert voke.token().status_code == 401


def test_a_renewed_secret_replaces_the_old_one_and_its_tokens(voke: Voke) -> None:
    renewed = renew_secret(credential=voke.credential)
    assert (voke.list().status_code, voke.token().status_code) == (401, 401)
    voke.secret = renewed.secret.reveal()
    assert voke.token().status_code == 200


def test_a_credential_that_is_gone_cannot_be_disabled(voke: Voke) -> None:
    Credential.objects.all().delete()
    with pytest.raises(NotFound):
        disable_credential(credential=voke.credential)


def test_the_command_prints_what_voke_needs_as_json(owner: Organisation) -> None:
    shown = json.loads(run("--organisation", "acme", "--label", "staging", "--client-id", "voke-1", "--json"))
    assert (shown["organisation"], shown["clientId"]) == ("acme", "voke-1")
    voke = Voke(
        plant=factories.plant(on=factories.connection(owner=owner)),
        credential=Credential.objects.get(label="staging"),
        secret=shown["clientSecret"],
    )
    assert voke.token().status_code == 200


def test_the_command_prints_text_for_people(owner: Organisation) -> None:
    assert "clientSecret  esmsec_" in run("--organisation", "acme")


@pytest.mark.parametrize(
    "args", [("--organisation", "nobody"), ("--organisation", "acme", "--client-id", "a b")]
)
def test_the_command_says_what_is_wrong(owner: Organisation, args: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*args)
