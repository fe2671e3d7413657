"""What an override must keep to, before anything of it is stored; and which one a key has begun already."""

from datetime import datetime

import msgspec

from dispatch.requests import CommandRequest
from dispatch.services.commands import check
from plants.errors import Conflict, Invalid
from schedules.models import Override
from schedules.policy import SchedulePolicy
from vcp import Family, Priority, SiteSetpoint, format_timestamp, parse_payload
from vcp.said import said


def as_override(payload: SiteSetpoint, *, at: datetime, until_at: datetime) -> SiteSetpoint:
    """The ask as an override sends it: from now until its end, above the plan."""
    return msgspec.structs.replace(payload, priority=Priority.HIGH, valid_from=at, valid_until=until_at)


def require_reason(reason: str) -> None:
    """`Invalid` (REASON_MISSING) for an empty one."""
    if not reason.strip():
        raise Invalid(said("say why"), path="reason", code="REASON_MISSING")


def require_end(until_at: datetime, *, at: datetime, policy: SchedulePolicy) -> None:
    """`Invalid` (BAD_END, TOO_LONG) for an end that is over or too far off."""
    if until_at.utcoffset() is None or until_at <= at:
        raise Invalid(said("must lie ahead"), path="until", code="BAD_END")
    if until_at > at + policy.override_most:
        hours = policy.override_most.total_seconds() / 3600
        raise Invalid(
            said("an override lasts %(hours)s hours at most", hours=hours), path="until", code="TOO_LONG"
        )


def check_override(
    *,
    organisation_id: int,
    external_plant_id: str,
    payload: SiteSetpoint,
    until_at: datetime,
    at: datetime,
    policy: SchedulePolicy,
) -> None:
    """A dry run of `begin_override` but for its reason: raises what it would raise, stores nothing."""
    require_end(until_at, at=at, policy=policy)
    request = CommandRequest(
        external_plant_id=external_plant_id, payload=as_override(payload, at=at, until_at=until_at)
    )
    check(organisation_id=organisation_id, request=request, at=at, policy=policy.dispatch)


def begun_under(
    key: str | None, *, organisation_id: int, plant_id: int, payload: SiteSetpoint, until_at: datetime
) -> Override | None:
    """The override that the key has begun; `Conflict` when it asked for something else. Call with the plant locked."""
    if key is None:
        return None
    rows = Override.objects.filter(organisation_id=organisation_id, command__idempotency_key=key)
    found = rows.select_related("plant").first()
    if found is None:
        return None
    asked = as_override(payload, at=found.begun_at, until_at=until_at)
    if found.plant_id != plant_id or _on_the_wire(asked_of(found)) != _on_the_wire(asked):
        raise Conflict(
            said("the key was used for another request"), path="idempotencyKey", code="IDEMPOTENCY_KEY_REUSED"
        )
    return found


def require_open(override: Override) -> None:
    """`Conflict` (NOT_OPEN) for one that has ended."""
    if override.ended_at is not None:
        raise Conflict(
            said("the override ended (%(end_cause)s)", end_cause=override.end_cause), code="NOT_OPEN"
        )


def asked_of(override: Override) -> SiteSetpoint:
    """What an override asks for, from its beginning until its end."""
    payload = parse_payload(Family.COMMAND_SITE_SETPOINT, override.payload)
    if not isinstance(payload, SiteSetpoint):
        raise TypeError("an override is a setpoint")
    return payload


def _on_the_wire(payload: SiteSetpoint) -> tuple[object, ...]:
    """What it asks for, its end in the protocol's precision."""
    end = None if payload.valid_until is None else format_timestamp(payload.valid_until)
    return (
        payload.type, payload.direction, payload.target_value_kw, payload.target_value_kwh,
        payload.interval_minutes, payload.include_consumption, end,
    )  # fmt: skip
