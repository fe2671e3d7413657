"""What a command is checked against, and what its row says: the same for one command and for many at once.

`dispatch.services.commands` asks for the facts of one plant, `dispatch.services.many` for those of thousands; what
follows from them is decided here, in the same order and with the same words.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from dispatch.models import Kind
from dispatch.policy import Policy
from dispatch.requests import Actor, CommandRequest
from dispatch.rules import AssetFacts, SiteFacts, check_payload
from dispatch.services.anew import CANNOT_BUILD
from dispatch.states import State
from dispatch.validity import with_end
from plants.encryption import UndecryptableSecret
from plants.errors import Conflict, DomainError, Invalid, Several
from plants.models import Connection, ConnectionMode, Plant
from plants.services.connections import may_send
from vcp import Emergency, EmergencyType, Family, ScheduleCreate, SiteSetpoint, must_be_signed, to_wire
from vcp.said import said, told_by

_FARTHEST = timedelta(days=3660)


def latched_by(latch_type: str) -> Conflict:
    """The refusal of whatever is asked of a latched plant."""
    # Interpretation: a person must release an emergency before anything else is sent, by hand too.
    return Conflict(
        said("the plant is latched by an emergency %(latch_type)s; release it first", latch_type=latch_type),
        code="PLANT_LATCHED",
    )


def refuse_latched(latch_type: str, request: CommandRequest) -> None:
    """`Conflict` for what a latched plant is not asked: anything but an emergency, and a HOLD under a STOP."""
    if not isinstance(request.payload, Emergency):
        raise latched_by(latch_type)
    if latch_type == EmergencyType.STOP and request.payload.type is EmergencyType.HOLD:
        raise weaker_than_stop()


def weaker_than_stop() -> Conflict:
    """The refusal of a HOLD while a STOP is in force: sent after it, the HOLD would take the STOP's place at Voke."""
    return Conflict(
        said("the plant is stopped, which a HOLD would weaken; release it first"), code="STOP_IN_FORCE"
    )


def require_usable(
    plant: Plant, connection: Connection | None, family: Family, *, policy: Policy, installation_on: bool
) -> Connection:
    """The plant's connection when a command of the family may be sent over it now; `Conflict` else."""
    if connection is None:
        raise Conflict(
            said("the plant has no connection to Voke"), path="plant.connection", code="NOT_CONNECTED"
        )
    if connection.mode != ConnectionMode.ACTIVE:
        raise Conflict(
            said("the connection only observes; switch it to ACTIVE first"), code="CONNECTION_OBSERVES"
        )
    if not installation_on:
        raise Conflict(said("dispatch is switched off for the installation"), code="DISPATCH_OFF")
    for off, whose, words in (
        (not connection.dispatch_enabled, "connection", said("dispatch is switched off for the connection")),
        (not plant.dispatch_enabled, "plant", said("dispatch is switched off for the plant")),
    ):
        if off:
            raise Conflict(words, path=whose, code="DISPATCH_OFF")
    if not may_send(connection, family, emergency_scope=policy.emergency_scope):
        raise Conflict(
            said("the API key has no scope for %(value)s", value=family.value), code="SCOPE_MISSING"
        )
    if must_be_signed(family, connection.signed_families):
        _refuse_unsignable(connection, family)
    return connection


def _refuse_unsignable(connection: Connection, family: Family) -> None:
    try:
        missing = not connection.signing_key
    except UndecryptableSecret as error:
        raise Conflict(
            said("the connection's stored secret is unusable: %(error)s", error=told_by(error)),
            code=CANNOT_BUILD,
        ) from error
    if missing:
        raise Conflict(
            said("%(value)s must be signed and the connection has no signing key", value=family.value),
            code="SIGNING_KEY_MISSING",
        )


