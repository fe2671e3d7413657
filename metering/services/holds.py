"""Holds: somebody keeps measurements of a time span although retention would drop them (billing, a dispute)."""

from datetime import datetime

from metering.models import RetentionHold
from plants.errors import Invalid, NotFound
from vcp.said import said


def hold(*, from_at: datetime, to_at: datetime, reason: str, by: str, at: datetime) -> RetentionHold:
    """Keep the measurements of [from_at, to_at) until the hold is released; raises `Invalid`."""
    if from_at >= to_at:
        raise Invalid(said("must be after the beginning"), path="to_at")
    if not reason.strip():
        raise Invalid(said("say why they must stay"), path="reason")
    return RetentionHold.objects.create(
        from_at=from_at, to_at=to_at, reason=reason.strip()[:200], held_by_name=by[:150], held_at=at
    )


def release(*, hold_id: int, by: str, at: datetime) -> None:
    """End a hold; what its retention has outlived goes with the next tick. Raises `NotFound` when none is set."""
    rows = RetentionHold.objects.filter(pk=hold_id, released_at__isnull=True)
    if not rows.update(released_at=at, released_by_name=by[:150]):
        raise NotFound(said("no such hold is set"))
