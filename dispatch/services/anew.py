"""Messages signed anew: same command and payload, new messageId, the same place in the order.

Edge cases (the concurrency policy):
- Only what was never attempted is replaced; an emergency that was attempted and given up is issued again. The caller
  holds the locks of the commands.
- Where a message of site config was noted as the one that tells it, its successor is noted instead; a note that the
  publisher works on at the moment is left alone (waiting could deadlock), and that config is published once more.
- A message that can't be built again (its signing key is gone) ends with its command; it never blocks the others.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from dispatch.messages import Draft, NewId, Signer, build, signer_of
from dispatch.models import OutboundMessage, Outcome, PublishedSiteConfig
from dispatch.services.life import Move, Note, advance_many, append_notes
from dispatch.services.outbox import RELAY, store_messages
from dispatch.states import State
from plants.encryption import UndecryptableSecret
from plants.models import Connection
from vcp import Family, ProtocolError

log = structlog.get_logger(__name__)
CANNOT_BUILD = "CANNOT_BUILD"


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why messages are signed anew: the detail that the old one keeps, and the cause in its command's history."""

    detail: str
    cause: str


TOO_OLD = Why(detail="grew too old", cause="REPLAY_MARGIN")


def sign_anew(
    rows: Sequence[OutboundMessage],
    *,
    connection: Connection,
    at: datetime,
    new_id: NewId,
    why: Why = TOO_OLD,
) -> dict[int, OutboundMessage]:
    """Put a newly signed message of `connection` into each row's place; answers them by the ids they replace."""
    if not rows:
        return {}
    replaced: list[OutboundMessage] = []
    drafts: list[Draft] = []
    broken: list[tuple[OutboundMessage, Exception]] = []
    try:
        signer = signer_of(connection)
    except (UndecryptableSecret, ProtocolError) as error:
        _give_up([(row, error) for row in rows], at)
        return {}
    full = OutboundMessage.objects.select_related("plant", "command").filter(pk__in=[row.pk for row in rows])
    for row in full.order_by("pk"):
        try:
            drafts.append(_built_again(row, signer=signer, at=at, new_id=new_id))
            replaced.append(row)
        except ProtocolError as error:
            broken.append((row, error))
    close([row for row in replaced if row.attempted_at is None], Outcome.REPLACED, why.detail, at)
    _give_up(broken, at)
    stored = store_messages(
        connection=connection,
        drafts=[(row.plant, row.command, draft) for row, draft in zip(replaced, drafts, strict=True)],
        at=at,
        places=[row.place or row.pk for row in replaced],
    )
    append_notes(notes=_reissued(stored, why), at=at)
    successors = {old.pk: new for old, new in zip(replaced, stored, strict=True)}
    _note_successors({old: new.pk for old, new in successors.items() if new.command_id is None})
    return successors


def _note_successors(successors: Mapping[int, int]) -> None:
    """{message: the one in its place} of site config."""
    if not successors:
        return
    rows = list(
        PublishedSiteConfig.objects.select_for_update(skip_locked=True)
        .filter(message_id__in=successors)
        .order_by("pk")
    )
    for row in rows:
        row.message_id = successors[row.message_id or 0]
    PublishedSiteConfig.objects.bulk_update(rows, ["message"])


def close(rows: Sequence[OutboundMessage], outcome: Outcome, detail: str, at: datetime) -> None:
    """End pending messages."""
    if rows:
        OutboundMessage.objects.filter(pk__in=[row.pk for row in rows], outcome=Outcome.PENDING).update(
            outcome=outcome, outcome_at=at, detail=detail
        )


def _reissued(stored: Sequence[OutboundMessage], why: Why) -> list[Note]:
    return [
        Note(
            command_id=message.command_id,
            word="REISSUED",
            cause=why.cause,
            actor=RELAY,
            detail={"messageId": str(message.message_id)},
            outbound_id=message.pk,
        )
        for message in stored
        if message.command_id is not None
    ]


def _built_again(row: OutboundMessage, *, signer: Signer, at: datetime, new_id: NewId) -> Draft:
    payload = json.loads(bytes(row.body))["payload"]
    return build(
        signer=signer, plant=row.plant, family=Family(row.family), payload=payload, at=at, new_id=new_id
    )


def _give_up(broken: Sequence[tuple[OutboundMessage, Exception]], at: datetime) -> None:
    untried = [(row, error) for row, error in broken if row.attempted_at is None]
    close([row for row, _ in untried], Outcome.WITHDRAWN, "could not be built again", at)
    moves = [
        Move(
            command_id=row.command_id,
            to=State.CANCELLED,
            cause=CANNOT_BUILD,
            actor=RELAY,
            detail={"error": str(error)[:400]},
            outbound_id=row.pk,
        )
        for row, error in untried
        if row.command_id is not None and not row.urgent  # an emergency stays queued: the tick tries again
    ]
    advance_many(moves=moves, at=at)
    for row, error in broken:
        log.error("message not built again", action="anew.unbuildable", outbound_id=row.pk, error=str(error))
