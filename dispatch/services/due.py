"""Due commands enter the outbox: their messages are built, signed and stored, never while they are SCHEDULED.

Edge cases (the concurrency policy):
- Two ticks at once skip each other's rows.
- Each connection has its own transaction and its own turn: what is wrong with one stops no other.
- A plant that moved since is commanded over the connection that it has now.
- A command that can't be built (its connection's key is gone or can't be decrypted) ends as CANCELLED with the reason:
  it must neither block the commands of others nor be retried for ever.
"""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import structlog
from django.db import DatabaseError, transaction

from dispatch.messages import Draft, NewId, Signer, build, signer_of
from dispatch.models import Command, Kind
from dispatch.requests import FAMILY
from dispatch.services.anew import CANNOT_BUILD
from dispatch.services.bulk import Among
from dispatch.services.life import Move, advance_many
from dispatch.services.outbox import insert_messages
from dispatch.states import State
from dispatch.telling import Locked
from plants.encryption import UndecryptableSecret
from plants.models import Connection
from vcp import ProtocolError

log = structlog.get_logger(__name__)
DUE_BATCH = 500


class Due(NamedTuple):
    """What a message is made of: a command and its plant, in the order of `_DUE_COLUMNS`."""

    pk: int
    connection_id: int
    kind: str
    payload: dict[str, Any]
    deliver_by_at: datetime | None
    plant_id: int
    connection_now_id: int | None
    external_plant_id: str
    voke_uuid: uuid.UUID | None
    organisation_id: int


_DUE_COLUMNS = (
    "pk", "connection_id", "kind", "payload", "deliver_by_at", "plant_id", "plant__connection_id",
    "plant__external_plant_id", "plant__voke_uuid", "organisation_id",
)  # fmt: skip


@transaction.atomic
def enqueue(*, commands: Sequence[Command], at: datetime, new_id: NewId) -> None:
    """Build, sign and store the messages of due commands of one connection and move them to QUEUED.

    Raises vcp.ProtocolError or UndecryptableSecret when one of them can't be built; nothing is stored then.
    """
    if not commands:
        return
    due = [_due_of(command) for command in commands]
    _put(due, connection=commands[0].connection, at=at, new_id=new_id, locked=None)
    for command in commands:
        command.state, command.state_at, command.cause = State.QUEUED, at, "DUE"


def _due_of(command: Command) -> Due:
    plant = command.plant
    return Due(
        pk=command.pk,
        connection_id=command.connection_id,
        kind=command.kind,
        payload=command.payload,
        deliver_by_at=command.deliver_by_at,
        plant_id=plant.pk,
        connection_now_id=plant.connection_id,
        external_plant_id=plant.external_plant_id,
        voke_uuid=plant.voke_uuid,
        organisation_id=command.organisation_id,
    )


def _put(
    due: Sequence[Due],
    *,
    connection: Connection,
    at: datetime,
    new_id: NewId,
    locked: Locked | None,
) -> None:
    """`locked`: the states of the commands where the caller has locked them."""
    signer = signer_of(connection)
    drafts = [(one.plant_id, one, _draft(signer, one, at, new_id)) for one in due]
    ids = insert_messages(connection=connection, drafts=drafts, at=at)
    moves = [
        Move(command_id=one.pk, to=State.QUEUED, cause="DUE", outbound_id=pk)
        for one, pk in zip(due, ids, strict=True)
    ]
    advance_many(moves=moves, at=at, locked=locked)


def _draft(signer: Signer, one: Due, at: datetime, new_id: NewId) -> Draft:
    family = FAMILY[Kind(one.kind)]
    return build(signer=signer, plant=one, family=family, payload=one.payload, at=at, new_id=new_id)


def queue_due(*, at: datetime, limit: int = DUE_BATCH, new_id: NewId = uuid.uuid4) -> int:
    """Tick: put due commands into the outbox, the most urgent first; expired ones end as EXPIRED.

    `limit` is each connection's own. Answers how many were handled; call again while it answers `limit` or more. Raises
    an ExceptionGroup, after all connections had their turn, when something unforeseen stopped one of them.
    """
    waiting = Command.objects.filter(state=State.SCHEDULED, due_at__lte=at).order_by("connection_id")
    handled, faults = 0, []
    for connection_id in list(waiting.values_list("connection_id", flat=True).distinct()):
        try:
            handled += _queue_connection(connection_id, at=at, limit=limit, new_id=new_id)
        except DatabaseError:  # nobody else would fare better
            raise
        except Exception as error:  # told at the end: whatever it is, it is this connection's
            log.exception("due commands not queued", action="due.failed", connection_id=connection_id)
            faults.append(error)
    if faults:
        raise ExceptionGroup("due commands of some connections were not queued", faults)
    return handled


@transaction.atomic
def _queue_connection(connection_id: int, *, at: datetime, limit: int, new_id: NewId) -> int:
    rows = (
        Command.objects.select_for_update(of=("self",), skip_locked=True)
        .filter(state=State.SCHEDULED, due_at__lte=at, connection_id=connection_id)
        .order_by("due_at", "pk")
    )
    due = [Due(*row) for row in rows.values_list(*_DUE_COLUMNS)[:limit]]
    gone = {one.pk for one in due if one.deliver_by_at is not None and one.deliver_by_at <= at}
    advance_many(
        moves=[Move(command_id=pk, to=State.EXPIRED, cause="DELIVER_BY_PASSED") for pk in sorted(gone)],
        at=at,
    )
    for now_id, group in _by_connection_now([one for one in due if one.pk not in gone]):
        put = partial(_put_locked, connection_id=now_id, at=at, new_id=new_id)
        _enqueue_group(group, put, at=at)
    return len(due)


def _put_locked(due: Sequence[Due], *, connection_id: int, at: datetime, new_id: NewId) -> None:
    """Of commands that were locked while they were SCHEDULED; what can't be built raises before anything is written."""
    locked = Locked((one.pk, State.SCHEDULED, one.plant_id, one.organisation_id, one.kind) for one in due)
    connection = Connection.objects.get(pk=connection_id)
    _put(due, connection=connection, at=at, new_id=new_id, locked=locked)


def _by_connection_now(due: Sequence[Due]) -> list[tuple[int, list[Due]]]:
    """Grouped by the connection that the plant has by now: it may have moved since the command was asked for."""
    groups: dict[int, list[Due]] = {}
    for one in due:
        groups.setdefault(one.connection_now_id or one.connection_id, []).append(one)
    for connection_id, group in groups.items():
        moved = [one.pk for one in group if one.connection_id != connection_id]
        if moved:
            Command.objects.filter(Among(moved)).update(connection_id=connection_id)
    return sorted(groups.items())


def _enqueue_group(due: Sequence[Due], put: Callable[[Sequence[Due]], None], *, at: datetime) -> None:
    """All of a connection's commands together; halved when that fails, down to the ones that can't be built."""
    try:
        put(due)
    except (ProtocolError, UndecryptableSecret) as error:
        if len(due) == 1:
            _give_up(due[0].pk, error, at=at)
            return
        middle = len(due) // 2
        _enqueue_group(due[:middle], put, at=at)
        _enqueue_group(due[middle:], put, at=at)


def _give_up(command_id: int, error: Exception, *, at: datetime) -> None:
    log.error(
        "command not built", action="due.unbuildable", command_id=command_id, error=type(error).__name__
    )
    move = Move(
        command_id=command_id, to=State.CANCELLED, cause=CANNOT_BUILD, detail={"error": str(error)[:400]}
    )
    advance_many(moves=[move], at=at)
