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

import structlog
from django.db import DatabaseError, transaction

from dispatch.messages import NewId, build, signer_of
from dispatch.models import Command, Kind
from dispatch.requests import FAMILY
from dispatch.services.anew import CANNOT_BUILD
from dispatch.services.life import Move, advance_many
from dispatch.services.outbox import insert_messages
from dispatch.states import State
from plants.encryption import UndecryptableSecret
from plants.models import Connection
from plants.selectors.connections import SECRET_FIELDS
from vcp import ProtocolError

log = structlog.get_logger(__name__)
DUE_BATCH = 500
_PLANT_COLUMNS = ("plant__connection", "plant__external_plant_id", "plant__voke_uuid")


@transaction.atomic
def enqueue(*, commands: Sequence[Command], at: datetime, new_id: NewId) -> None:
    """Build, sign and store the messages of due commands of one connection and move them to QUEUED.

    Raises vcp.ProtocolError or UndecryptableSecret when one of them can't be built; nothing is stored then.
    """
    if not commands:
        return
    connection = commands[0].connection
    signer = signer_of(connection)
    drafts = [
        (
            command.plant,
            command,
            build(
                signer=signer,
                plant=command.plant,
                family=FAMILY[Kind(command.kind)],
                payload=command.payload,
                at=at,
                new_id=new_id,
            ),
        )
        for command in commands
    ]
    ids = insert_messages(connection=connection, drafts=drafts, at=at)
    moves = [
        Move(command_id=command.pk, to=State.QUEUED, cause="DUE", outbound_id=pk)
        for command, pk in zip(commands, ids, strict=True)
    ]
    advance_many(moves=moves, at=at)
    for command in commands:
        command.state, command.state_at, command.cause = State.QUEUED, at, "DUE"


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
    due = list(
        Command.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("plant")
        # Only what a message is made of; the connection and its secrets are read when something is signed.
        .only("kind", "payload", "deliver_by_at", "connection", *_PLANT_COLUMNS)
        .filter(state=State.SCHEDULED, due_at__lte=at, connection_id=connection_id)
        .order_by("due_at", "pk")[:limit]
    )
    gone = {row.pk for row in due if row.deliver_by_at is not None and row.deliver_by_at <= at}
    advance_many(
        moves=[Move(command_id=pk, to=State.EXPIRED, cause="DELIVER_BY_PASSED") for pk in sorted(gone)],
        at=at,
    )
    for group in _by_connection_now([command for command in due if command.pk not in gone]):
        _enqueue_group(group, lambda some: enqueue(commands=some, at=at, new_id=new_id), at=at)
    return len(due)


def _by_connection_now(commands: Sequence[Command]) -> list[list[Command]]:
    """Grouped by the connection that the plant has by now: it may have moved since the command was asked for."""
    groups: dict[int, list[Command]] = {}
    for command in commands:
        groups.setdefault(command.plant.connection_id or command.connection_id, []).append(command)
    for connection_id, group in groups.items():
        moved = [command for command in group if command.connection_id != connection_id]
        if moved:
            connection = Connection.objects.defer(*SECRET_FIELDS).get(pk=connection_id)
            Command.objects.filter(pk__in=[command.pk for command in moved]).update(connection=connection)
            for command in moved:
                command.connection = connection
    return [group for _, group in sorted(groups.items())]


def _enqueue_group(
    commands: Sequence[Command], put: Callable[[Sequence[Command]], None], *, at: datetime
) -> None:
    """All of a connection's commands together; halved when that fails, down to the ones that can't be built."""
    try:
        put(commands)
    except (ProtocolError, UndecryptableSecret) as error:
        if len(commands) == 1:
            _give_up(commands[0], error, at=at)
            return
        middle = len(commands) // 2
        _enqueue_group(commands[:middle], put, at=at)
        _enqueue_group(commands[middle:], put, at=at)


def _give_up(command: Command, error: Exception, *, at: datetime) -> None:
    log.error(
        "command not built", action="due.unbuildable", command_id=command.pk, error=type(error).__name__
    )
    move = Move(
        command_id=command.pk, to=State.CANCELLED, cause=CANNOT_BUILD, detail={"error": str(error)[:400]}
    )
    advance_many(moves=[move], at=at)
