"""One request of the reverse channel at a time: what is sent, what comes back, what the journal keeps
of it.
"""

import ssl
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec

from voke_sim.config import ReverseConfig
from voke_sim.journal import Journal
from voke_sim.journal_schema import PullRow

_MAX_BODY_BYTES = 5 * 1024 * 1024
_MAX_WORD = 128


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the partner; status 0 = none came. `body` is the decoded JSON, None when there is none."""

    status: int
    body: Any = None
    etag: str | None = None
    request_id: str | None = None
    retry_after_s: float | None = None
    failure: str | None = None
    """Why there is no usable answer, for people."""
    latency_ms: int = 0

    @property
    def is_ok(self) -> bool:
        """A 2xx with a body that could be read."""
        return 200 <= self.status < 300 and self.failure is None

    @property
    def is_worth_retrying(self) -> bool:
        """No answer, too many requests, or the server's own failure: the cases where later may be better."""
        return self.status in (0, 429) or self.status >= 500

    @property
    def error_code(self) -> str | None:
        """`code` of Voke's error envelope, where the answer carries one."""
        code = self.body.get("code") if isinstance(self.body, dict) else None
        return code[:_MAX_WORD] if isinstance(code, str) else None


def http_client(config: ReverseConfig) -> httpx.Client:
    """A client that verifies certificates, follows no redirect, and never waits longer than its timeout."""
    context = ssl.create_default_context(cafile=config.ca_file)
    return httpx.Client(
        verify=context,
        timeout=config.timeout_s,
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=2),
        headers={"accept": "application/json", "user-agent": "voke-sim"},
    )


def fetch(
    http: httpx.Client,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None = None,
) -> Answer:
    """Send a request and read at most 5 MB of the answer; failures of the network are answers too."""
    began = time.monotonic()
    try:
        with http.stream(method, url, headers=dict(headers), json=body) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _MAX_BODY_BYTES:
                    return Answer(status=response.status_code, failure="the answer is larger than 5 MB")
    except httpx.HTTPError as error:
        return Answer(status=0, failure=type(error).__name__, latency_ms=_since_ms(began))
    document, failure = _decoded(bytes(content))
    return Answer(
        status=response.status_code,
        body=document,
        failure=failure if response.status_code != 304 else None,
        etag=response.headers.get("etag"),
        request_id=_word(response.headers.get("x-request-id")),
        retry_after_s=_seconds(response.headers.get("retry-after")),
        latency_ms=_since_ms(began),
    )


def journal_pull(
    journal: Journal,
    kind: str,
    answer: Answer,
    at: datetime,
    *,
    plant: str | None = None,
    note: str | None = None,
) -> None:
    """One row for one request: no body, no token."""
    body = answer.body if isinstance(answer.body, dict) and kind == "update" else {}
    terminal = body.get("terminal")
    journal.record_pull(
        PullRow(
            at=at,
            kind=kind,
            status=answer.status,
            latency_ms=answer.latency_ms,
            plant=plant,
            etag=_word(answer.etag),
            request_id=answer.request_id,
            result_code=_word(body.get("resultCode")),
            terminal=terminal if isinstance(terminal, bool) else None,
            update_id=_word(body.get("requestId")),
            detail=note or answer.failure or answer.error_code,
        )
    )


def _decoded(content: bytes) -> tuple[Any, str | None]:
    if not content:
        return None, None
    try:
        return msgspec.json.decode(content), None
    except msgspec.DecodeError:
        return None, "the answer is no JSON"


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() and len(text) < 7 else None


def _word(value: Any) -> str | None:
    return value[:_MAX_WORD] if isinstance(value, str) else None


def _since_ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
