"""Emergencies for a selection of plants: counted before, sent as one order, followed plant by plant, released as one.

Who asks sees the count and hands back its token (a digest of the plants' ids): when the selection is another one by
then, nothing is sent. The order and all its plants are stored first; then the emergencies go out in batches, each one
transaction with a constant number of statements: latches, commands, messages, and the taking back of what is unsent.

Edge cases (the concurrency policy):
- A crash between two batches: the tick goes on with what waits. Tick and request work side by side: a plant's row of
  the order is claimed with SKIP LOCKED, and plants are locked in the order of their ids.
- One plant that can't be commanded (a switch is off, no connection, its message can't be built, a HOLD under a STOP)
  keeps its reason in its row and stops nobody.
- A plant that was latched by somebody else before gets the emergency too, but keeps the latch of that other one:
  releasing the order does not release it.
- A release ends the order first: what still waits is not sent any more. Latches of the order are then released in
  batches, by the tick after a crash too.
- The same key makes one order; with it another order can't be asked for.
- `noted` is called with the order where it is stored or released, in that transaction: whoever keeps a book of acts
  writes there, and neither the act nor its entry is ever without the other.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, QuerySet, Subquery

from dispatch.messages import NewId
from dispatch.models import Command, EmergencyLatch, EmergencyOrder, OrderedPlant
from dispatch.policy import Policy
from dispatch.requests import Actor, CommandRequest
from dispatch.rules import check_request
from dispatch.scope_words import stored_scope
from dispatch.services.bulk import Among, insert_rows
from dispatch.services.commands import Submitted
from dispatch.services.emergency import released_request, take_back_all_unsent, withdraw_undelivered
from dispatch.services.following import follow_releases
from dispatch.services.many import Answer, plants_to_command, store_many
from dispatch.services.undoing import cut_reason, record_refused
from dispatch.telling import tell_latches
from plants.errors import Conflict, Invalid, NotFound, Several
from plants.models import Connection, Plant
from vcp import Emergency, EmergencyType
from vcp.said import said

Noted = Callable[[EmergencyOrder], object]
BATCH = 500
MOST_PLANTS = 100_000
RELEASED = "RELEASED"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which plants of an organisation are meant: these, all of a connection, or (neither given) all."""

    plant_ids: frozenset[int] | None = None
    connection_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How many plants a selection has, in words whose, and the token that an order must repeat."""

    count: int
    scope: str
    token: str


def count_selection(*, organisation_id: int, selection: Selection) -> Counted:
    """What an emergency for the selection would reach. Raises `Invalid` (TOO_MANY, NOTHING_SELECTED)."""
    ids = _ids_of(organisation_id, selection)
    return Counted(count=len(ids), scope=_scope_of(selection, len(ids)), token=_token_of(ids))


def _ids_of(organisation_id: int, selection: Selection) -> list[int]:
    rows = Plant.objects.filter(organisation_id=organisation_id)
    if selection.plant_ids is not None:
        rows = rows.filter(Among(selection.plant_ids))
    if selection.connection_id is not None:
        rows = rows.filter(connection_id=selection.connection_id)
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[: MOST_PLANTS + 1])
    if not ids:
        raise Invalid(said("no plant is selected"), path="selection", code="NOTHING_SELECTED")
    if len(ids) > MOST_PLANTS:
        raise Invalid(said("more than %(n)s plants", n=MOST_PLANTS), path="selection", code="TOO_MANY")
    return ids


def _scope_of(selection: Selection, count: int) -> str:
    if selection.plant_ids is not None:
        return stored_scope(selected=count, connection_name=None)
    of = selection.connection_id
    name = None if of is None else Connection.objects.values_list("name", flat=True).get(pk=of)
    return stored_scope(selected=None, connection_name=name)


def _token_of(ids: Sequence[int]) -> str:
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()


def send_order(
    *,
    organisation_id: int,
    selection: Selection,
    token: str,
    type: EmergencyType,
    reason: str,
    key: str,
    actor: Actor,
    at: datetime,
    policy: Policy,
    new_id: NewId = uuid.uuid4,
    noted: Noted = lambda _order: None,
) -> EmergencyOrder:
    """Stop or hold every plant of the selection; `token` as it was counted, `key` makes a repetition harmless.

    Raises `Conflict` (SELECTION_CHANGED, IDEMPOTENCY_KEY_REUSED) or `Invalid` (the reason, NOTHING_SELECTED, TOO_MANY).
    """
    if not reason.strip():
        raise Invalid(said("an emergency needs a reason"), path="reason", code="REASON_REQUIRED")
    known = EmergencyOrder.objects.filter(organisation_id=organisation_id, key=key).first()
    if known is not None:
        return _same(known, type, reason, token)
    _check_words(type, reason)
    try:
        with transaction.atomic():
            order = _store_order(organisation_id, selection, token, type, reason, key, actor, at)
            noted(order)
    except IntegrityError:  # the same key at once
        known = EmergencyOrder.objects.get(organisation_id=organisation_id, key=key)
        return _same(known, type, reason, token)
    while _send_batch(order, actor=actor, at=at, policy=policy, new_id=new_id):
        pass
    return order


def _same(known: EmergencyOrder, type: EmergencyType, reason: str, token: str) -> EmergencyOrder:
    ids = OrderedPlant.objects.filter(order=known).order_by("plant_id").values_list("plant_id", flat=True)
    if (known.type, known.reason, _token_of(list(ids))) != (type.value, reason[:500], token):
        raise Conflict(said("the key was used for another order"), path="key", code="IDEMPOTENCY_KEY_REUSED")
    return known


def _check_words(type: EmergencyType, reason: str) -> None:
    """What is wrong with the order in itself is told at once, not plant by plant; a long reason is cut for Voke."""
    problems = check_request(
        CommandRequest(
            external_plant_id="-", payload=Emergency(type=type, reason=cut_reason(reason)), reason=reason
        )
    )
    if problems:
        raise Several(problems)


def _store_order(
    organisation_id: int,
    selection: Selection,
    token: str,
    type: EmergencyType,
    reason: str,
    key: str,
    actor: Actor,
    at: datetime,
) -> EmergencyOrder:
    ids = _ids_of(organisation_id, selection)
    if _token_of(ids) != token:
        raise Conflict(
            said("the selection has changed: it has %(count)s plants now", count=len(ids)),
            path="selection",
            code="SELECTION_CHANGED",
        )
    order = EmergencyOrder.objects.create(
        organisation_id=organisation_id,
        type=type.value,
        reason=reason[:500],
        scope=_scope_of(selection, len(ids)),
        asked=len(ids),
        made_at=at,
        made_by=actor.user,
        made_by_name=actor.name[:150],
        key=key,
    )
    rows = [(order.pk, pk, None, None, "", "") for pk in ids]
    insert_rows(OrderedPlant, ("order_id", "plant_id", "command_id", "decided_at", "refusal", "detail"), rows)
    return order


# --- a batch of emergencies ---------------------------------------------------------------------------------------


@transaction.atomic
def _send_batch(order: EmergencyOrder, *, actor: Actor, at: datetime, policy: Policy, new_id: NewId) -> int:
    """Send the next emergencies of an order; how many plants were decided."""
    waiting = OrderedPlant.objects.select_for_update(of=("self",), skip_locked=True).filter(
        order=order, decided_at__isnull=True
    )
    if not (rows := list(waiting.order_by("plant_id")[:BATCH])):
        return 0
    plants = {plant.pk: plant for plant in _locked([row.plant_id for row in rows])}
    asked = [(plants[row.plant_id], _request_of(order, plants[row.plant_id])) for row in rows]
    answers = store_many(asked=asked, actor=actor, at=at, policy=policy, new_id=new_id, latches=True)
    winners = {
        row.plant_id: answer.command.pk
        for row, answer in zip(rows, answers, strict=True)
        if isinstance(answer, Submitted)
    }
    _latch(order, winners, actor, at)
    take_back_all_unsent(winners, stops=order.type == EmergencyType.STOP, at=at)
    _write_down(rows, answers, winners, at)
    return len(rows)


def _locked(plant_ids: Sequence[int]) -> QuerySet[Plant]:
    return plants_to_command().filter(Among(plant_ids))


def _request_of(order: EmergencyOrder, plant: Plant) -> CommandRequest:
    return CommandRequest(
        external_plant_id=plant.external_plant_id,
        payload=Emergency(type=EmergencyType(order.type), reason=cut_reason(order.reason)),
        reason=order.reason,
        batch_ref=order_ref(order.pk),
    )


def order_ref(order_id: int) -> str:
    """The batch reference of an order's commands."""
    return f"order:{order_id}"


