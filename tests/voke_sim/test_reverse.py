"""Voke as client of the reverse channel: what it asks, when, and what it makes of the answers."""

import json
from collections.abc import Callable
from datetime import timedelta

import httpx
import msgspec
import pytest

from tests.voke_sim.harness import START
from tests.voke_sim.trading_api import BASE, BLOCKS, CONFIG, TradingApi, fail, refuse
from voke_sim.journal import Journal
from voke_sim.reverse import ReverseClient
from voke_sim.summary import count


class Run:
    """A client stepped by hand, second by second."""

    def __init__(self, api: TradingApi, **changes: object) -> None:
        self.api = api
        self.journal = Journal(":memory:")
        config = msgspec.structs.replace(CONFIG, **changes)
        self.client: ReverseClient = api.client(config, self.journal)
        self.at = START
        self.texts: list[str] = []

    def run(self, for_s: int = 0) -> None:
        for second in range(for_s + 1):
            self.texts += [note.text for note in self.client.step(self.at)]
            if second < for_s:
                self.at += timedelta(seconds=1)

    def pulls(self, kind: str) -> list[dict[str, object]]:
        return self.journal.rows("SELECT * FROM pulls WHERE kind = ? ORDER BY seq", kind)

    def statuses(self, kind: str) -> list[object]:
        return [row["status"] for row in self.pulls(kind)]


@pytest.fixture
def api() -> TradingApi:
    return TradingApi()


def test_the_first_step_pulls_token_list_and_the_config_of_every_plant(api: TradingApi) -> None:
    run = Run(api)
    run.run()

    assert [f"{request.method} {request.url}" for request in api.requests] == [
        f"POST {BASE}/trading/token",
        f"GET {BASE}/trading/plant/list",
        f"GET {BASE}/trading/plant/config?plantId=PLANT-1",
        f"GET {BASE}/trading/plant/config?plantId=PLANT-2",
    ]
    assert run.texts == ["pulled token: 200", "pulled list: 200"] + [
        f"pulled config of PLANT-{n}: 200" for n in (1, 2)
    ]
    assert count(run.journal)["pulls"] == {"token": {"200": 1}, "list": {"200": 1}, "config": {"200": 2}}


def test_pulls_are_repeated_in_their_own_rhythms_with_the_etags_they_got(api: TradingApi) -> None:
    run = Run(api)
    run.run(65)

    assert run.statuses("list") == [200, 304]
    assert run.statuses("config") == [200, 200, 304, 304, 304, 304]
    assert len(api.calls("token")) == 1
    assert api.calls("list")[1].headers["if-none-match"] == run.pulls("list")[0]["etag"]


def test_a_new_revision_is_pulled_anew(api: TradingApi) -> None:
    run = Run(api)
    run.run()
    api.revision, api.plants = 2, ["PLANT-2"]
    run.run(61)

    assert run.statuses("list") == [200, 200]
    assert {row["plant"] for row in run.pulls("config")[-2:]} == {"PLANT-2"}


def test_a_token_is_renewed_before_it_ends(api: TradingApi) -> None:
    api.token_life_s = 35
    run = Run(api)
    run.run(61)

    assert len(api.calls("token")) == 3
    assert 401 not in run.statuses("config")


def test_a_401_gets_a_fresh_token_and_one_more_try(api: TradingApi) -> None:
    run = Run(api)
    run.run()
    api.tokens += 1  # all earlier tokens are dead
    run.run(30)

    assert run.statuses("config")[2:4] == [401, 304]
    assert len(api.calls("token")) == 2


def test_a_401_with_a_fresh_token_pauses_instead_of_looping(api: TradingApi) -> None:
    api.overrides["list"] = refuse(401, "UNAUTHORIZED")
    run = Run(api)
    run.run()

    assert run.statuses("list") == [401, 401]
    assert run.pulls("list")[0]["detail"] == "UNAUTHORIZED"
    assert api.calls("config") == []
    assert run.client.next_due_at(run.at) > run.at


