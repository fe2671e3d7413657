"""The partner's REST reads and the stand-in's controls, asked through ASGI."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from tests.voke_sim.harness import DEPOT, OFFICE, ROOF, Partner, site_documents
from vcp import Family
from voke_sim.config import RestConfig
from voke_sim.faults import FaultKind, FaultRule
from voke_sim.rest import RestApp

KEY = {"x-api-key": "k+abc"}
BASE = "/api/v1/vcp/sites"


def app_of(partner: Partner, scopes: tuple[str, ...] = ("vcp:read",)) -> RestApp:
    return RestApp(RestConfig(api_key="k+abc", scopes=scopes), partner.engine, lambda: partner.at)


def ask(
    partner: Partner,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    scopes: tuple[str, ...] = ("vcp:read",),
    app: RestApp | None = None,
    **options: Any,
) -> httpx.Response:
    app = app or app_of(partner, scopes)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://voke.test") as client:
            return await client.request(method, path, headers=KEY if headers is None else headers, **options)

    return asyncio.run(send())


@pytest.fixture
def partner() -> Partner:
    partner = Partner()
    partner.publish_topology()
    return partner


def test_the_sites_of_the_partner_are_listed_with_their_uuids(partner: Partner) -> None:
    answer = ask(partner, BASE)

    assert answer.status_code == 200
    assert answer.json()["data"][0] == {
        "id": DEPOT,
        "siteId": DEPOT,
        "externalPlantId": "DEPOT",
        "name": "Site",
    }
    assert answer.json()["meta"] == {"page": 1, "limit": 20, "total": 3, "totalPages": 1}


def test_lists_are_paged() -> None:
    base = site_documents()[2]
    sites = [{**base, "site_id": str(uuid.UUID(int=n)), "external_plant_id": f"P{n:03}"} for n in range(45)]
    partner = Partner(sites=sites)
    pages = [ask(partner, f"{BASE}?page={page}&limit=20").json() for page in (1, 2, 3, 4)]

    assert [len(page["data"]) for page in pages] == [20, 20, 5, 0]
    assert pages[2]["meta"] == {"page": 3, "limit": 20, "total": 45, "totalPages": 3}


@pytest.mark.parametrize("query", ["page=0", "limit=101", "limit=0", "page=x", "limit=-1", "page=1.5"])
def test_a_page_out_of_range_is_a_validation_error(partner: Partner, query: str) -> None:
    answer = ask(partner, f"{BASE}?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"authorization": "Bearer k+abc"}])
@pytest.mark.parametrize("path", [BASE, f"{BASE}/{DEPOT}/config", "/sim/faults", "/nowhere"])
def test_without_the_api_key_nothing_is_told(partner: Partner, headers: dict[str, str], path: str) -> None:
    answer = ask(partner, path, headers=headers)

    assert answer.status_code == 401
    assert answer.json() == {
        "statusCode": 401,
        "message": "missing or unknown X-API-Key",
        "error": "Unauthorized",
        "code": "UNAUTHORIZED",
    }


def test_a_key_without_the_read_scope_is_forbidden(partner: Partner) -> None:
    answer = ask(partner, BASE, scopes=("vcp:connect",))

    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{BASE}/DEPOT/config", 400, "INVALID_UUID"),
        (f"{BASE}/{uuid.uuid4()}/config", 404, "SITE_NOT_FOUND"),
        (f"{BASE}/{DEPOT}/telemetry", 404, "NOT_FOUND"),
        ("/api/v1/other", 404, "NOT_FOUND"),
    ],
)
def test_what_does_not_exist_is_answered_in_vokes_envelope(
    partner: Partner, path: str, status: int, code: str
) -> None:
    answer = ask(partner, path)

    assert (answer.status_code, answer.json()["statusCode"], answer.json()["code"]) == (status, status, code)


def test_another_method_is_refused(partner: Partner) -> None:
    assert ask(partner, BASE, method="POST").json()["code"] == "METHOD_NOT_ALLOWED"


def test_the_config_of_a_site_shows_what_is_in_force(partner: Partner) -> None:
    partner.send(Family.CONFIG_CONSTRAINTS, {"maxImportKw": 60})
    partner.send(Family.CONFIG_FALLBACK, {"mode": "STANDARD", "afterSeconds": 900})
    partner.mode("ZERO_EXPORT", validUntil="2026-01-02T05:00:00.000Z", reason="limit")
    waiting = partner.setpoint(20, validFrom="2026-01-02T04:00:00.000Z")
    slot = {
        "from": "2026-01-02T02:00:00.000Z",
        "to": "2026-01-02T06:00:00.000Z",
        "type": "POWER",
        "targetValueKw": 5,
        "direction": "EXPORT",
        "includeConsumption": True,
    }
    partner.send(Family.SCHEDULE_CREATE, {"scheduleId": "s1", "priority": "NORMAL", "slots": [slot]})
    partner.run(2)
    config = ask(partner, f"{BASE}/{DEPOT}/config").json()

    assert (config["siteId"], config["operatingMode"]) == (DEPOT, "ZERO_EXPORT")
    assert config["modeOverride"] == {
        "mode": "ZERO_EXPORT",
        "reason": "limit",
        "validUntil": "2026-01-02T05:00:00.000Z",
    }
    assert config["constraints"] == {"maxImportKw": 60}
    assert config["fallback"] == {"mode": "STANDARD", "afterSeconds": 900}
    assert config["activeSchedule"]["scheduleId"] == "s1"
    [pending] = config["pendingCommands"]
    assert (pending["correlationId"], pending["isExecuting"], pending["summary"]) == (
        waiting,
        False,
        "-20 kW",
    )


def test_a_fallback_in_force_is_shown_with_its_mode_and_its_reason(partner: Partner) -> None:
    partner.send(Family.CONFIG_FALLBACK, {"mode": "ZERO_EXPORT", "afterSeconds": 60})
    partner.tick()
    before = ask(partner, f"{BASE}/{DEPOT}/config").json()
    partner.run(61)
    silent = ask(partner, f"{BASE}/{DEPOT}/config").json()
    partner.mode("STANDARD")
    partner.tick()
    back = ask(partner, f"{BASE}/{DEPOT}/config").json()

    assert [one["fallbackInForce"] for one in (before, silent, back)] == [False, True, False]
    assert [one["operatingMode"] for one in (before, silent, back)] == ["STANDARD", "ZERO_EXPORT", "STANDARD"]
    assert silent["modeOverride"]["reason"] == "fallback: no word from the partner for 60 s"


def test_a_site_without_orders_has_nulls_and_no_pending_commands(partner: Partner) -> None:
    config = ask(partner, f"{BASE}/{OFFICE}/config").json()

    assert (config["modeOverride"], config["fallback"], config["activeSchedule"]) == (None, None, None)
    assert (config["pendingCommands"], config["constraints"]) == ([], {})


def test_pending_commands_of_every_kind_are_summed_up(partner: Partner) -> None:
    partner.engine.faults.replace([FaultRule(kind=FaultKind.OFFLINE)])
    partner.device(("B1", "BESS", "BESS_STOP", None))
    partner.emergency("HOLD")
    partner.mode("STANDARD")
    partner.tick()
    pending = ask(partner, f"{BASE}/{DEPOT}/config").json()["pendingCommands"]

    assert [command["summary"] for command in pending] == ["B1 BESS_STOP", "HOLD", "STANDARD"]


def test_the_commands_of_the_last_day_are_listed_with_their_outcome(partner: Partner) -> None:
    done = partner.mode("ZERO_EXPORT")
    partner.tick(1)
    refused = partner.device(("B9", "BESS", "BESS_STOP", None))
    partner.mode("STANDARD", site=ROOF)
    partner.tick(1)
    commands = ask(partner, f"{BASE}/{DEPOT}/commands").json()["commands"]

    assert [
        (c["correlationId"], c["commandType"], c["status"], c["rejectionCode"], c["executionStatus"])
        for c in commands
    ] == [
        (refused, "device", "REJECTED", "DEVICE_OFFLINE", None),
        (done, "mode", "ACCEPTED", None, "COMPLETED"),
    ]


def test_commands_older_than_a_day_are_not_listed(partner: Partner) -> None:
    partner.mode("ZERO_EXPORT")
    partner.tick()
    partner.tick(25 * 3600)

    assert ask(partner, f"{BASE}/{DEPOT}/commands").json() == {"commands": []}


def test_faults_are_read_and_replaced_over_http(partner: Partner) -> None:
    rules = [{"kind": "reject", "families": ["command.mode"]}]
    answer = ask(partner, "/sim/faults", method="PUT", json=rules)
    correlation = partner.mode("STANDARD")
    partner.tick()

    assert answer.status_code == 200
    assert ask(partner, "/sim/faults").json()["faults"][0]["kind"] == "reject"
    assert partner.ack(correlation)["status"] == "REJECTED"


@pytest.mark.parametrize(
    "rules", [[{"kind": "explode"}], {"kind": "drop"}, [{"kind": "offline", "site": "NOWHERE"}]]
)
def test_wrong_faults_are_refused_and_change_nothing(partner: Partner, rules: object) -> None:
    partner.engine.faults.replace([FaultRule(kind=FaultKind.SILENT)])
    answer = ask(partner, "/sim/faults", method="PUT", json=rules)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert len(partner.engine.faults.rules()) == 1


def test_a_body_beyond_its_bound_is_refused(partner: Partner) -> None:
    answer = ask(partner, "/sim/faults", method="PUT", content=b"[" + b" " * 300_000 + b"]")

    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_the_counts_are_readable_over_http(partner: Partner) -> None:
    partner.mode("STANDARD")
    partner.tick()

    assert ask(partner, "/sim/counts").json()["commands"]["command.mode"] == {"ACCEPTED": 1}


# --- refusals on request ----------------------------------------------------------------------------------------------


def refuse(partner: Partner, app: RestApp, *rules: dict[str, Any]) -> httpx.Response:
    return ask(partner, "/sim/rest-faults", method="PUT", json=list(rules), app=app)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, "UNAUTHORIZED", "Unauthorized"),
        (403, "FORBIDDEN", "Forbidden"),
        (404, "SITE_NOT_FOUND", "Not Found"),
        (429, "TOO_MANY_REQUESTS", "Too Many Requests"),
        (503, "SERVICE_UNAVAILABLE", "Service Unavailable"),
    ],
)
def test_reads_are_refused_as_asked_for_in_vokes_envelope(
    partner: Partner, status: int, code: str, error: str
) -> None:
    app = app_of(partner)
    refuse(partner, app, {"status": status})

    for path in (BASE, f"{BASE}/{DEPOT}/config", f"{BASE}/{DEPOT}/commands"):
        answer = ask(partner, path, app=app)
        assert (answer.status_code, answer.json()["statusCode"]) == (status, status)
        assert (answer.json()["code"], answer.json()["error"]) == (code, error)


def test_a_refusal_names_the_pause_and_is_used_up(partner: Partner) -> None:
    app = app_of(partner)
    refuse(partner, app, {"status": 429, "retry_after_s": 7, "count": 2})
    answers = [ask(partner, BASE, app=app) for _ in range(3)]

    assert [one.status_code for one in answers] == [429, 429, 200]
    assert [one.headers.get("retry-after") for one in answers] == ["7", "7", None]


def test_a_refusal_meets_the_reads_that_it_names(partner: Partner) -> None:
    app = app_of(partner)
    refuse(partner, app, {"status": 404, "part": "config", "site": DEPOT.upper()})
    paths = (f"{BASE}/{DEPOT}/config", f"{BASE}/{OFFICE}/config", f"{BASE}/{DEPOT}/commands", BASE)

    assert [ask(partner, path, app=app).status_code for path in paths] == [404, 200, 200, 200]


def test_the_controls_are_never_refused_so_that_refusals_can_be_taken_away(partner: Partner) -> None:
    app = app_of(partner)
    refuse(partner, app, {"status": 401})
    shown = ask(partner, "/sim/rest-faults", app=app).json()
    taken = refuse(partner, app)

    assert (shown["faults"][0]["status"], taken.json()) == (401, {"faults": []})
    assert ask(partner, BASE, app=app).status_code == 200


@pytest.mark.parametrize(
    "rule",
    [{"status": 200}, {}, {"status": 404, "part": "sites", "site": DEPOT}, {"status": 429, "count": 0}],
)
def test_a_refusal_that_makes_no_sense_changes_nothing(partner: Partner, rule: dict[str, Any]) -> None:
    app = app_of(partner)
    refuse(partner, app, {"status": 401})

    assert refuse(partner, app, rule).status_code == 400
    assert len(app.faults.rows()) == 1