def _latch(order: EmergencyOrder, winners: Mapping[int, int], actor: Actor, at: datetime) -> None:
    """A latch for each plant that has none; a STOP strengthens a HOLD that somebody else set, and leaves it theirs."""
    stood = EmergencyLatch.objects.select_for_update(of=("self",)).filter(
        Among(winners, of="plant_id"), released_at__isnull=True
    )
    latches = list(stood.order_by("pk"))
    weaker = [latch for latch in latches if latch.type == EmergencyType.HOLD]
    for latch in weaker:
        latch.command_id, latch.type = winners[latch.plant_id], order.type
    if weaker:
        EmergencyLatch.objects.bulk_update(weaker, ["command", "type"])
    has = {latch.plant_id for latch in latches}
    columns = (
        "plant_id", "command_id", "order_id", "type", "set_at", "set_by_name", "released_by_name", "release_reason",
    )  # fmt: skip
    insert_rows(
        EmergencyLatch,
        columns,
        [
            (plant_id, command_id, order.pk, order.type, at, actor.name[:150], "", "")
            for plant_id, command_id in winners.items()
            if plant_id not in has
        ],
    )
    tell_latches(dict.fromkeys(winners, order.organisation_id), is_set=True, at=at, kind=order.type)


def _write_down(
    rows: Sequence[OrderedPlant], answers: Sequence[Answer], winners: Mapping[int, int], at: datetime
) -> None:
    """One update for the plants that were commanded, and one for each reason why others were not."""
    refused: dict[tuple[str, str], list[int]] = {}
    for row, answer in zip(rows, answers, strict=True):
        if not isinstance(answer, Submitted):
            refused.setdefault((answer.code[:64], answer.message[:400]), []).append(row.pk)
    its_own = Command.objects.filter(Among(winners.values()), plant_id=OuterRef("plant_id")).values("pk")[:1]
    commanded = [row.pk for row in rows if row.plant_id in winners]
    OrderedPlant.objects.filter(Among(commanded)).update(decided_at=at, command_id=Subquery(its_own))
    for (code, message), ids in refused.items():
        OrderedPlant.objects.filter(Among(ids)).update(decided_at=at, refusal=code, detail=message)


