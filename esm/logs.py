"""Logging: one line per event with `action` and ids, JSON in production, readable in a terminal.

Every line has an `action`: ours name one each (a test reads every logging call), a library's is its logger's name. Ids
come with the call, or from what the thread is about: `connection_id` in a worker, `tick` in a tick, `request_id` in a
request (the same as in the answer's header and in the pull journal).

Bodies and keys never reach a log line: whatever is called like a secret is replaced before rendering, and within texts
user and password of addresses, bearer tokens, and the values of rows that a database error quotes.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from plants.redaction import scrub

REDACTED_KEYS = frozenset(
    {
        "access_token", "accesstoken", "amqps_uri", "api_key", "apikey", "authorization", "body", "client_secret",
        "clientsecret", "cookie", "dsn", "email", "envelope", "params", "password", "passwd", "payload",
        "secret", "set_cookie", "signature", "signing_key", "signingkey", "sql", "token", "uri", "x_api_key",
    }
)  # fmt: skip
REDACTED = "[redacted]"
_DEEPEST = 6
# What other parts of logging left in the event for each other; `exc_info` is a tuple and must stay one.
_MACHINERY = frozenset({"exc_info", "_record", "_from_structlog"})


def redact(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values whose key names a secret or a message body, at any depth, and passwords within addresses."""
    for key in event.keys() - _MACHINERY:
        event[key] = _redacted(key, event[key])
    return event


def _redacted(key: object, value: Any, depth: int = 0) -> Any:
    named = isinstance(key, str) and key.lower().replace("-", "_") in REDACTED_KEYS
    if (
        named or depth > _DEEPEST or hasattr(value, "reveal")
    ):  # a plants.encryption.Secret under whatever name
        return REDACTED
    if isinstance(value, Mapping):
        return {name: _redacted(name, item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(None, item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return REDACTED  # a body, whatever it is called
    return scrub(repr(value) if isinstance(value, BaseException) else str(value))


def name_action(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A library's line is found by the name of its logger."""
    event.setdefault("action", event.get("logger") or "log")
    return event


def name_request(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Django tells of refused requests after its middleware ended: their id stands on the record's request."""
    request = getattr(event.get("_record"), "request", None)
    request_id = getattr(request, "request_id", "")
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def scrub_exception(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same for a traceback that was rendered into the event."""
    if isinstance(event.get("exception"), str):
        event["exception"] = scrub(event["exception"])
    return event


def configure_logging(*, level: str, fmt: str) -> None:
    """Send structlog's and the standard library's records through one renderer to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        name_action,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # Never with local variables: they hold bodies and keys.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    renderer: list[Any] = [structlog.processors.format_exc_info, scrub_exception, last]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[name_request, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "httpx", "httpcore", "amqp", "pika", "kombu"):
        logging.getLogger(noisy).setLevel("WARNING")
