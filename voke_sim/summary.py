"""Counts over the journal: what a demo prints and a checker compares."""

from collections import defaultdict
from typing import Any, TypedDict

from voke_sim.journal import Journal


class Counts(TypedDict):
    """How often what happened since the journal began."""

    pulls: dict[str, dict[str, int]]
    """Requests of the reverse channel: kind (token, list, config, update) -> HTTP status ("0" = no
    answer).
    """
    updates: dict[str, int]
    """Config updates by result code."""
    commands: dict[str, dict[str, int]]
    """Received messages: family -> verdict (an ack status, or a `Judgement`). Malformed ones stand
    under "".
    """
    executions: dict[str, dict[str, int]]
    """Execution events: command type -> status."""
    published: dict[str, dict[str, int]]
    """Events by family -> state (confirmed, pending, returned, dropped, expired)."""
    alarms: dict[str, int]
    """Alarm events: raised, cleared."""
    effects: int
    """Messages that changed what a site does."""
    effects_doubled: int
    """messageIds with more than one effect: must be 0."""
    duplicates: int
    """Deliveries of a known messageId."""
    unconfirmed: int
    """Events still to be confirmed by the broker."""


def count(journal: Journal) -> Counts:
    """The counts of a journal."""
    return Counts(
        pulls=_nested(journal, "SELECT kind, status, COUNT(*) AS n FROM pulls GROUP BY 1, 2"),
        updates=_flat(
            journal,
            "SELECT result_code, COUNT(*) AS n FROM pulls WHERE result_code IS NOT NULL GROUP BY 1",
        ),
        commands=_nested(journal, "SELECT family, verdict, COUNT(*) AS n FROM messages GROUP BY 1, 2"),
        executions=_nested(
            journal,
            "SELECT detail, label, COUNT(*) AS n FROM published "
            "WHERE family = 'event.execution' AND copy = 0 GROUP BY 1, 2",
        ),
        published=_nested(journal, "SELECT family, state, COUNT(*) AS n FROM published GROUP BY 1, 2"),
        alarms=_flat(
            journal,
            "SELECT label, COUNT(*) AS n FROM published WHERE family = 'event.alarm' AND copy = 0 GROUP BY 1",
        ),
        effects=_one(journal, "SELECT COUNT(*) AS n FROM effects"),
        effects_doubled=_one(
            journal,
            "SELECT COUNT(*) AS n FROM (SELECT 1 FROM effects GROUP BY message_id HAVING COUNT(*) > 1)",
        ),
        duplicates=_one(journal, "SELECT COUNT(*) AS n FROM messages WHERE verdict = 'DUPLICATE'"),
        unconfirmed=_one(journal, "SELECT COUNT(*) AS n FROM published WHERE state = 'pending'"),
    )


def _nested(journal: Journal, query: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in journal.rows(query):
        outer, inner, n = row.values()
        found[_word(outer)][_word(inner)] = n
    return dict(found)


def _flat(journal: Journal, query: str) -> dict[str, int]:
    return {_word(word): n for word, n in (row.values() for row in journal.rows(query))}


def _one(journal: Journal, query: str) -> int:
    [row] = journal.rows(query)
    return int(row["n"])


def _word(value: Any) -> str:
    return "" if value is None else str(value)