# --- one release --------------------------------------------------------------------------------------------------


def release_order(
    *,
    organisation_id: int,
    order_id: int,
    actor: Actor,
    reason: str,
    at: datetime,
    policy: Policy,
    new_id: NewId = uuid.uuid4,
    noted: Noted = lambda _order: None,
) -> EmergencyOrder:
    """Release every latch that the order set, and send those plants their base mode.

    Raises `Invalid` without a reason, `NotFound`, or `Conflict` (ALREADY_RELEASED).
    """
    if not reason.strip():
        raise Invalid(said("a release needs a reason"), path="reason", code="REASON_REQUIRED")
    with transaction.atomic():
        # Not its key: a batch that is under way refers to the order, and would wait for us while we wait for it.
        rows = EmergencyOrder.objects.select_for_update(of=("self",), no_key=True)
        order = rows.filter(organisation_id=organisation_id, pk=order_id).first()
        if order is None:
            raise NotFound(said("no such order"), path="order", code="ORDER_NOT_FOUND")
        if order.released_at is not None:
            raise Conflict(said("the order is released already"), code="ALREADY_RELEASED")
        order.released_at, order.released_by_name, order.release_reason = at, actor.name[:150], reason[:500]
        order.save(update_fields=["released_at", "released_by_name", "release_reason"])
        OrderedPlant.objects.filter(order=order, decided_at__isnull=True).update(
            decided_at=at, refusal=RELEASED, detail="the order was released before its turn"
        )
        noted(order)
    while _release_batch(order, actor=actor, at=at, policy=policy, new_id=new_id):
        pass
    return order


