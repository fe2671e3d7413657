"""The support bundle: one zip that says how an installation is, for somebody who can't look at it.

Versions, settings without secrets, health, last errors, commands in doubt, sizes. Bounded in size and in time. A part
that can't be made says so and the rest stands: with the database away the bundle still holds what needs none. Never in
it: bodies, keys, client secrets, tokens, passwords, e-mail addresses (`watch.support_redaction`).
"""

import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import Error

from plants.bounded import bounded_statements
from watch import support_database, support_installation
from watch.bounded import ask_database
from watch.support_redaction import Redactor, secrets_of_rows, secrets_of_settings

log = structlog.get_logger(__name__)
Gather = Callable[[datetime], Any]
STATEMENT_TIMEOUT_MS = 3000
WITHIN_S = 30.0
DATABASE_WAIT_S = 5.0
MEMBER_MAX = 2_000_000

OWN_PARTS: Mapping[str, Gather] = {
    "versions.json": support_installation.versions,
    "settings.json": support_installation.shown_settings,
}
DATABASE_PARTS: Mapping[str, Gather] = {
    "migrations.json": support_database.migrations,
    "links.json": support_database.links,
    "metrics.txt": support_database.numbers,
    "errors.json": support_database.errors,
    "dead_letters.json": support_database.dead_letters,
    "alarms.json": support_database.alarms,
    "commands_in_doubt.json": support_database.commands,
    "database.json": support_database.sizes,
}
_README = """Support bundle, made {made_at}.

Holds no bodies, keys, secrets, tokens, passwords or e-mail addresses; names of connections and organisations are in it.
What could not be gathered is listed here.

{problems}
"""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A made bundle: the zip, its members, and what could not be gathered (member: reason)."""

    content: bytes
    members: tuple[str, ...]
    problems: Mapping[str, str]


def make_bundle(*, at: datetime, monotonic: Callable[[], float] = time.monotonic) -> Bundle:
    """Gather everything that can be gathered within the time and pack it."""
    deadline = monotonic() + WITHIN_S
    problems: dict[str, str] = {}
    found: dict[str, Any] = {name: gather(at) for name, gather in OWN_PARTS.items()}
    secrets = secrets_of_settings()
    away = _why_away()
    if away is None:
        secrets |= _of_rows(problems)
    for name, gather in DATABASE_PARTS.items():
        if away is not None:
            problems[name] = f"the database is away: {away}"
        elif "secrets" in problems:
            problems[name] = "left out: what must be taken out of it could not be read"
        elif monotonic() > deadline:
            problems[name] = f"left out: {WITHIN_S:.0f} s were over"
        else:
            _gather(name, gather, at, found, problems)
    return _pack(found, problems, Redactor(secrets), at)


def _why_away() -> str | None:
    """None when the database answers, else the kind of its error: its text may hold addresses."""
    try:
        ask_database(wait_s=DATABASE_WAIT_S)
    except Error as error:
        return type(error).__name__
    return None


def _of_rows(problems: dict[str, str]) -> set[str]:
    try:
        with bounded_statements(timeout_ms=STATEMENT_TIMEOUT_MS):
            return secrets_of_rows()
    except Error as error:
        problems["secrets"] = type(error).__name__
        return set()


def _gather(name: str, gather: Gather, at: datetime, found: dict[str, Any], problems: dict[str, str]) -> None:
    try:
        with bounded_statements(timeout_ms=STATEMENT_TIMEOUT_MS):
            found[name] = gather(at)
    except Error as error:
        log.warning(
            "part of a support bundle left out", action="support.part", part=name, error=type(error).__name__
        )
        problems[name] = type(error).__name__


def _pack(found: Mapping[str, Any], problems: Mapping[str, str], redactor: Redactor, at: datetime) -> Bundle:
    texts = {
        name: redactor.clean_text(value)
        if isinstance(value, str)
        else json.dumps(redactor.clean(value), indent=1, ensure_ascii=False, default=str)
        for name, value in found.items()
    }
    said = (
        "\n".join(f"{name}: {reason}" for name, reason in sorted(problems.items()))
        or "Everything was gathered."
    )
    texts["README.txt"] = _README.format(made_at=at.isoformat(), problems=said)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(texts.items()):
            # By hand: the archive's own default would read the system's clock and make members readable for all.
            entry = zipfile.ZipInfo(name, date_time=at.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, text.encode("utf-8", "replace")[:MEMBER_MAX])
    return Bundle(content=buffer.getvalue(), members=tuple(sorted(texts)), problems=dict(problems))
