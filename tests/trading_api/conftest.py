"""A plant with credentials, and Voke's side of the reverse channel over Django's test client."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from esm import clock
from plants.models import Plant, TimeConfigOrigin, TimeConfigVersion, UpdatePolicy
from plants.services.time_config import Author, set_time_config
from plants.time_config import Block
from tests import factories
from trading_api.gate import GATE
from trading_api.limits import CACHE_AWAY
from trading_api.models import Credential, PullJournal
from trading_api.services import issue_credentials

PERSON = Author(name="Eva")


@pytest.fixture(autouse=True)
def _empty_counters() -> Iterator[None]:
    cache.clear()
    GATE.clear()
    CACHE_AWAY.clear()
    yield
    cache.clear()
    GATE.clear()
    CACHE_AWAY.clear()


@pytest.fixture(autouse=True)
def _fixed_time() -> Iterator[None]:
    with clock.frozen(factories.AT):
        yield


@dataclass
class Voke:
    """Pulls as Voke does."""

    plant: Plant
    credential: Credential
    secret: str
    base: str = ""
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))
    bearer: str | None = None

    @property
    def ref(self) -> str:
        return self.plant.external_plant_id

    def token(self, **changes: Any) -> Any:
        body = {"clientId": self.credential.client_id, "clientSecret": self.secret} | changes
        return self.post("/trading/token", body, authorised=False)

    def authorise(self) -> "Voke":
        self.bearer = self.token().json()["accessToken"]
        return self

    def headers(self) -> dict[str, str]:
        return {} if self.bearer is None else {"Authorization": f"Bearer {self.bearer}"}

    def get(self, path: str, *, headers: dict[str, str] | None = None, **extra: Any) -> Any:
        return self.client.get(self.base + path, headers=self.headers() | (headers or {}), **extra)

    def post(
        self, path: str, body: Any, *, authorised: bool = True, content_type: str = "application/json"
    ) -> Any:
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        headers = self.headers() if authorised else {}
        return self.client.post(self.base + path, data, content_type=content_type, headers=headers)

    def list(self, query: str = "", **headers: str) -> Any:
        return self.get(f"/trading/plant/list{query}", headers=dashed(headers))

    def config(self, ref: str | None = None, **headers: str) -> Any:
        return self.get(f"/trading/plant/config?plantId={ref or self.ref}", headers=dashed(headers))

    def update(self, *items: dict[str, Any], **changes: Any) -> Any:
        return self.post(
            "/trading/plant/config/update", {"plantId": self.ref, "timeConfigs": list(items)} | changes
        )


def dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def voke_for(plant: Plant, **changes: Any) -> Voke:
    issued = issue_credentials(organisation=plant.organisation, at=factories.AT, **changes)
    return Voke(plant=plant, credential=issued.credential, secret=issued.secret.reveal())


@pytest.fixture
def plant(db: None) -> Plant:
    """A plant whose updates are applied at once."""
    return factories.plant(update_policy=UpdatePolicy.APPLY)


@pytest.fixture
def voke(plant: Plant) -> Voke:
    """Voke with the plant's credentials and a token."""
    return voke_for(plant).authorise()


def block(start: int = 0, end: int = 1440, *, power_kw: float = 10.0) -> Block:
    return Block(
        start_minute=start,
        end_minute=end,
        p_bat_min_kw=-power_kw,
        p_bat_max_kw=power_kw,
        soc_min_pct=20.0,
        soc_max_pct=95.0,
    )


def wire(
    start: str = "00:00", end: str = "23:59", *, power_kw: float = 10.0, **changes: Any
) -> dict[str, Any]:
    item = {"from": start, "to": end, "pBatMin": -power_kw, "pBatMax": power_kw, "socMin": 20, "socMax": 95}
    return item | changes


def edit(plant: Plant, *blocks: Block, at: datetime = factories.AT) -> TimeConfigVersion:
    """A person changes the config."""
    return set_time_config(
        plant_id=plant.pk, blocks=blocks, origin=TimeConfigOrigin.PERSON, author=PERSON, at=at
    )


def later(**step: float) -> datetime:
    return factories.AT + timedelta(**step)


def newest_row() -> PullJournal:
    return PullJournal.objects.latest("pk")
