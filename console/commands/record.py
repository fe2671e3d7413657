"""The record of a command: every stored fact about it in the order of time, each entry chained to the one before.

An entry's hash is SHA-256 over the hash before it, a line feed, and the entry's own canonical text (JSON, keys sorted,
no spaces, UTF-8); the first one follows sixty-four zeros. So whoever keeps the last hash can tell later whether a copy
was changed, shortened or put in another order. The chain is computed when the record is made, from rows as they are
stored then: it proves nothing about what was done to the rows before that.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from console.commands import readings
from console.commands.life import Life
from console.commands.words import full_title
from dispatch.models import CommandEvent, Graded, OutboundMessage
from dispatch.signatures import check_signature
from plants.models import Connection, InboundMessage

FORMAT: Final = "command-record/1"
START: Final = "0" * 64
_RULE: Final = (
    "hash = SHA-256(prev + LF + entry without prev and hash, as UTF-8 JSON with sorted keys and no spaces)"
)
_PROVES: Final = (
    "This copy is whole and in order, as it was when it was made. Not: what happened to the rows before."
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry: its number, when, what kind, its facts, the hash before it and its own."""

    number: int
    at: datetime
    kind: str
    facts: Mapping[str, Any]
    before: str
    digest: str

    def to_json(self) -> dict[str, Any]:
        """As the record's file holds it."""
        return {
            **_content(self.number, self.at, self.kind, self.facts),
            "prev": self.before,
            "hash": self.digest,
        }


@dataclass(frozen=True, kw_only=True)
class RawMessage:
    """A message with its exact bytes."""

    key: str
    way: str
    family: str
    message_id: str
    at: datetime
    body: bytes
    signature: str

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.body)

    @property
    def sha256(self) -> str:
        """Of the exact bytes."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def text(self) -> str:
        """The bytes as text, for people."""
        return readings.raw(self.body)


@dataclass(frozen=True, kw_only=True)
class Record:
    """The whole record; `last` is the hash to keep."""

    life: Life
    entries: Sequence[Entry]
    messages: Sequence[RawMessage]

    @property
    def last(self) -> str:
        """The hash of the last entry."""
        return self.entries[-1].digest if self.entries else START

    def to_json(self) -> dict[str, Any]:
        """The file: what it is about, the chain, and how to check it."""
        command = self.life.command
        return {
            "format": FORMAT,
            "made_at": _time(self.life.at),
            "command": command.pk,
            "title": full_title(command),
            "plant": command.plant.external_plant_id,
            "chain": {
                "algorithm": "SHA-256",
                "rule": _RULE,
                "start": START,
                "last": self.last,
                "proves": _PROVES,
            },
            "entries": [entry.to_json() for entry in self.entries],
        }


def record_of(life: Life) -> Record:
    """Everything that is stored of a command, chained; three queries more than its life."""
    messages = _messages(life)
    facts = sorted(_facts(life, messages), key=lambda one: one[0])
    entries: list[Entry] = []
    before = START
    for number, (at, kind, told) in enumerate(facts, start=1):
        digest = digest_of(before, _content(number, at, kind, told))
        entries.append(Entry(number=number, at=at, kind=kind, facts=told, before=before, digest=digest))
        before = digest
    return Record(life=life, entries=entries, messages=messages)


def digest_of(before: str, content: Mapping[str, Any]) -> str:
    """The hash of an entry that follows another."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def _content(number: int, at: datetime, kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"n": number, "at": _time(at), "kind": kind, "facts": dict(facts)}


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _messages(life: Life) -> list[RawMessage]:
    """Every message with its bytes, oldest first."""
    connection_ids = {message.connection_id for message in life.messages}
    links = Connection.objects.defer("amqps_uri", "api_key").in_bulk(connection_ids)
    sent = OutboundMessage.objects.filter(command_id=life.command.pk).order_by("pk")
    heard_ids = {event.inbound_id for event in life.events if event.inbound_id is not None}
    heard = InboundMessage.objects.filter(
        pk__in=heard_ids, connection__organisation_id=life.command.organisation_id
    )
    found = [
        RawMessage(
            key=f"out-{row.pk}",
            way="out",
            family=row.family,
            message_id=str(row.message_id),
            at=row.made_at,
            body=bytes(row.body),
            signature=check_signature(message=row, connection=links[row.connection_id]).verdict.value,
        )
        for row in sent[: len(life.messages)]
    ]
    found += [
        RawMessage(
            key=f"in-{row.pk}",
            way="in",
            family=row.family,
            message_id=row.message_id,
            at=row.received_at,
            body=bytes(row.body),
            signature="",
        )
        for row in heard
    ]
    return sorted(found, key=lambda one: one.at)


_Fact = tuple[datetime, str, Mapping[str, Any]]


def _facts(life: Life, messages: Sequence[RawMessage]) -> Iterator[_Fact]:
    command = life.command
    yield (
        command.requested_at,
        "request",
        {
            "command": command.pk,
            "plant": command.plant.external_plant_id,
            "connection": command.connection.name,
            "kind": command.kind,
            "payload": command.payload,
            "requested_by": command.requested_by_name,
            "automatic": command.automatic,
            "reason": command.reason,
            "request_digest": command.request_digest,
        },
    )
    for event in life.events:
        yield event.at, "event", _of_event(event)
    for message in messages:
        told = {
            "key": message.key,
            "family": message.family,
            "message_id": message.message_id,
            "sha256": message.sha256,
            "body_base64": base64.b64encode(message.body).decode(),
        }
        yield message.at, f"message {message.way}", told
    for row in life.messages:
        if row.attempted_at is not None:
            yield row.attempted_at, "handed over", {"key": f"out-{row.pk}", "attempts": row.attempts}
    if life.proof is not None and life.proof.judged_at is not None:
        yield life.proof.judged_at, "measured", _of_proof(life.proof)
    diagnosis = life.diagnosis
    if diagnosis is not None and diagnosis.made_at is not None:
        yield (
            diagnosis.made_at,
            "diagnosed",
            {
                "silence": diagnosis.silence,
                "cause": diagnosis.cause,
                "confidence": diagnosis.confidence,
                "evidence": [
                    {name: one[name] for name in one if name != "said"} for one in diagnosis.evidence
                ],
            },
        )
    taken = life.retraction
    if taken is not None:
        by = {"by_command": taken.by_command_id, "asked_by": taken.asked_by_name, "reason": taken.reason}
        yield taken.asked_at, "taken back", {"how": taken.how} | by
    yield life.at, "state", {"state": command.state, "since": _time(command.state_at), "cause": command.cause}


def _of_event(event: CommandEvent) -> dict[str, Any]:
    return {
        "event": event.pk,
        "word": event.word,
        "verdict": event.verdict,
        "cause": event.cause,
        "actor": event.actor,
        "told_at": None if event.told_at is None else _time(event.told_at),
        "detail": event.detail,
        "message": f"in-{event.inbound_id}" if event.inbound_id is not None else None,
    }


def _of_proof(proof: Graded) -> dict[str, Any]:
    numbers = (
        "unit",
        "target",
        "measured",
        "off_by",
        "tolerance",
        "source",
        "coverage_pct",
        "samples",
        "hint",
    )
    return {"verdict": proof.verdict} | {name: getattr(proof, name) for name in numbers}
