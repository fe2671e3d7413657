"""Voke as client of the partner's reverse channel: token, list, config per plant, sometimes an update.

`step(at)` does what is due and says when to come back; the simulator calls it in a thread of its own, tests
by hand.

Interpretations: the poll intervals, the moment of updates and the shape of lists are not public. A list may
come as an array or under `data`, `plants` or `items`; a plant is named by `externalPlantId` or `plantId`.
An update that is answered non-terminal is asked again with the same body until it is terminal, its
`requestId` staying the same; after `follow_attempts` it is left open.
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec

from voke_sim.config import ReverseConfig
from voke_sim.journal import Journal
from voke_sim.notes import Action, Note
from voke_sim.reverse_requests import Answer, fetch, http_client, journal_pull
from voke_sim.reverse_update import OpenUpdate, changed_blocks

_MAX_PLANTS = 10_000
_MAX_RETRY_AFTER_S = 300.0
_TOKEN_MARGIN_S = 5.0
_LIST_MEMBERS = ("data", "plants", "items")


class _Plant(msgspec.Struct, kw_only=True):
    """What is known of a plant of the list."""

    etag: str | None = None
    blocks: list[dict[str, Any]] = []
    """timeConfigs as served last."""
    is_enabled: bool = True
    config_due_at: datetime


class ReverseClient:
    """One partner's reverse channel. Not thread-safe: one thread steps it.

    Edge cases:
    - A 401 throws the token away and asks once more with a fresh one; a second 401 counts as a failure.
    - After a failure that is worth a retry everything pauses, jittered and doubling up to `retry_max_s`, or
      as long as Retry-After says. Other failures only wait for their next turn.
    - A plant that left the list is forgotten with its open update.
    """

    def __init__(
        self,
        config: ReverseConfig,
        *,
        journal: Journal,
        seed: int,
        http: httpx.Client | None = None,
    ) -> None:
        self._config = config
        self._journal = journal
        self._http = http or http_client(config)
        self._rng = random.Random(seed)  # noqa: S311 - choice of plants and pauses, not secrets
        self._token: str | None = None
        self._token_until: datetime | None = None
        self._list_etag: str | None = None
        self._list_due_at: datetime | None = None
        self._update_due_at: datetime | None = None
        self._plants: dict[str, _Plant] = {}
        self._open: dict[str, OpenUpdate] = {}
        self._pause_until: datetime | None = None
        self._failures = 0
        self._notes: list[Note] = []

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def step(self, at: datetime) -> list[Note]:
        """Send every request that is due; what happened, in notes."""
        if self._pause_until is None or at >= self._pause_until:
            self._pause_until = None
            self._pull_list(at)
            self._pull_configs(at)
            self._begin_update(at)
            self._follow_updates(at)
        notes, self._notes = self._notes, []
        return notes

    def next_due_at(self, at: datetime) -> datetime:
        """When the next request is due."""
        if self._pause_until is not None:
            return self._pause_until
        due = [self._list_due_at or at, self._update_due_at or at]
        due += [plant.config_due_at for plant in self._plants.values()]
        due += [update.due_at for update in self._open.values()]
        return max(at, min(due))

    # What is due ----------------------------------------------------------------------------------------

    def _pull_list(self, at: datetime) -> None:
        if self._is_paused() or (self._list_due_at is not None and at < self._list_due_at):
            return
        answer = self._call("list", "GET", "plant/list", at, etag=self._list_etag)
        if self._is_paused():
            return  # still due when the pause is over
        self._list_due_at = at + timedelta(seconds=self._config.list_period_s)
        if answer.status == 304 or not answer.is_ok:
            return
        ids = _plant_ids(answer.body)
        if ids is None:
            self._note("list", answer, at, text="the list has no readable shape")
            return
        self._list_etag = answer.etag
        self._plants = {
            name: self._plants.get(name) or _Plant(config_due_at=at) for name in ids[:_MAX_PLANTS]
        }
        self._open = {name: update for name, update in self._open.items() if name in self._plants}

    def _pull_configs(self, at: datetime) -> None:
        for name, plant in self._plants.items():
            if self._is_paused():
                return
            if at < plant.config_due_at:
                continue
            answer = self._call("config", "GET", "plant/config", at, plant=name, etag=plant.etag)
            if self._is_paused():
                return
            plant.config_due_at = at + timedelta(seconds=self._config.config_period_s)
            if answer.is_ok and isinstance(answer.body, dict):
                plant.etag = answer.etag
                blocks = answer.body.get("timeConfigs")
                plant.blocks = blocks if isinstance(blocks, list) else []
                plant.is_enabled = answer.body.get("configEnabled") is not False

    def _begin_update(self, at: datetime) -> None:
        if self._update_due_at is None:
            self._update_due_at = at + timedelta(seconds=self._config.update_period_s)
            return
        if self._is_paused() or at < self._update_due_at:
            return
        self._update_due_at = at + timedelta(seconds=self._config.update_period_s)
        ready = [
            name
            for name, plant in self._plants.items()
            if plant.blocks and plant.is_enabled and name not in self._open
        ]
        if self._rng.random() >= self._config.update_probability or not ready:
            return
        name = self._rng.choice(ready)
        blocks = changed_blocks(self._plants[name].blocks, self._rng)
        if blocks is not None:
            self._send_update(
                OpenUpdate(plant=name, body={"plantId": name, "timeConfigs": blocks}, due_at=at), at
            )

    def _follow_updates(self, at: datetime) -> None:
        for update in list(self._open.values()):
            if not self._is_paused() and at >= update.due_at:
                self._send_update(update, at)

    def _send_update(self, update: OpenUpdate, at: datetime) -> None:
        update.attempts += 1
        update.due_at = at + timedelta(seconds=self._config.follow_period_s)
        answer = self._call("update", "POST", "plant/config/update", at, plant=update.plant, body=update.body)
        self._open.pop(update.plant, None)
        if not answer.is_ok or not isinstance(answer.body, dict):
            if answer.is_worth_retrying and update.attempts < self._config.follow_attempts:
                self._open[update.plant] = update
            return
        surprise = update.take_request_id(answer.body.get("requestId"))
        if surprise is not None:
            self._note("update", answer, at, text=f"update of {update.plant}: {surprise}")
        if answer.body.get("terminal") is True:
            self._plants[update.plant].config_due_at = at
        elif update.attempts < self._config.follow_attempts:
            self._open[update.plant] = update
        else:
            self._note(
                "update", answer, at, text=f"update of {update.plant} is left open after many attempts"
            )

    # Requests -------------------------------------------------------------------------------------------

    def _is_paused(self) -> bool:
        return self._pause_until is not None

    def _call(
        self,
        kind: str,
        method: str,
        path: str,
        at: datetime,
        *,
        plant: str | None = None,
        etag: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """An authorised request, its journal row and its note; a 401 is tried again with a fresh
        token, once.
        """
        url = self._url(path)
        if plant is not None and method == "GET":
            url = str(httpx.URL(url, params={"plantId": plant}))
        answer = Answer(status=401)
        for _ in range(2):
            token = self._valid_token(at)
            if token is None:
                return Answer(status=0, failure="no token")
            headers = {"authorization": f"Bearer {token}"}
            if etag is not None:
                headers["if-none-match"] = etag
            answer = fetch(self._http, method, url, headers=headers, body=body)
            journal_pull(self._journal, kind, answer, at, plant=plant)
            self._note(kind, answer, at, plant=plant)
            if answer.status != 401:
                break
            self._token = None
        self._mind_failure(answer, at, is_final_401=answer.status == 401)
        return answer

    def _valid_token(self, at: datetime) -> str | None:
        if self._token is not None and self._token_until is not None and at < self._token_until:
            return self._token
        credentials = {"clientId": self._config.client_id, "clientSecret": self._config.client_secret}
        answer = fetch(self._http, "POST", self._url("token"), headers={}, body=credentials)
        document = answer.body if isinstance(answer.body, dict) else {}
        token, expires_s = document.get("accessToken"), document.get("expiresIn")
        usable = answer.is_ok and isinstance(token, str) and isinstance(expires_s, int | float)
        note = None if usable or not answer.is_ok else "no accessToken and expiresIn"
        journal_pull(self._journal, "token", answer, at, note=note)
        self._note("token", answer, at)
        if not usable or not isinstance(token, str) or not isinstance(expires_s, int | float):
            self._mind_failure(answer, at, is_final_401=True)
            return None
        life_s = max(1.0, min(float(expires_s), 86_400.0) - _TOKEN_MARGIN_S)
        self._token, self._token_until = token, at + timedelta(seconds=life_s)
        return token

    def _mind_failure(self, answer: Answer, at: datetime, *, is_final_401: bool) -> None:
        if not answer.is_worth_retrying and not is_final_401:
            self._failures = 0
            return
        self._failures += 1
        pause_s = min(self._config.retry_max_s, self._config.retry_min_s * 2 ** min(self._failures - 1, 20))
        pause_s *= self._rng.uniform(0.5, 1.0)
        if answer.retry_after_s is not None:
            pause_s = min(max(pause_s, answer.retry_after_s), _MAX_RETRY_AFTER_S)
        self._pause_until = at + timedelta(seconds=pause_s)

    def _url(self, path: str) -> str:
        return f"{self._config.base_url.rstrip('/')}/trading/{path}"

    def _note(
        self, kind: str, answer: Answer, at: datetime, *, plant: str | None = None, text: str | None = None
    ) -> None:
        if text is None:
            what = f"{kind} of {plant}" if plant else kind
            word = (
                answer.body.get("resultCode") if kind == "update" and isinstance(answer.body, dict) else None
            )
            text = f"pulled {what}: {answer.status or answer.failure}{f' {word}' if word else ''}"
        self._notes.append(
            Note(at=at, action=Action.PULLED, status=str(answer.status), text=text, site=plant, family=kind)
        )


def _plant_ids(document: Any) -> list[str] | None:
    """The plants' ids of a list, in its order; None when it has no known shape."""
    items = document
    if isinstance(document, dict):
        items = next((document[name] for name in _LIST_MEMBERS if isinstance(document.get(name), list)), None)
    if not isinstance(items, list):
        return None
    ids = [item.get("externalPlantId") or item.get("plantId") for item in items if isinstance(item, dict)]
    return [name for name in dict.fromkeys(ids) if isinstance(name, str)]