@pytest.mark.parametrize("override", [refuse(500), refuse(503), fail])
def test_failures_of_the_server_or_network_pause_with_a_growing_bounded_jitter(
    api: TradingApi, override: Callable[[httpx.Request], httpx.Response]
) -> None:
    api.overrides["token"] = override
    run = Run(api)
    pauses = []
    for _ in range(8):
        run.run()
        due_at = run.client.next_due_at(run.at)
        pauses.append((due_at - run.at).total_seconds())
        run.at = due_at

    assert len(api.calls("token")) == 8
    assert 0.5 <= pauses[0] <= 1
    assert all(4 <= pause <= 8 for pause in pauses[3:])
    assert len(set(pauses)) > 4


def test_retry_after_is_honoured(api: TradingApi) -> None:
    api.overrides["list"] = refuse(429, "TOO_MANY_REQUESTS")
    run = Run(api)
    run.run()

    assert run.client.next_due_at(run.at) == run.at + timedelta(seconds=7)


def test_after_a_failure_everything_comes_back(api: TradingApi) -> None:
    api.overrides["token"] = fail
    run = Run(api)
    run.run(3)
    del api.overrides["token"]
    run.run(70)

    assert run.pulls("token")[0]["status"] == 0
    assert run.pulls("token")[0]["detail"] == "ConnectError"
    assert run.statuses("list")[:1] == [200]


def test_an_unknown_plant_does_not_stop_the_others(api: TradingApi) -> None:
    api.plants = ["GONE", "PLANT-1"]
    run = Run(api)
    run.run()

    assert run.statuses("config") == [404, 200]
    assert run.pulls("config")[0]["detail"] == "PLANT_NOT_FOUND"


@pytest.mark.parametrize(
    "document",
    [
        [{"plantId": "PLANT-1"}],
        {"data": [{"externalPlantId": "PLANT-1"}], "meta": {}},
        {"plants": [{"plantId": "PLANT-1"}]},
    ],
)
def test_lists_of_every_known_shape_are_read(api: TradingApi, document: object) -> None:
    api.overrides["list"] = lambda request: httpx.Response(200, json=document)
    run = Run(api)
    run.run()

    assert [row["plant"] for row in run.pulls("config")] == ["PLANT-1"]


@pytest.mark.parametrize("content", [b"<html>", b'"text"', b"{}", b"[1,2]"])
def test_an_unreadable_list_is_survived(api: TradingApi, content: bytes) -> None:
    api.overrides["list"] = lambda request: httpx.Response(200, content=content)
    run = Run(api)
    run.run(2)

    assert api.calls("config") == []


@pytest.mark.parametrize("body", [{}, {"accessToken": 5, "expiresIn": 60}, {"accessToken": "x"}])
def test_a_token_answer_without_its_members_is_a_failure(api: TradingApi, body: dict[str, object]) -> None:
    api.overrides["token"] = lambda request: httpx.Response(200, json=body)
    run = Run(api)
    run.run()

    assert run.pulls("token")[0]["detail"] == "no accessToken and expiresIn"
    assert api.calls("list") == []


def test_an_answer_beyond_five_megabytes_is_not_read(api: TradingApi) -> None:
    api.overrides["list"] = lambda request: httpx.Response(200, content=b"[" + b" " * 6_000_000 + b"]")
    run = Run(api)
    run.run()

    assert run.pulls("list")[0]["detail"] == "the answer is larger than 5 MB"


def test_redirects_are_not_followed(api: TradingApi) -> None:
    api.overrides["list"] = lambda request: httpx.Response(301, headers={"location": "http://evil.test/"})
    run = Run(api)
    run.run()

    assert {request.url.host for request in api.requests} == {"esm.test"}


# Updates ------------------------------------------------------------------------------------------------


