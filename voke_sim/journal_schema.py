"""Tables of the journal and the rows that are written to them. Times are wire text, hence sortable."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY,
    received_at TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    family TEXT,
    message_id TEXT,
    correlation_id TEXT,
    site_id TEXT,
    verdict TEXT NOT NULL,
    code TEXT,
    detail TEXT
);
CREATE INDEX IF NOT EXISTS messages_by_id ON messages (message_id);
CREATE INDEX IF NOT EXISTS messages_by_site ON messages (site_id, received_at);
CREATE TABLE IF NOT EXISTS seen (
    message_id TEXT PRIMARY KEY,
    first_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    message_id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS effects_by_id ON effects (message_id);
CREATE TABLE IF NOT EXISTS targets (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    site_id TEXT NOT NULL,
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    target_kw REAL
);
CREATE TABLE IF NOT EXISTS published (
    seq INTEGER PRIMARY KEY,
    created_at TEXT NOT NULL,
    due_at TEXT NOT NULL,
    settled_at TEXT,
    state TEXT NOT NULL,
    copy INTEGER NOT NULL,
    swapped INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    correlation_id TEXT,
    family TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    site_id TEXT NOT NULL,
    label TEXT NOT NULL,
    detail TEXT NOT NULL,
    body BLOB
);
CREATE INDEX IF NOT EXISTS published_pending ON published (due_at, seq) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS published_swapped ON published (site_id) WHERE swapped = 1;
CREATE INDEX IF NOT EXISTS published_by_correlation ON published (correlation_id);
CREATE TABLE IF NOT EXISTS pulls (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    plant TEXT,
    status INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    etag TEXT,
    request_id TEXT,
    result_code TEXT,
    terminal INTEGER,
    update_id TEXT,
    detail TEXT
);
CREATE TABLE IF NOT EXISTS sites (
    site_id TEXT NOT NULL,
    part TEXT NOT NULL,
    state BLOB NOT NULL,
    saved_at TEXT NOT NULL,
    PRIMARY KEY (site_id, part)
) WITHOUT ROWID;
"""


class Judgement(StrEnum):
    """Verdicts of messages that get no ack status: what happened to a delivery."""

    APPLIED = "APPLIED"
    """A config or schedule message took effect."""
    MALFORMED = "MALFORMED"
    """No readable envelope, or a routing key of no family: rejected without requeue."""
    UNSIGNED = "UNSIGNED"
    """A family that must be signed came without signature: dropped silently."""
    BAD_SIGNATURE = "BAD_SIGNATURE"
    STALE = "STALE"
    """The timestamp is outside the replay tolerance: dropped silently."""
    DUPLICATE = "DUPLICATE"
    """The messageId was judged before: acknowledged, no second effect and no second ack."""
    UNKNOWN_SITE = "UNKNOWN_SITE"
    SILENCED = "SILENCED"
    """Ignored by a `silent` or `swallow` fault."""


class PublishedState(StrEnum):
    """What became of an event."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    RETURNED = "returned"
    """The broker had no queue for it."""
    DROPPED = "dropped"
    """Never sent, by a `drop` or `silent` fault."""
    EXPIRED = "expired"
    """Old telemetry given up during an outage."""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery; `verdict` is an ack status or a Judgement."""

    received_at: datetime
    routing_key: str
    verdict: str
    family: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    site_id: str | None = None
    code: str | None = None
    detail: str | None = None


class PublishedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event; `label` is its status word, `detail` the command type or the like."""

    message_id: str
    correlation_id: str | None
    family: str
    routing_key: str
    site_id: str
    label: str
    detail: str
    body: bytes | None
    state: str
    created_at: datetime
    due_at: datetime
    swapped: int = 0
    seq: int = 0


class PullRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the reverse channel; status 0 = no answer. No secret, token or body is kept."""

    at: datetime
    kind: str
    status: int
    latency_ms: int
    plant: str | None = None
    etag: str | None = None
    request_id: str | None = None
    result_code: str | None = None
    terminal: bool | None = None
    update_id: str | None = None
    detail: str | None = None
