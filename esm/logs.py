"""Logging: one line per event with `action` and ids, JSON in production, readable in a terminal.

Bodies and keys never reach a log line: whatever is called like a secret is replaced before rendering.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

REDACTED_KEYS = frozenset(
    {
        "access_token", "accesstoken", "amqps_uri", "api_key", "apikey", "authorization", "body", "client_secret",
        "clientsecret", "cookie", "password", "payload", "secret", "set_cookie", "signature", "signing_key",
        "signingkey", "token", "uri", "x_api_key",
    }
)  # fmt: skip
REDACTED = "[redacted]"
_CREDENTIALS = re.compile(r"://[^/\s@]*@")
_DEEPEST = 6


def redact(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values whose key names a secret or a message body, at any depth, and passwords within addresses."""
    for key in event:
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
    return scrub(value) if isinstance(value, str) else value


def scrub(text: str) -> str:
    """A text without user and password of the addresses in it: errors of libraries quote what they were given."""
    return _CREDENTIALS.sub("://***@", text)


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
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.access", "httpx", "httpcore", "amqp", "pika", "kombu"):
        logging.getLogger(noisy).setLevel("WARNING")
