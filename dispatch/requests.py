"""What a caller asks for: one command to one plant, already parsed into the protocol's types."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from dispatch.models import Kind
from plants.models import User
from vcp import (
    DeviceBatch,
    Emergency,
    Family,
    Mode,
    ScheduleCancel,
    ScheduleCreate,
    SiteSetpoint,
    canonical_json,
    format_timestamp,
    to_wire,
)

CommandPayload = SiteSetpoint | DeviceBatch | Emergency | Mode | ScheduleCreate | ScheduleCancel

FAMILY: dict[Kind, Family] = {
    Kind.SITE_SETPOINT: Family.COMMAND_SITE_SETPOINT,
    Kind.DEVICE: Family.COMMAND_DEVICE,
    Kind.EMERGENCY: Family.COMMAND_EMERGENCY,
    Kind.MODE: Family.COMMAND_MODE,
    Kind.SCHEDULE_CREATE: Family.SCHEDULE_CREATE,
    Kind.SCHEDULE_CANCEL: Family.SCHEDULE_CANCEL,
}
_KIND: dict[type, Kind] = {
    SiteSetpoint: Kind.SITE_SETPOINT,
    DeviceBatch: Kind.DEVICE,
    Emergency: Kind.EMERGENCY,
    Mode: Kind.MODE,
    ScheduleCreate: Kind.SCHEDULE_CREATE,
    ScheduleCancel: Kind.SCHEDULE_CANCEL,
}


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asks: a person, or a part of the platform by its name."""

    name: str
    user: User | None = None


@dataclass(frozen=True, kw_only=True)
class CommandRequest:
    """One command to one plant.

    `due_at` None = now. `idempotency_key` makes a repeated request harmless within the organisation. `automatic` says
    that no person asked for it. `batch_ref` groups commands on our side only. `deliver_by_at`: until when it may be
    sent, where it is not its kind's own time.
    """

    external_plant_id: str
    payload: CommandPayload
    due_at: datetime | None = None
    reason: str = ""
    idempotency_key: str | None = None
    batch_ref: str = ""
    automatic: bool = False
    deliver_by_at: datetime | None = None

    @property
    def kind(self) -> Kind:
        """The command family that the payload belongs to."""
        return _KIND[type(self.payload)]

    def digest(self) -> str:
        """SHA-256 of what was asked for: the same key with another request is refused."""
        asked = {
            "plant": self.external_plant_id,
            "kind": self.kind.value,
            "payload": to_wire(self.payload),
            "due": None if self.due_at is None else format_timestamp(self.due_at),
        }
        return hashlib.sha256(canonical_json(asked)).hexdigest()
