"""Verified by measurement: each site setpoint has a row that is judged when its time and a grace have passed."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from dispatch.models import Proof, Verification
from dispatch.policy import Policy
from dispatch.services.bulk import insert_rows
from vcp import SiteSetpoint

_COLUMNS = (
    "command_id", "plant_id", "begins_at", "due_at", "verdict", "unit", "source", "samples", "hint", "looks",
    "first_verdict",
)  # fmt: skip


class ToProve(NamedTuple):
    """A stored command that asks for a site setpoint. `due_at`: the command's own."""

    command_id: int
    plant_id: int
    payload: SiteSetpoint
    due_at: datetime


def open_verifications(*, setpoints: Sequence[ToProve], policy: Policy) -> None:
    """Note that these will be judged; call within the transaction that stores the commands. One statement."""
    rows = [
        (
            one.command_id,
            one.plant_id,
            begins_at,
            ends_at + policy.proof.grace,
            Proof.PENDING.value,
            *_NOTHING_YET,
        )
        for one in setpoints
        for begins_at, ends_at in [_span(one, policy)]
    ]
    if rows:
        insert_rows(Verification, _COLUMNS, rows)


_NOTHING_YET = ("", "", 0, "", 0, "")


def _span(one: ToProve, policy: Policy) -> tuple[datetime, datetime]:
    begins_at = max(one.payload.valid_from, one.due_at)
    return begins_at, one.payload.valid_until or begins_at + policy.setpoint_deliver_by
