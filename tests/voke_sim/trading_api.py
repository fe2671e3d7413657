"""A partner's reverse channel for tests: answers httpx without a network, and can be told to misbehave."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from voke_sim.config import ReverseConfig
from voke_sim.journal import Journal
from voke_sim.reverse import ReverseClient

BASE = "http://esm.test/base/path"
CONFIG = ReverseConfig(
    base_url=BASE,
    client_id="client-1",
    client_secret="s3cret",
    list_period_s=60,
    config_period_s=30,
    update_period_s=100,
    update_probability=0,
    follow_period_s=5,
    follow_attempts=3,
    retry_min_s=1,
    retry_max_s=8,
)
BLOCKS = [
    {"from": "00:00", "to": "11:59", "pBatMin": -10, "pBatMax": 10, "socMin": 20, "socMax": 95},
    {"from": "12:00", "to": "23:59", "pBatMin": -5, "pBatMax": 5, "socMin": 30, "socMax": 90},
]

Answer = httpx.Response
Override = Callable[[httpx.Request], Answer]


class TradingApi:
    """Token, list, config and update of two plants; `overrides` replaces an endpoint by its last word."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.overrides: dict[str, Override] = {}
        self.plants = ["PLANT-1", "PLANT-2"]
        self.blocks = {name: [dict(block) for block in BLOCKS] for name in self.plants}
        self.revision = 1
        self.tokens = 0
        self.update_answers: list[dict[str, Any]] = []
        self.token_life_s = 3600

    def client(
        self, config: ReverseConfig = CONFIG, journal: Journal | None = None, seed: int = 1
    ) -> ReverseClient:
        """A reverse client that talks to this API."""
        http = httpx.Client(transport=httpx.MockTransport(self._answer), follow_redirects=False)
        return ReverseClient(config, journal=journal or Journal(":memory:"), seed=seed, http=http)

    def calls(self, name: str) -> list[httpx.Request]:
        """The requests to an endpoint: token, list, config, update."""
        return [request for request in self.requests if request.url.path.endswith(f"/{name}")]

    def _answer(self, request: httpx.Request) -> Answer:
        self.requests.append(request)
        name = request.url.path.rsplit("/", 1)[1]
        if name in self.overrides:
            return self.overrides[name](request)
        if name == "token":
            return self._token(request)
        if request.headers.get("authorization") != f"Bearer t{self.tokens}":
            return _error(401, "UNAUTHORIZED")
        if name == "list":
            return self._cached(request, [{"externalPlantId": name, "plantId": name} for name in self.plants])
        if name == "config":
            plant = request.url.params["plantId"]
            if plant not in self.blocks:
                return _error(404, "PLANT_NOT_FOUND")
            body = {"plantId": plant, "configEnabled": True, "timeConfigs": self.blocks[plant]}
            return self._cached(request, body)
        return Answer(200, json=self.update_answers.pop(0), headers={"x-request-id": "r-1"})

    def _token(self, request: httpx.Request) -> Answer:
        if json.loads(request.content) != {"clientId": "client-1", "clientSecret": "s3cret"}:
            return _error(401, "UNAUTHORIZED")
        self.tokens += 1
        return Answer(200, json={"accessToken": f"t{self.tokens}", "expiresIn": self.token_life_s})

    def _cached(self, request: httpx.Request, body: Any) -> Answer:
        etag = f'"{self.revision}-{request.url.path}"'
        if request.headers.get("if-none-match") == etag:
            return Answer(304, headers={"etag": etag})
        return Answer(200, json=body, headers={"etag": etag})


def _error(status: int, code: str) -> Answer:
    body = {"statusCode": status, "message": "no", "error": "Error", "code": code}
    return Answer(status, json=body, headers={"retry-after": "7"} if status == 429 else {})


def refuse(status: int, code: str = "ERROR") -> Override:
    """An override that always answers with an error."""
    return lambda request: _error(status, code)


def fail(request: httpx.Request) -> Answer:
    """An override that never answers."""
    raise httpx.ConnectError("no route", request=request)
