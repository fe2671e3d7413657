"""A second bundle takes over, or a plant changes its connection: what is not sent yet follows the plant.

The old connection drains: what was attempted there is sent again there as the same bytes, within its replay margin,
until each message is settled. What was never attempted is signed anew with the new connection's key, in the same place
of its plant's order. ADR 9 says why; `dispatch.services.draining` ends it.

Edge cases (the concurrency policy):
- Locks are taken in the usual order: connections, plants, commands, messages; ids ascend within each.
- Between a plant's move and this step nothing new is sent for it on the old connection: a claim there looks at the
  plant's connection, and a claim on the new one waits for everything of the plant that stands before.
- A link that finds out later that no byte of an attempt left (`forget_attempts`) leaves a message that only the tick
  can bring to the new connection.
- Undelivered emergencies go at once on the new connection; what was attempted of them on the old one is given up.
- A command whose family the new key has no scope for ends as CANCELLED; an emergency is tried all the same.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery

from dispatch.messages import NewId
from dispatch.models import Command, Kind, OutboundMessage, Outcome
from dispatch.policy import Policy
from dispatch.services.anew import Why, close, sign_anew
from dispatch.services.emergency import undelivered_alarm_id
from dispatch.services.late import is_late
from dispatch.services.life import Move, advance_many
from dispatch.services.site_config import switch_connection
from dispatch.states import BEFORE_SENT, State
from plants.models import Connection, ConnectionMode
from plants.selectors.connections import SECRET_FIELDS
from plants.services.alarms import clear_platform_alarm
from plants.services.connections import may_send, set_connection_dispatch
from plants.services.succession import hand_over, lock_pair, lock_plants, move_plants
from vcp import Family

log = structlog.get_logger(__name__)
SCOPE_MISSING = "SCOPE_MISSING"
_MOVED = Why(detail="its plant moved to another connection", cause="CONNECTION_CHANGED")
_MOST_PLANTS = 500


@dataclass(kw_only=True)
class Followed:
    """What became of the unsent commands and messages of plants that changed their connection, by count."""

    scheduled: int = 0
    replaced: int = 0
    emergencies: int = 0
    draining: int = 0
    cancelled: int = 0

    def add(self, other: "Followed") -> None:
        """Take over what another connection's plants came to."""
        self.scheduled += other.scheduled
        self.replaced += other.replaced
        self.emergencies += other.emergencies
        self.draining += other.draining
        self.cancelled += other.cancelled


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """What a takeover did: plants moved, whether the new connection was switched to ACTIVE, and what followed."""

    plants: int
    activated: bool
    followed: Followed = field(default_factory=Followed)


@transaction.atomic
def take_over(
    *, old: Connection, new: Connection, at: datetime, policy: Policy, new_id: NewId = uuid.uuid4
) -> Takeover:
    """The connection `new` takes over all plants of `old`, which from now on only drains.

    `new` becomes ACTIVE when `old` is, and stays switched off when `old` is switched off: whether anything is published
    is not decided here. Raises `Conflict` (CONNECTION_SUCCEEDED, ANOTHER_ORGANISATION, TAKEOVER_OF_ITSELF,
    SIGNING_KEY_MISSING, SECRET_UNREADABLE, INVALID_SIGNING_KEY, VOKE_UUID_TAKEN); nothing is changed then.
    """
    before, after = lock_pair(old_id=old.pk, new_id=new.pk)
    plant_ids = move_plants(old_id=before.pk, new_id=after.pk)
    hand_over(old_id=before.pk, new_id=after.pk, at=at)
    activated = before.mode == ConnectionMode.ACTIVE and after.mode != ConnectionMode.ACTIVE
    if activated:
        switch_connection(connection=after, mode=ConnectionMode.ACTIVE, at=at)
    if not before.dispatch_enabled:
        set_connection_dispatch(connection_id=after.pk, enabled=False)
    followed = follow(plant_ids=plant_ids, at=at, policy=policy, new_id=new_id)
    log.info(
        "taken over", action="connection.takeover", old_id=before.pk, new_id=after.pk, plants=len(plant_ids)
    )
    return Takeover(plants=len(plant_ids), activated=activated, followed=followed)


def follow(
    *, plant_ids: Collection[int], at: datetime, policy: Policy, new_id: NewId = uuid.uuid4
) -> Followed:
    """What is unsent of these plants follows them to the connection that they have now; call with the plants locked."""
    commands, rows = _left_behind(plant_ids)
    found = Followed()
    for target in sorted({command.target for command in commands} | {row.target for row in rows}):
        move = _Move(
            connection=Connection.objects.defer(*SECRET_FIELDS).get(pk=target),
            at=at,
            policy=policy,
            new_id=new_id,
        )
        found.add(
            move.bring(
                commands=[command for command in commands if command.target == target],
                rows=[row for row in rows if row.target == target],
            )
        )
    return found


