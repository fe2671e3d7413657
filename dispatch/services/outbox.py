"""The rows of the outbox: stored with their commands, taken back, closed when they have become pointless.

Claiming is in `dispatch.services.claim`, what the broker said in `dispatch.services.confirms`, what grew too old in
`dispatch.services.late`.

Edge cases (the concurrency policy of all four):
- Lock order is command before message wherever both are changed, and ids ascend within each.
- A claim commits `attempted_at` before any byte is handed over; a cancel that comes first finds no attempt and wins, a
  claim that comes first makes the cancel fail.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

from dispatch.bell import ring_after_commit, ring_all_after_commit
from dispatch.messages import Draft
from dispatch.models import Command, Kind, OutboundMessage, Outcome
from dispatch.services.bulk import Among, insert_rows
from dispatch.services.life import lock_states
from dispatch.states import BEFORE_SENT
from plants.models import Connection, Plant
from plants.texts import storable_text
from vcp import Family

RELAY = "relay"
_COLUMNS = (
    "connection_id", "plant_id", "command_id", "family", "routing_key", "message_id", "correlation_id", "body",
    "signed", "urgent", "made_at", "deliver_by_at", "place", "attempts", "outcome", "detail",
)  # fmt: skip


class Asked(Protocol):
    """What a message's row takes of its command; a whole Command has it too."""

    @property
    def pk(self) -> int: ...
    @property
    def deliver_by_at(self) -> datetime | None: ...


def insert_messages(
    *,
    connection: Connection,
    drafts: Sequence[tuple[int, Asked | None, Draft]],
    at: datetime,
    places: Sequence[int] | None = None,
) -> list[int]:
    """Put built messages into the outbox; their ids, in this order.

    `drafts`: the plant's id, the command where there is one, and the message.
    Call in the transaction that changes their commands.
    `places` are given with messages that take over the places of earlier ones.
    """
    return _insert(connection, _rows(connection, drafts, at, places))


def insert_messages_of_many(
    *, drafts: Sequence[tuple[int, int, Asked | None, Draft]], at: datetime
) -> list[int]:
    """`insert_messages` over many connections: of each message also the connection's id, before the plant's."""
    rows = [_row(link, plant, command, draft, at, None) for link, plant, command, draft in drafts]
    ids = insert_rows(OutboundMessage, _COLUMNS, rows, numbered=True)
    ring_all_after_commit({link for link, *_ in drafts})
    return ids


def _insert(connection: Connection, rows: Sequence[Sequence[Any]]) -> list[int]:
    ids = insert_rows(OutboundMessage, _COLUMNS, rows, numbered=True)
    ring_after_commit(connection.pk)
    return ids


def _rows(
    connection: Connection,
    drafts: Sequence[tuple[int, Asked | None, Draft]],
    at: datetime,
    places: Sequence[int] | None,
) -> list[tuple[Any, ...]]:
    taken = places if places is not None else [None] * len(drafts)
    return [
        _row(connection.pk, plant_id, command, draft, at, place)
        for (plant_id, command, draft), place in zip(drafts, taken, strict=True)
    ]


def _row(
    connection_id: int, plant_id: int, command: Asked | None, draft: Draft, at: datetime, place: int | None
) -> tuple[Any, ...]:
    """In the order of `_COLUMNS`."""
    return (
        connection_id,
        plant_id,
        None if command is None else command.pk,
        draft.family.value,
        draft.routing_key,
        draft.message_id,
        draft.correlation_id,
        draft.body,
        draft.signed,
        draft.family is Family.COMMAND_EMERGENCY,
        at,
        None if command is None else command.deliver_by_at,
        place,
        0,
        Outcome.PENDING.value,
        "",
    )


def store_messages(
    *,
    connection: Connection,
    drafts: Sequence[tuple[Plant, Command | None, Draft]],
    at: datetime,
    places: Sequence[int] | None = None,
) -> list[OutboundMessage]:
    """`insert_messages`, and the messages as they are stored, in the same order."""
    rows = _rows(connection, [(plant.pk, command, draft) for plant, command, draft in drafts], at, places)
    ids = _insert(connection, rows)
    return [
        OutboundMessage(id=pk, **dict(zip(_COLUMNS, row, strict=True)))
        for pk, row in zip(ids, rows, strict=True)
    ]


def lock_commands(rows: Iterable[OutboundMessage]) -> None:
    """Lock the commands of messages in order of their ids, before any message is locked."""
    lock_states({row.command_id for row in rows if row.command_id is not None})


def withdraw_unattempted(*, command_ids: Sequence[int], why: str, at: datetime) -> set[int]:
    """Take back what was never attempted; answers the commands of which nothing was or will be sent.

    Call with the commands locked. A message that a relay claimed meanwhile keeps its command out of the answer.
    """
    pending = OutboundMessage.objects.filter(command_id__in=command_ids, outcome=Outcome.PENDING)
    pending.filter(attempted_at__isnull=True).update(
        outcome=Outcome.WITHDRAWN, outcome_at=at, detail=why[:400]
    )
    attempted = set(
        OutboundMessage.objects.filter(command_id__in=command_ids, attempted_at__isnull=False).values_list(
            "command_id", flat=True
        )
    )
    return set(command_ids) - {pk for pk in attempted if pk is not None}


def unsent_commands(*, plant_ids: Collection[int], held_too: bool) -> list[Command]:
    """Commands of plants that may still be taken back, locked in order.

    Emergencies are not among them, except undelivered HOLDs when asked for (`held_too`).
    """
    rows = (
        Command.objects.select_for_update(of=("self",))
        .filter(Among(plant_ids, of="plant_id"), state__in=[state.value for state in BEFORE_SENT])
        .order_by("pk")
    )
    return [row for row in rows if row.kind != Kind.EMERGENCY or (held_too and row.payload["type"] == "HOLD")]


def close_answered(*, outbound_ids: Collection[int], command_ids: Collection[int], at: datetime) -> None:
    """Voke answered these messages: they arrived, and nothing else of their commands has to be sent any more.

    Call with the commands locked. Without this an answer that overtakes the broker's confirm would leave a message
    pending, and a relay that crashed meanwhile would send it again.
    """
    pending = OutboundMessage.objects.filter(command_id__in=command_ids, outcome=Outcome.PENDING)
    pending.filter(pk__in=outbound_ids, attempted_at__isnull=False).update(
        outcome=Outcome.CONFIRMED,
        outcome_at=at,
        detail="answered by Voke before the broker's confirm was known",
    )
    withdraw_siblings(command_ids=command_ids, at=at)


def close_answered_config(*, outbound_id: int, detail: str, at: datetime) -> None:
    """Voke spoke of a message that has no command (site config): it arrived, and what was said is kept with it."""
    rows = OutboundMessage.objects.filter(pk=outbound_id, command__isnull=True)
    rows.filter(outcome__in=[Outcome.PENDING, Outcome.ABANDONED], attempted_at__isnull=False).update(
        outcome=Outcome.CONFIRMED, outcome_at=at
    )
    rows.update(detail=storable_text(detail)[:400])


def withdraw_siblings(*, command_ids: Collection[int], at: datetime) -> None:
    """Another message of these commands arrived: what was never attempted is not needed. Commands must be locked."""
    OutboundMessage.objects.filter(
        command_id__in=command_ids, outcome=Outcome.PENDING, attempted_at__isnull=True
    ).update(outcome=Outcome.WITHDRAWN, outcome_at=at, detail="another message of the command arrived")
