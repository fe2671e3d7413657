"""Around every request of the reverse channel: a row in the pull journal, whatever became of it.

A middleware and not a view, because answers are also made before any view (a wrong Host header, a body that the shell
refused) and after one (an unexpected exception).

Where the journal can't be written the answer stands: Voke must not be told that an update failed when it was applied.
The failure and the facts of the row go to the log instead. A request that failed because the database did not answer is
only logged: a second attempt would hold its thread for another connection timeout.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from time import monotonic

import msgspec
import structlog
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse

from esm import clock
from plants import prepared
from trading_api import journal, selectors
from trading_api.auth import bearer_token, read_token
from trading_api.errors import Unauthorized
from trading_api.journal import BODY_MAX_BYTES, Exchange, JournalRow, Pull
from trading_api.limits import request_address
from trading_api.paths import Endpoint, endpoint_of, is_reverse_channel
from trading_api.redaction import storable_body

log = structlog.get_logger(__name__)


class PullJournalMiddleware:
    """Gives the view a `request.pull` to note what it learns, and writes the row once the answer is made."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_reverse_channel(request.path_info):
            return self.get_response(request)
        scope = request.META.get("asgi.scope", {})
        started: float = scope.get("esm.arrived") or monotonic()  # with the time that the body took to arrive
        at = clock.now()
        pull = Pull(endpoint=endpoint_of(request.path_info))
        request.pull = pull  # type: ignore[attr-defined]
        response = self.get_response(request)
        self._record(request, response, pull, at, (monotonic() - started) * 1000)
        return response

    def _record(
        self, request: HttpRequest, response: HttpResponse, pull: Pull, at: datetime, latency_ms: float
    ) -> None:
        if response.status_code >= 400:
            _note_error(pull, response)
        exchange = _exchange(request, response, pull, at, latency_ms)
        if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            _log_instead(journal.row_of(pull, exchange), "database unavailable")
            return
        try:
            if response.status_code >= 400:
                _attribute(request, pull, at)
            elif (left := request.META.get("asgi.scope", {}).get("esm.left")) is not None:
                left.append(journal.row_of(pull, exchange))  # see `write_left`
                return
            journal.write(pull, exchange)
        except Error as error:
            _log_instead(journal.row_of(pull, exchange), type(error).__name__)


def _note_error(pull: Pull, response: HttpResponse) -> None:
    """Code and message of the error envelope."""
    try:
        envelope = msgspec.json.decode(response.content)
        pull.result, pull.detail = envelope["code"], envelope["message"]
    except (msgspec.DecodeError, KeyError, TypeError):  # a page for people, not made by us
        pull.result = f"HTTP_{response.status_code}"


def _attribute(request: HttpRequest, pull: Pull, at: datetime) -> None:
    """Book a refused request on its organisation where a signature of ours tells whose it is."""
    if pull.credential_id is not None or "HTTP_AUTHORIZATION" not in request.META:
        return
    try:
        client_id = read_token(bearer_token(request.META["HTTP_AUTHORIZATION"]), at=at).client_id
    except Unauthorized as error:
        client_id = error.client_id
    if client_id and (found := selectors.whose(client_id)) is not None:
        pull.client_id = client_id
        pull.credential_id, pull.organisation_id = found


def _exchange(
    request: HttpRequest, response: HttpResponse, pull: Pull, at: datetime, latency_ms: float
) -> Exchange:
    return Exchange(
        at=at,
        request_id=getattr(request, "request_id", ""),
        address=request_address(request.META),
        method=request.method or "",
        status=response.status_code,
        latency_ms=round(latency_ms, 2),
        bytes_in=_bytes_in(request),
        bytes_out=0 if request.method == "HEAD" else len(response.content),
        body=_body(request, response, pull),
    )


def _bytes_in(request: HttpRequest) -> int:
    received: int | None = request.META.get("asgi.scope", {}).get("esm.received")
    return int(request.META.get("CONTENT_LENGTH") or 0) if received is None else received


def _body(request: HttpRequest, response: HttpResponse, pull: Pull) -> str:
    """What was asked (updates only: a token request holds a secret) and, when refused, what was answered."""
    answer = response.content if response.status_code >= 400 else b""
    # Read already, or not to be read: a view that refused the token left the body where it was.
    asked = getattr(request, "_body", b"") if pull.endpoint is Endpoint.UPDATE else b""
    told = storable_body(answer, BODY_MAX_BYTES) if answer else ""
    room = BODY_MAX_BYTES - len(told.encode()) - 1
    return "\n".join(text for text in (storable_body(asked, room) if asked else "", told) if text)


def write_left(rows: Sequence[JournalRow]) -> None:
    """Write the rows of several answers, which are sent after that; in a thread that serves no request."""
    try:
        prepared.drop_dead_connections()
        refused = journal.insert_what_can_be(rows)
    except Error as error:
        refused = [(row, error) for row in rows]
    finally:
        connection.close()
    for row, why in refused:
        _log_instead(row, type(why).__name__)


def _log_instead(row: JournalRow, reason: str) -> None:
    log.error(
        "pull not journaled",
        action="journal_failed",
        reason=reason,
        endpoint=row.endpoint,
        client_id=row.client_id,
        credential_id=row.credential_id,
        plant_id=row.plant_id,
        version=row.version,
        status=row.status,
        result=row.result,
        latency_ms=row.latency_ms,
        request_id=row.request_id,
    )
