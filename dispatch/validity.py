"""How long a site setpoint holds: every one carries a `validUntil`, so that a platform that falls silent fails safe.

Pure. One that names no end of its own gets the plant's `setpoint_valid_s`, counted from where it begins; an ENERGY
target at least the interval in which its energy flows. What was asked for stays what it was: the digest of an
idempotency key is made of the request without the end, so a retry an hour later is still the same request.
"""

from datetime import datetime, timedelta

import msgspec

from dispatch.requests import CommandPayload
from plants.models import Plant
from vcp import SetpointType, SiteSetpoint


def with_end(payload: CommandPayload, plant: Plant, due_at: datetime) -> CommandPayload:
    """The payload as it is sent; `due_at`: when its message is made, or now where it is due at once."""
    if not isinstance(payload, SiteSetpoint) or payload.valid_until is not None:
        return payload
    holds = timedelta(seconds=plant.setpoint_valid_s)
    if payload.type is SetpointType.ENERGY:
        holds = max(holds, timedelta(minutes=payload.interval_minutes or 0))
    return msgspec.structs.replace(payload, valid_until=max(due_at, payload.valid_from) + holds)
