"""The parts of a support bundle that need no database: versions, and settings without their secrets."""

import platform
import sys
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from django.conf import settings

# Shown with their value. Every other setting is "[set]" or "[not set]": a new one is secret until it is named here.
SHOWN = frozenset(
    {
        "ACK_TIMEOUT_S", "ALLOWED_HOSTS", "AMQP_CA_FILE", "AMQP_CONFIRM_TIMEOUT_S", "AMQP_HEARTBEAT_S",
        "AMQP_PREFETCH", "CELERY_TASK_TIME_LIMIT", "COMMAND_DELIVER_BY_S", "CONNECT_ALLOW_PRIVATE",
        "CSRF_TRUSTED_ORIGINS", "DEBUG",
        "EMAIL_HOST", "EMAIL_PORT", "EMAIL_SECURITY", "EMBEDDED", "EMERGENCY_REISSUE_S", "EMERGENCY_SCOPE",
        "ESM_MODE", "EXECUTION_TIMEOUT_S", "HTTP_BODY_TIMEOUT_S", "HTTP_HEADER_TIMEOUT_S", "HTTP_KEEP_ALIVE_S",
        "HTTP_MAX_BODY_BYTES", "HTTP_SEND_TIMEOUT_S", "INBOX_MAX_BODY_BYTES", "INBOX_RETENTION_DAYS",
        "INGEST_BATCH", "INGEST_FLUSH_MS", "INSTALLED_APPS", "LINK_RECONNECT_MAX_S", "LINK_TRANSPORT", "LOG_FORMAT",
        "LOG_LEVEL", "METRICS_HOST", "METRICS_PORT", "MIDDLEWARE", "NOTIFY_ALLOW_HTTP", "NOTIFY_ALLOW_PRIVATE",
        "NOTIFY_RETENTION_DAYS", "NOTIFY_TIMEOUT_S", "PRODUCT_NAME", "PULSE_DIR", "RELAY_LEASE_S", "RELAY_POLL_MS",
        "RELAY_WINDOW", "REPLAY_MARGIN_S", "SECURE_HSTS_SECONDS", "SECURE_SSL_REDIRECT", "SETPOINT_DELIVER_BY_S",
        "SIGN_EMERGENCY", "TAKEOVER_DRAIN_S", "TAKEOVER_GRACE_S", "TELEMETRY_RETENTION_DAYS", "TIME_ZONE",
        "TRADING_FAILED_ATTEMPTS_PER_MINUTE", "TRADING_JOURNAL_RETENTION_DAYS", "TRADING_LIST_KEY",
        "TRADING_LIST_MAX", "TRADING_PBAT_SIGN", "TRADING_PLANT_ID_FIELDS", "TRADING_TOKEN_AUDIENCE",
        "TRADING_TOKEN_ISSUER", "TRADING_TOKEN_TTL_S", "TRUSTED_PROXY_COUNT", "WATCH_CLEAR_AFTER_S",
        "WATCH_CLOCK_SKEW_S", "WATCH_DEAD_LETTERS_MAX", "WATCH_DEAD_LETTERS_MIN", "WATCH_FIRST_PULL_MIN",
        "WATCH_LINK_GRACE_S", "WATCH_NO_ACK_COUNT", "WATCH_NO_ACK_MIN", "WATCH_NO_METER_MIN", "WATCH_NO_PULL_MIN",
        "WATCH_OUTBOX_AGE_S", "WEB_CONNECTIONS_MAX", "WEB_GRACE_S", "WEB_QUEUE_MAX", "WEB_THREADS",
    }
)  # fmt: skip


def versions(at: datetime) -> dict[str, Any]:
    """What runs here, and since when the bundle is."""
    return {
        "made_at": at.isoformat(),
        "revision": revision(Path(settings.BASE_DIR)),
        "python": sys.version,
        "platform": platform.platform(),
        "packages": dict(sorted((one.metadata["Name"], one.version) for one in distributions())),
    }


def shown_settings(_at: datetime) -> dict[str, Any]:
    """Every setting of ours: the value of harmless ones, of others only whether they are set."""
    is_ours = settings.is_overridden  # type: ignore[misc]  # unknown to the stubs; not Django's own default
    names = sorted(name for name in dir(settings) if name.isupper() and is_ours(name))
    shown = {name: _plain(getattr(settings, name)) for name in names if name in SHOWN}
    others = {
        name: "[set]" if getattr(settings, name) else "[not set]" for name in names if name not in SHOWN
    }
    return shown | others | {"DATABASES": _databases()}


def revision(root: Path) -> str:
    """The commit that a checkout stands on; "" where there is none (an image)."""
    git = root / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        name = head.removeprefix("ref: ")
        if name == head:
            return head
        loose = git / name
        if loose.is_file():
            return loose.read_text(encoding="utf-8").strip()
        packed = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except (OSError, UnicodeDecodeError, IndexError):
        return ""


def _databases() -> dict[str, Any]:
    """Kind and name; whether there is a password, never which."""
    return {
        alias: {
            "ENGINE": one["ENGINE"],
            "NAME": str(one["NAME"]),
            "HOST": one.get("HOST", ""),
            "PORT": one.get("PORT", ""),
            "PASSWORD": "[set]" if one.get("PASSWORD") else "[not set]",
        }
        for alias, one in settings.DATABASES.items()
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | None) else [str(one) for one in value]