def test_an_update_is_the_served_config_with_one_limit_moved_by_a_step(api: TradingApi) -> None:
    api.update_answers = [{"resultCode": "APPLIED", "terminal": True, "requestId": "u1", "message": "ok"}]
    run = Run(api, update_probability=1)
    run.run(100)

    [request] = api.calls("update")
    body = json.loads(request.content)
    assert set(body) == {"plantId", "timeConfigs"}
    changes = [
        (name, block[name], base[name])
        for block, base in zip(body["timeConfigs"], BLOCKS, strict=True)
        for name in base
        if block[name] != base[name]
    ]
    assert len(changes) == 1
    assert abs(changes[0][1] - changes[0][2]) == 1
    [row] = run.pulls("update")
    assert (row["result_code"], row["terminal"], row["update_id"]) == ("APPLIED", 1, "u1")
    assert row["request_id"] == "r-1"
    assert count(run.journal)["updates"] == {"APPLIED": 1}


def test_a_settled_update_is_followed_by_a_fresh_config_pull(api: TradingApi) -> None:
    api.update_answers = [{"resultCode": "APPLIED", "terminal": True, "requestId": "u1"}]
    run = Run(api, update_probability=1)
    run.run(101)

    plant = json.loads(api.calls("update")[0].content)["plantId"]
    assert run.pulls("config")[-1]["plant"] == plant


def test_a_non_terminal_update_is_asked_again_with_the_same_body_until_it_is_terminal(
    api: TradingApi,
) -> None:
    held = {"resultCode": "ACCEPTED", "terminal": False, "requestId": "u1"}
    api.update_answers = [held, held, {"resultCode": "REJECTED", "terminal": True, "requestId": "u1"}]
    run = Run(api, update_probability=1)
    run.run(120)

    bodies = [request.content for request in api.calls("update")]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert [row["result_code"] for row in run.pulls("update")] == ["ACCEPTED", "ACCEPTED", "REJECTED"]


def test_an_update_that_stays_open_is_left_after_its_attempts(api: TradingApi) -> None:
    api.update_answers = [{"resultCode": "ACCEPTED", "terminal": False, "requestId": "u1"}] * 9
    run = Run(api, update_probability=1)
    run.run(150)

    assert len(api.calls("update")) == 3
    assert any("left open" in text for text in run.texts)


def test_a_request_id_that_changes_under_way_is_told(api: TradingApi) -> None:
    api.update_answers = [
        {"resultCode": "ACCEPTED", "terminal": False, "requestId": "u1"},
        {"resultCode": "APPLIED", "terminal": True, "requestId": "u2"},
    ]
    run = Run(api, update_probability=1)
    run.run(110)

    assert any("requestId changed from u1 to u2" in text for text in run.texts)


@pytest.mark.parametrize(("status", "attempts"), [(400, 1), (503, 3)])
def test_a_refused_update_is_given_up_and_a_failed_one_tried_again(
    api: TradingApi, status: int, attempts: int
) -> None:
    api.overrides["update"] = refuse(status)
    run = Run(api, update_probability=1)
    run.run(180)

    assert len(api.calls("update")) == attempts


def test_updates_are_drawn_from_the_seed(api: TradingApi) -> None:
    def drawn(seed: int) -> list[bytes]:
        api = TradingApi()
        api.update_answers = [{"resultCode": "APPLIED", "terminal": True, "requestId": "u"}] * 99
        client = api.client(
            msgspec.structs.replace(CONFIG, update_probability=0.5, update_period_s=10), seed=seed
        )
        for second in range(300):
            client.step(START + timedelta(seconds=second))
        return [request.content for request in api.calls("update")]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 5 < len(drawn(1)) < 25


def test_no_update_is_sent_for_a_plant_whose_blocks_have_another_shape(api: TradingApi) -> None:
    api.blocks = {name: [{"from": "00:00", "limit": 5}] for name in api.plants}
    run = Run(api, update_probability=1)
    run.run(220)

    assert api.calls("update") == []


def test_no_secret_and_no_token_is_journalled(api: TradingApi) -> None:
    run = Run(api)
    run.run(40)
    everything = json.dumps(run.journal.rows("SELECT * FROM pulls"))

    assert "s3cret" not in everything
    assert '"t1"' not in everything