def require_possible(request: CommandRequest, site: SiteFacts, *, at: datetime, policy: Policy) -> None:
    """`Several` when the plant can't be asked for this, or not at this time."""
    problems: list[DomainError] = []
    # At the limit too: what is built from it would be over at once.
    if request.due_at is not None and request.due_at <= at - policy.command_deliver_by:
        problems.append(Invalid(said("is in the past"), path="dueAt", code="ALREADY_OVER"))
    if starts_at(request, request.due_at or at) > at + _FARTHEST:
        problems.append(Invalid(said("starts more than ten years ahead"), path="dueAt"))
    problems += check_payload(request.payload, site=site, due_at=max(request.due_at or at, at))
    if problems:
        raise Several(problems)


def as_sent(request: CommandRequest, plant: Plant, *, at: datetime) -> CommandRequest:
    """The request as it is sent: a site setpoint without an end of its own has the plant's."""
    payload = with_end(request.payload, plant, max(request.due_at or at, at))
    return request if payload is request.payload else replace(request, payload=payload)


def site_facts(plant: Plant, assets: Collection[tuple[str, str, float | None]]) -> SiteFacts:
    """Of a plant and its assets (external id, type, rated power in kW)."""
    known: Mapping[str, AssetFacts] = {
        key: AssetFacts(asset_type=kind, rated_power_kw=rated) for key, kind, rated in assets
    }
    return SiteFacts(
        max_import_kw=plant.max_import_kw,
        max_export_kw=plant.max_export_kw,
        max_charge_kw=plant.max_charge_kw,
        max_discharge_kw=plant.max_discharge_kw,
        assets=known,
    )


def command_values(
    *,
    plant: Plant,
    connection_id: int,
    request: CommandRequest,
    actor: Actor,
    at: datetime,
    policy: Policy,
    digest: str,
    own_end: bool = True,
) -> dict[str, Any]:
    """The values of a new command's row, by attribute: SCHEDULED, as it is before its message is built.

    `request` as it is sent; `digest`: of the request as it was asked, before it was given an end; `own_end`: it was
    given none.
    """
    due_at = request.due_at or at
    return {
        "organisation_id": plant.organisation_id,
        "plant_id": plant.pk,
        "connection_id": connection_id,
        "kind": request.kind.value,
        "payload": to_wire(request.payload),
        "state": State.SCHEDULED.value,
        "state_at": at,
        "cause": "",
        "automatic": request.automatic,
        "requested_by_id": None if actor.user is None else actor.user.pk,
        "requested_by_name": actor.name[:150],
        "requested_at": at,
        "reason": request.reason[:500],
        "idempotency_key": request.idempotency_key,
        "request_digest": digest,
        "batch_ref": request.batch_ref,
        "due_at": due_at,
        "deliver_by_at": deliver_by(request, due_at, policy, own_end=own_end),
        "execution_due_at": starts_at(request, due_at) + policy.execution_timeout_of(request.kind),
        "execution_overdue": False,
    }


def starts_at(request: CommandRequest, due_at: datetime) -> datetime:
    """When what is asked for begins."""
    if isinstance(request.payload, SiteSetpoint):
        return max(due_at, request.payload.valid_from)
    if isinstance(request.payload, ScheduleCreate):
        return max(due_at, request.payload.slots[0].starts_at)
    return due_at


def deliver_by(
    request: CommandRequest, due_at: datetime, policy: Policy, *, own_end: bool = True
) -> datetime | None:
    """After this nothing of it may be sent; None = an emergency, which never grows old.

    A setpoint may be sent while it holds; one that named no end of its own no longer than the common limit.
    """
    if request.kind is Kind.EMERGENCY:
        return None
    if request.deliver_by_at is not None:
        return request.deliver_by_at
    if isinstance(request.payload, SiteSetpoint):
        soon, until = due_at + policy.setpoint_deliver_by, request.payload.valid_until
        if until is None:
            return soon
        return until if own_end else min(until, soon)
    if isinstance(request.payload, ScheduleCreate):
        # Of use until its last slot is over: Voke follows what is left of it.
        return request.payload.slots[-1].ends_at
    return due_at + policy.command_deliver_by


def told_reason(request: CommandRequest) -> dict[str, str]:
    """The reason as the first event of a command keeps it."""
    return {"reason": request.reason} if request.reason else {}