def _left_behind(plant_ids: Collection[int]) -> tuple[list[Any], list[Any]]:
    """(commands, pending messages) on another connection than their plant's, all locked; `target` is the plant's."""
    elsewhere = {"plant__in": plant_ids, "plant__connection__isnull": False}
    unsent = (
        Command.objects.filter(**elsewhere, state__in=[state.value for state in BEFORE_SENT])
        .exclude(connection=F("plant__connection"))
        .order_by("pk")
    )
    pending = (
        OutboundMessage.objects.filter(**elsewhere, outcome=Outcome.PENDING)
        .exclude(connection=F("plant__connection"))
        .order_by("pk")
    )
    ids = set(unsent.values_list("pk", flat=True)) | set(pending.values_list("command_id", flat=True))
    locked = Command.objects.select_for_update(of=("self",)).annotate(target=F("plant__connection"))
    commands = list(locked.filter(pk__in=ids - {None}).order_by("pk"))
    rows = list(pending.annotate(target=F("plant__connection")).select_for_update(of=("self",)))
    return commands, rows


@dataclass(frozen=True, kw_only=True)
class _Move:
    """Brings what plants left behind to the connection that they have now."""

    connection: Connection
    at: datetime
    policy: Policy
    new_id: NewId

    def bring(self, *, commands: Sequence[Command], rows: Sequence[OutboundMessage]) -> Followed:
        """Commands and their pending messages, all locked, of plants that are on this connection now."""
        queued = {command.pk: command for command in commands if command.state == State.QUEUED}
        urgent = [command for command in queued.values() if command.kind == Kind.EMERGENCY]
        attempted = [row for row in rows if row.attempted_at is not None and not row.urgent]
        free = [row for row in rows if row.attempted_at is None and not row.urgent]
        config = [row for row in free if row.command_id is None]
        # The next tick makes topology and limits anew, for this connection.
        close(config, Outcome.REPLACED, _MOVED.detail, self.at)
        valid = [row for row in free if row.command_id in queued and not is_late(row, self.at)]
        allowed = [row for row in valid if self._may_send(row)]
        refused = [row for row in valid if not self._may_send(row)]
        self._cancel(refused)
        anew = sign_anew(allowed, connection=self.connection, at=self.at, new_id=self.new_id, why=_MOVED)
        self._issue(urgent, rows)
        scheduled = [command.pk for command in commands if command.state == State.SCHEDULED]
        moved = [row.command_id for row in anew.values() if row.command_id is not None]
        self._take([*scheduled, *moved, *(command.pk for command in urgent)])
        return Followed(
            scheduled=len(scheduled),
            replaced=len(anew),
            emergencies=len(urgent),
            draining=len(attempted),
            cancelled=len(refused),
        )

    def _may_send(self, row: OutboundMessage) -> bool:
        return may_send(self.connection, Family(row.family), emergency_scope=self.policy.emergency_scope)

    def _cancel(self, rows: Sequence[OutboundMessage]) -> None:
        close(rows, Outcome.WITHDRAWN, "the plant's new connection has no scope for it", self.at)
        advance_many(
            moves=[
                Move(command_id=row.command_id, to=State.CANCELLED, cause=SCOPE_MISSING, outbound_id=row.pk)
                for row in rows
                if row.command_id is not None
            ],
            at=self.at,
        )

    def _issue(self, commands: Sequence[Command], rows: Sequence[OutboundMessage]) -> None:
        """Emergencies go at once on this connection, whatever became of them on the other one."""
        ids = [command.pk for command in commands]
        pending = [row for row in rows if row.command_id in set(ids)]
        close(
            [row for row in pending if row.attempted_at is not None],
            Outcome.ABANDONED,
            _MOVED.detail,
            self.at,
        )
        newest = OutboundMessage.objects.filter(command=OuterRef("pk")).order_by("-pk").values("pk")[:1]
        last = (
            Command.objects.filter(pk__in=ids).annotate(last=Subquery(newest)).values_list("last", flat=True)
        )
        sign_anew(
            list(OutboundMessage.objects.filter(pk__in=list(last)).order_by("pk")),
            connection=self.connection,
            at=self.at,
            new_id=self.new_id,
            why=_MOVED,
        )
        for command in commands:
            # Raised anew for this connection by the next tick, should it stay undelivered.
            clear_platform_alarm(
                connection_id=command.connection_id, alarm_id=undelivered_alarm_id(command), at=self.at
            )

    def _take(self, command_ids: Sequence[int]) -> None:
        Command.objects.filter(pk__in=command_ids).update(connection=self.connection)


# --- afterwards ------------------------------------------------------------------------------------------------------


def follow_moved(
    *, at: datetime, policy: Policy, limit: int = _MOST_PLANTS, new_id: NewId = uuid.uuid4
) -> int:
    """Tick: bring what is unsent after plants that changed their connection; answers how many plants."""
    pending = (
        OutboundMessage.objects.filter(
            Q(attempted_at__isnull=True) | Q(urgent=True),
            outcome=Outcome.PENDING,
            plant__connection__isnull=False,
        )
        .exclude(connection=F("plant__connection"))
        .order_by("plant_id")
        .values_list("plant_id", flat=True)
        .distinct()
    )
    plant_ids = list(pending[:limit])
    if not plant_ids:
        return 0
    with transaction.atomic():
        lock_plants(plant_ids=plant_ids)
        follow(plant_ids=plant_ids, at=at, policy=policy, new_id=new_id)
    return len(plant_ids)
