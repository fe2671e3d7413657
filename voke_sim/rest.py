"""The stand-in's HTTP side: Voke's partner reads under `/api/v1/vcp`, and the stand-in's own controls under
`/sim`.

A small ASGI application: `X-API-Key` on everything, Voke's error envelope for everything that is refused.
The controls (`GET|PUT /sim/faults`, `GET|PUT /sim/rest-faults`, `GET /sim/counts`) are not Voke's; they let a
test in another process change the misbehaviour.
"""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from voke_sim.clock import Clock
from voke_sim.config import RestConfig
from voke_sim.engine import Engine
from voke_sim.faults import FaultRule
from voke_sim.rest_faults import RestFault, RestFaults, RestPart
from voke_sim.rest_views import site_commands, site_config, sites_page
from voke_sim.site import Site
from voke_sim.summary import count

READ_SCOPE = "vcp:read"
_BASE = "/api/v1/vcp/sites"
_SITE_PATH = re.compile(rf"{_BASE}/(?P<site_id>[^/]+)/(?P<part>config|commands)/?").fullmatch
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
_MAX_BODY_BYTES = 256 * 1024
_MAX_LIMIT = 100
_BODY_TIMEOUT_S = 10.0

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class RestError(Exception):
    """A refusal, as Voke words it: branch on `code`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Any = None,
        *,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """Voke's error envelope."""
        envelope = {
            "statusCode": self.status,
            "message": self.message,
            "error": HTTPStatus(self.status).phrase,
            "code": self.code,
        }
        return envelope if self.details is None else {**envelope, "details": self.details}


class RestApp:
    """ASGI application over an engine."""

    def __init__(self, config: RestConfig, engine: Engine, clock: Clock) -> None:
        self._config = config
        self._engine = engine
        self._clock = clock
        self.faults = RestFaults()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (there is nothing to do at start and end)."""
        if scope["type"] != "http":
            return
        extra: list[tuple[bytes, bytes]] = []
        try:
            self._authorise(scope)
            body = await _body(scope, receive)
            status, document = 200, await asyncio.to_thread(self._answer, scope, body)
        except RestError as error:
            status, document = error.status, error.body()
            if error.retry_after_s is not None:
                extra = [(b"retry-after", b"%d" % error.retry_after_s)]
        content = msgspec.json.encode(document)
        told_at = self._clock() + self._engine.faults.clock_skew()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
            (b"date", format_datetime(told_at, usegmt=True).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *extra]})
        await send({"type": "http.response.body", "body": content})

    def _authorise(self, scope: Scope) -> None:
        given = next((value for name, value in scope["headers"] if name.lower() == b"x-api-key"), b"")
        if not hmac.compare_digest(given, self._config.api_key.encode()):
            raise RestError(401, "UNAUTHORIZED", "missing or unknown X-API-Key")
        if READ_SCOPE not in self._config.scopes:
            raise RestError(403, "FORBIDDEN", f"the key lacks the scope {READ_SCOPE}")

    def _answer(self, scope: Scope, body: bytes) -> Any:
        path, method = scope["path"], scope["method"]
        if path.rstrip("/") == "/sim/faults" and method == "PUT":
            return self._replace_faults(body)
        if path.rstrip("/") == "/sim/rest-faults" and method == "PUT":
            return self._replace_rest_faults(body)
        if method != "GET":
            raise RestError(405, "METHOD_NOT_ALLOWED", f"{method} is not allowed here")
        match path.rstrip("/"):
            case "/sim/faults":
                return self._faults()
            case "/sim/rest-faults":
                return {"faults": self.faults.rows()}
            case "/sim/counts":
                return count(self._engine.journal)
            case value if value == _BASE:
                self._refuse(RestPart.SITES, None)
                return sites_page(self._engine, **_paging(scope))
        found = _SITE_PATH(path)
        if found is None:
            raise RestError(404, "NOT_FOUND", "no such resource")
        self._refuse(RestPart(found["part"]), found["site_id"])
        site = self._site(found["site_id"])
        if found["part"] == "config":
            return site_config(self._engine, site, self._clock())
        return site_commands(self._engine.journal, site, self._clock())

    def _refuse(self, part: RestPart, site_id: str | None) -> None:
        """As was asked for."""
        fault = self.faults.met_by(part, site_id)
        if fault is not None:
            raise RestError(fault.status, fault.code, fault.message, retry_after_s=fault.retry_after_s)

    def _site(self, site_id: str) -> Site:
        if _UUID(site_id) is None:
            raise RestError(400, "INVALID_UUID", "the site id is no UUID")
        for site in self._engine.sites:
            if site.config.site_id == site_id.lower():
                return site
        raise RestError(404, "SITE_NOT_FOUND", "no such site")

    def _faults(self) -> dict[str, Any]:
        rules = self._engine.faults.rules()
        return {"faults": [{"number": number, **_plain(rule)} for number, rule in rules.items()]}

    def _replace_faults(self, body: bytes) -> dict[str, Any]:
        try:
            rules = msgspec.json.decode(body, type=list[FaultRule])
        except msgspec.DecodeError as error:
            raise RestError(400, "VALIDATION_ERROR", str(error)) from error
        names = {name for site in self._engine.sites for name in site.names}
        for rule in rules:
            if rule.site is not None and rule.site not in names:
                raise RestError(400, "VALIDATION_ERROR", f"{rule.site!r} is none of the sites")
        self._engine.faults.replace(rules)
        return self._faults()

    def _replace_rest_faults(self, body: bytes) -> dict[str, Any]:
        try:
            rows = msgspec.json.decode(body, type=list[RestFault])
        except msgspec.DecodeError as error:
            raise RestError(400, "VALIDATION_ERROR", str(error)) from error
        self.faults.replace(rows)
        return {"faults": self.faults.rows()}


def _plain(rule: FaultRule) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(rule)
    return plain


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The request's body, read to its bound and within a deadline; GET has none."""
    if scope["method"] == "GET":
        return b""
    content = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while True:
                message = await receive()
                content += message.get("body", b"")
                if len(content) > _MAX_BODY_BYTES:
                    raise RestError(413, "PAYLOAD_TOO_LARGE", f"more than {_MAX_BODY_BYTES} bytes")
                if message["type"] != "http.request" or not message.get("more_body"):
                    return bytes(content)
    except TimeoutError:
        raise RestError(408, "REQUEST_TIMEOUT", "the body did not come in time") from None


def _paging(scope: Scope) -> dict[str, int]:
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    paging = {"page": 1, "limit": 20}
    for name in paging:
        text = query.get(name)
        if text is None:
            continue
        highest = _MAX_LIMIT if name == "limit" else 10**6
        if not (text.isascii() and text.isdecimal() and len(text) < 8 and 1 <= int(text) <= highest):
            raise RestError(
                400, "VALIDATION_ERROR", f"{name} must be 1 to {highest}", details=[{"field": name}]
            )
        paging[name] = int(text)
    return paging
