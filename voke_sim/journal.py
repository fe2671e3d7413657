"""The stand-in's memory on disk: what was received, what it did, what was said, and what the plants were
doing.

One SQLite file (or memory). A tick of the engine is one transaction: a message's verdict, its effect and
the events that it causes are stored together, before the message is acknowledged and before anything is
published. After a crash the message is delivered again and found here; events without confirmation are sent
again as the same bytes.

An outside checker may open the file: nothing was lost when every sent messageId is in `messages`, nothing
was done twice when no messageId has two rows in `effects`. No table forces that: it records what happened.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec

from vcp import format_timestamp
from voke_sim.journal_schema import SCHEMA, PublishedRow, PullRow, Received


class Journal:
    """Thread-safe; every method joins the caller's `transaction`, or is one of its own."""

    def __init__(self, path: str) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        # A received message is acknowledged on the strength of this file: it must survive a power cut too.
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is stored at its end, or nothing is. Not to be nested."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # Received -------------------------------------------------------------------------------------------

    def record_message(self, received: Received) -> None:
        """One delivery and its verdict; a duplicate gets a row of its own."""
        values = msgspec.structs.asdict(received)
        values["received_at"] = format_timestamp(received.received_at)
        self._insert("messages", values)

    def is_known(self, message_id: str) -> bool:
        """Whether that message was accepted for judgement before."""
        return self._one("SELECT 1 FROM seen WHERE message_id = ?", message_id) is not None

    def remember(self, message_id: str, at: datetime) -> None:
        """From now on a message of that id is a duplicate."""
        self._insert("seen", {"message_id": message_id, "first_at": format_timestamp(at)})

    def record_effect(
        self, *, message_id: str, site_id: str, kind: str, detail: Mapping[str, Any], at: datetime
    ) -> None:
        """A message changed what a site does."""
        self._insert(
            "effects",
            {
                "message_id": message_id,
                "site_id": site_id,
                "kind": kind,
                "detail": msgspec.json.encode(detail).decode(),
                "at": format_timestamp(at),
            },
        )

    def record_target(
        self, *, site_id: str, source: str, key: str, target_kw: float | None, at: datetime
    ) -> None:
        """A site follows another target from now on; `source` tells what kind, `key` which one."""
        self._insert(
            "targets",
            {
                "at": format_timestamp(at),
                "site_id": site_id,
                "source": source,
                "key": key,
                "target_kw": target_kw,
            },
        )

    # Published ------------------------------------------------------------------------------------------

    def record_published(self, row: PublishedRow, *, copies: int = 1) -> None:
        """An event to be published (or, by its `state`, never to be)."""
        values = msgspec.structs.asdict(row)
        values.pop("seq")
        values["created_at"] = format_timestamp(row.created_at)
        values["due_at"] = format_timestamp(row.due_at)
        for copy in range(copies):
            self._insert("published", {**values, "copy": copy})

    def due(self, at: datetime, limit: int) -> list[PublishedRow]:
        """Pending events whose time has come, in the order of their sending."""
        rows = self._all(
            "SELECT seq, message_id, correlation_id, family, routing_key, site_id, label, detail, body, state "
            "FROM published WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
            format_timestamp(at),
            limit,
        )
        return [PublishedRow(**dict(row), created_at=at, due_at=at) for row in rows]

    def settle_published(self, seqs: Sequence[int], state: str, at: datetime) -> None:
        """The broker's word on events; the body of confirmed telemetry is given up, it is the bulk."""
        with self._lock:
            self._connection.executemany(
                "UPDATE published SET state = ?, settled_at = ?, body = CASE "
                "WHEN family LIKE 'event.telemetry.%' THEN NULL ELSE body END WHERE seq = ?",
                [(state, format_timestamp(at), seq) for seq in seqs],
            )

    def release_swapped(self, site_id: str, at: datetime) -> None:
        """Let the site's held-back events go right after what is due at `at`."""
        self._run(
            "UPDATE published SET swapped = 0, due_at = ? WHERE site_id = ? AND swapped = 1 AND state = 'pending'",
            format_timestamp(at + timedelta(milliseconds=1)),
            site_id,
        )

    def drop_stale_telemetry(self, keep: int, at: datetime) -> int:
        """Give up the oldest pending telemetry beyond `keep` rows, so that a long outage stays bounded."""
        return self._run(
            "UPDATE published SET state = 'expired', settled_at = ?, body = NULL WHERE seq IN ("
            "SELECT seq FROM published WHERE state = 'pending' AND family LIKE 'event.telemetry.%' "
            "ORDER BY seq DESC LIMIT -1 OFFSET ?)",
            format_timestamp(at),
            keep,
        )

    # Reverse channel and sites --------------------------------------------------------------------------

    def record_pull(self, pull: PullRow) -> None:
        """One request of the reverse channel."""
        self._insert("pulls", {**msgspec.structs.asdict(pull), "at": format_timestamp(pull.at)})

    def save_site(self, site_id: str, part: str, state: bytes, at: datetime) -> None:
        """A site's state; `part` is `orders` or `plant`."""
        self._run(
            "INSERT INTO sites (site_id, part, state, saved_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (site_id, part) DO UPDATE SET state = excluded.state, saved_at = excluded.saved_at",
            site_id,
            part,
            state,
            format_timestamp(at),
        )

    def load_site(self, site_id: str, part: str) -> bytes | None:
        """A site's state as saved last, or None."""
        row = self._one("SELECT state FROM sites WHERE site_id = ? AND part = ?", site_id, part)
        return None if row is None else bytes(row["state"])

    # Reading --------------------------------------------------------------------------------------------

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """The rows of a SELECT, for summaries, tests and checkers."""
        return [dict(row) for row in self._all(query, *values)]

    def prune(self, before: datetime) -> int:
        """Forget what is older; open events stay until they are settled."""
        limit = format_timestamp(before)
        return sum(
            self._run(f"DELETE FROM {table} WHERE {column} < ?{condition}", limit)  # noqa: S608 - constants
            for table, column, condition in (
                ("messages", "received_at", ""),
                ("seen", "first_at", ""),
                ("effects", "at", ""),
                ("targets", "at", ""),
                ("published", "created_at", " AND state <> 'pending'"),
                ("pulls", "at", ""),
            )
        )

    def _insert(self, table: str, values: Mapping[str, Any]) -> None:
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - names of ours
        self._run(statement, *values.values())

    def _run(self, statement: str, *values: object) -> int:
        with self._lock:
            return self._connection.execute(statement, values).rowcount

    def _one(self, query: str, *values: object) -> sqlite3.Row | None:
        with self._lock:
            row: sqlite3.Row | None = self._connection.execute(query, values).fetchone()
            return row

    def _all(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()