@transaction.atomic
def _release_batch(
    order: EmergencyOrder, *, actor: Actor, at: datetime, policy: Policy, new_id: NewId
) -> int:
    """Release the next latches of an order; how many."""
    mine = EmergencyLatch.objects.filter(order=order, released_at__isnull=True)
    ids = list(mine.order_by("plant_id").values_list("plant_id", flat=True)[:BATCH])
    plants = list(_locked(ids)) if ids else []
    latches = dict(
        mine.select_for_update(of=("self",)).filter(Among(ids, of="plant_id")).values_list("plant_id", "pk")
    )
    plants = [plant for plant in plants if plant.pk in latches]
    if not plants:
        return 0
    told = mine.filter(Among(ids, of="plant_id"))
    emergencies = {
        plant_id: (command_id, connection_id)
        for plant_id, command_id, connection_id in told.values_list(
            "plant_id", "command_id", "command__connection_id"
        )
    }
    EmergencyLatch.objects.filter(Among(list(latches.values()))).update(
        released_at=at, released_by_name=actor.name[:150], release_reason=order.release_reason
    )
    tell_latches({plant.pk: plant.organisation_id for plant in plants}, is_set=False, at=at)
    withdraw_undelivered([plant.pk for plant in plants], at=at)
    asked = [(plant, released_request(plant, order.release_reason, at=at)) for plant in plants]
    answers = store_many(asked=asked, actor=actor, at=at, policy=policy, new_id=new_id)
    for (plant, request), answer in zip(asked, answers, strict=True):
        if not isinstance(answer, Submitted):
            record_refused(
                plant=plant,
                request=request,
                last_connection_id=emergencies[plant.pk][1],
                actor=actor,
                refusal=answer,
                at=at,
                policy=policy,
            )
    base_modes = {
        emergencies[plant.pk][0]: answer.command
        for (plant, _), answer in zip(asked, answers, strict=True)
        if isinstance(answer, Submitted)
    }
    follow_releases(base_modes, actor=actor, reason=order.release_reason, at=at)
    return len(plants)


# --- the tick -----------------------------------------------------------------------------------------------------


def carry_on(*, at: datetime, policy: Policy, rounds: int = 20, new_id: NewId = uuid.uuid4) -> int:
    """Tick: go on with what a crash cut off, at most `rounds` batches of sending and releasing; how many plants."""
    return _carry_on_sending(at, policy, rounds, new_id) + _carry_on_releasing(at, policy, rounds, new_id)


def _carry_on_sending(at: datetime, policy: Policy, rounds: int, new_id: NewId) -> int:
    done = 0
    for _ in range(rounds):
        row = (
            OrderedPlant.objects.select_related("order__made_by")
            .filter(decided_at__isnull=True)
            .order_by("order_id")
            .first()
        )
        if row is None:
            break
        actor = Actor(name=row.order.made_by_name, user=row.order.made_by)
        sent = _send_batch(row.order, actor=actor, at=at, policy=policy, new_id=new_id)
        if not sent:  # somebody else holds them all right now
            break
        done += sent
    return done


def _carry_on_releasing(at: datetime, policy: Policy, rounds: int, new_id: NewId) -> int:
    done = 0
    left = EmergencyLatch.objects.select_related("order").filter(
        released_at__isnull=True, order__released_at__isnull=False
    )
    for _ in range(rounds):
        latch = left.order_by("order_id").first()
        if latch is None or latch.order is None:
            break
        actor = Actor(name=latch.order.released_by_name)
        done += _release_batch(latch.order, actor=actor, at=at, policy=policy, new_id=new_id)
    return done
