"""One connection takes over from another: plants move, the old one remembers its successor and retires when drained.

Edge cases (the concurrency policy):
- Both connections are locked in order of their ids, then the plants in theirs; a plant that reaches the old connection
  while this runs is moved by the next tick (`dispatch.services.draining`).
- A connection that has a successor is never a successor itself, so that a line of successors can't be a circle.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef

from plants.encryption import UndecryptableSecret
from plants.errors import Conflict
from plants.models import Alarm, AlarmOrigin, Connection, Plant
from plants.selectors.connections import SECRET_FIELDS
from vcp import KeyDecoding, ProtocolError, sign
from vcp.said import said


def lock_pair(*, old_id: int, new_id: int) -> tuple[Connection, Connection]:
    """Both connections as they are now, locked until the transaction ends; their secrets are read when asked for.

    Raises `Conflict` when `new` can't take over from `old`.
    """
    rows = {
        row.pk: row
        for row in Connection.objects.select_for_update(of=("self",), no_key=True)
        .defer(*SECRET_FIELDS)
        .filter(pk__in=[old_id, new_id])
        .order_by("pk")
    }
    old, new = rows[old_id], rows[new_id]
    _refuse_unfit(old, new)
    _refuse_unsigning(new)
    return old, new


def _refuse_unfit(old: Connection, new: Connection) -> None:
    if old.pk == new.pk:
        raise Conflict(said("a connection can't take over from itself"), code="TAKEOVER_OF_ITSELF")
    if old.organisation_id != new.organisation_id:
        raise Conflict(said("the connections belong to two organisations"), code="ANOTHER_ORGANISATION")
    if old.succeeded_by_id is not None:
        raise Conflict(
            said("connection %(name)s was taken over already", name=repr(old.name)),
            path="old",
            code="CONNECTION_SUCCEEDED",
        )
    if new.succeeded_by_id is not None:
        raise Conflict(
            said("connection %(name)s was taken over itself", name=repr(new.name)),
            path="new",
            code="CONNECTION_SUCCEEDED",
        )


def _refuse_unsigning(new: Connection) -> None:
    """A successor that can't sign would end every command that it is handed."""
    if not new.signed_families:
        return
    try:
        if not new.signing_key:
            raise Conflict(
                said("the new connection has no signing key"), path="signing_key", code="SIGNING_KEY_MISSING"
            )
        sign({}, str(new.signing_key), decoding=KeyDecoding(new.key_decoding))
    except UndecryptableSecret as error:
        raise Conflict(
            said("the new connection's signing key can't be decrypted"),
            path="signing_key",
            code="SECRET_UNREADABLE",
        ) from error
    except ProtocolError as error:
        raise Conflict(error.words, path="signing_key", code=error.code) from error
    except ValueError as error:
        raise Conflict(
            said("no such key decoding"), path="key_decoding", code="INVALID_SIGNING_KEY"
        ) from error


def lock_plants(*, plant_ids: Sequence[int]) -> None:
    """Lock plants against commands and emergencies, in order of their ids, until the transaction ends."""
    list(
        Plant.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk__in=plant_ids)
        .order_by("pk")
        .values_list("pk")
    )


def move_plants(*, old_id: int, new_id: int) -> list[int]:
    """Every plant of the old connection moves to the new one; answers their ids.

    The site revision goes up, so that topology and limits are published on the new one. Raises `Conflict` when two
    plants of the new connection would have the same UUID at Voke.
    """
    rows = Plant.objects.select_for_update(of=("self",), no_key=True).filter(connection_id=old_id)
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    try:
        with transaction.atomic():
            Plant.objects.filter(pk__in=ids).update(
                connection_id=new_id, site_revision=F("site_revision") + 1
            )
    except IntegrityError as error:
        raise Conflict(
            said("two plants of the new connection would have the same Voke UUID"),
            path="voke_uuid",
            code="VOKE_UUID_TAKEN",
        ) from error
    return ids


def hand_over(*, old_id: int, new_id: int, at: datetime) -> None:
    """The old connection only drains from now on; alarms that are raised on it go on under the new one.

    Voke may clear them over either: `home_of` is where alarms of a connection are kept.
    """
    Connection.objects.filter(pk=old_id).update(succeeded_by_id=new_id, handed_over_at=at)
    mine = Alarm.objects.filter(connection_id=old_id, origin=AlarmOrigin.VOKE, cleared_at__isnull=True)
    theirs = Alarm.objects.filter(
        connection_id=new_id, origin=AlarmOrigin.VOKE, alarm_id=OuterRef("alarm_id")
    )
    ids = list(mine.select_for_update(of=("self",)).order_by("alarm_id").values_list("pk", flat=True))
    Alarm.objects.filter(~Exists(theirs), pk__in=ids).update(connection_id=new_id)


def retire(*, connection_id: int, at: datetime, code: str = "", note: str = "") -> bool:
    """The old connection is drained: relay and consumer leave it alone; False when it was retired already.

    `at`: what Voke's broker had confirmed before is stored. `code` and `note`: what was left behind, '' = nothing.
    """
    rows = Connection.objects.filter(pk=connection_id, succeeded_by__isnull=False, retired_at__isnull=True)
    return bool(rows.update(retired_at=at, draining_code=code, draining_note=note[:200]))
