"""Schemathesis against the running server: what the document says is what the application does, whatever is sent.

HOSTILE_EXAMPLES multiplies the number of generated requests of each kind and operation (20): raise it to search longer.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from pytest_django import Settings
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from plants.models import TimeConfigOrigin, UpdatePolicy
from plants.services.time_config import set_time_config
from tests import factories
from tests.trading_api.conftest import PERSON, block
from tests.web_server import Running, running
from trading_api.services import issue_credentials

pytestmark = pytest.mark.django_db(transaction=True)
EXAMPLES = 20 * int(os.environ.get("HOSTILE_EXAMPLES", "1"))
CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "positive_data_acceptance",
    "negative_data_rejection",
    "missing_required_header",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
}


@pytest.fixture
def server(settings: Settings) -> Iterator[Running]:
    settings.TRADING_FAILED_ATTEMPTS_PER_MINUTE = 10_000  # the limit has tests of its own
    with running() as one:
        yield one


@pytest.fixture
def plant_and_token(server: Running) -> tuple[str, str]:
    """A plant with a config whose updates are applied at once, and a token of its organisation."""
    plant = factories.plant(update_policy=UpdatePolicy.APPLY)
    set_time_config(
        plant_id=plant.pk, blocks=[block()], origin=TimeConfigOrigin.PERSON, author=PERSON, at=factories.AT
    )
    issued = issue_credentials(organisation=plant.organisation, at=factories.AT)
    body = {"clientId": issued.credential.client_id, "clientSecret": issued.secret.reveal()}
    answer = httpx.post(f"{server.url}/trading/token", json=body, timeout=20)
    return plant.external_plant_id, answer.json()["accessToken"]


def config(server: Running, token: str) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "base-url": server.url,
            "headers": {"Authorization": f"Bearer {token}"},
            "request-timeout": 60,
            "continue-on-failure": True,
            "generation": {
                "max-examples": EXAMPLES,
                "deterministic": True,
                "no-shrink": EXAMPLES <= 20,
                # A NUL is refused wherever it stands, also in members that nobody knows: no schema can say that.
                # tests/hostile/test_bodies.py sends them.
                "allow-x00": False,
            },
            "phases": {
                "coverage": {"generate-duplicate-query-parameters": True},
                "stateful": {"enabled": False},
            },
        }
    )


def known_plant(document: dict[str, Any], ref: str) -> dict[str, Any]:
    """The document with a plant that exists among its examples, so that deeper code is reached."""
    text = json.dumps(document).replace('"PLANT-7"', json.dumps(ref))
    made: dict[str, Any] = json.loads(text)
    for parameter in made["paths"]["/trading/plant/config"]["get"]["parameters"]:
        if parameter["name"] == "plantId":
            parameter["example"] = ref
    return made


def told(event: events.ScenarioFinished, case_id: str, failure: Any) -> str:
    exchange = event.recorder.interactions[case_id]
    answer = exchange.response and (exchange.response.status_code, exchange.response.content[:400])
    asked = exchange.request
    return f"{type(failure).__name__} {failure}: {asked.method} {asked.uri} {asked.body!r:.400} -> {answer}"


def test_the_running_server_keeps_what_the_document_promises(
    server: Running, plant_and_token: tuple[str, str]
) -> None:
    ref, token = plant_and_token
    document = known_plant(httpx.get(f"{server.url}/trading/openapi.json", timeout=20).json(), ref)
    schema = schemathesis.openapi.from_dict(document, config=config(server, token))
    failures: list[str] = []
    checked: dict[str, int] = {}
    for event in from_schema(schema).execute():
        match event:
            case events.NonFatalError() | events.FatalError():
                failures.append(str(event.info if hasattr(event, "info") else event.exception))
            case events.ScenarioFinished():
                for case_id, nodes in event.recorder.checks.items():
                    for node in nodes:
                        checked[node.name] = checked.get(node.name, 0) + 1
                        if node.failure_info is not None:
                            failures.append(told(event, case_id, node.failure_info.failure))
    assert failures == []
    assert {name for name, times in checked.items() if times >= 4 * EXAMPLES} >= CHECKS
