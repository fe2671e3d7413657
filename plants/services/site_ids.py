"""Voke's ids of plants, learnt from Voke's own list: written only where none is known, or another is to be replaced."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from plants.errors import Conflict
from plants.models import Plant
from plants.services.organisations import bump_revision
from plants.services.succession import lock_plants
from vcp.said import said

_AT_ONCE = 500


def note_site_ids(
    *,
    connection_id: int,
    organisation_id: int,
    ids: Mapping[int, UUID],
    may_replace: Collection[int],
    at: datetime,
) -> set[int]:
    """Write {plant: Voke's UUID} of a connection's plants; answers the plants that were written.

    A plant that has left the connection, or was given another UUID meanwhile, is left alone unless it is among
    `may_replace`. The site revision goes up: site config is told again under the new id. All or nothing: `Conflict`
    when another plant of the connection took one of the UUIDs. The number of statements grows by two for 500 plants.
    """
    if not ids:
        return set()
    with transaction.atomic():
        lock_plants(plant_ids=sorted(ids))
        free = Q(voke_uuid__isnull=True) | Q(pk__in=list(may_replace))
        rows = list(
            Plant.objects.filter(free, pk__in=list(ids), connection_id=connection_id)
            .order_by("pk")
            .only("pk", "voke_uuid", "site_revision", "updated_at")
        )
        # Replaced ids may go round in a circle: a UUID is free before it is given to another plant.
        Plant.objects.filter(pk__in=[row.pk for row in rows if row.voke_uuid is not None]).update(
            voke_uuid=None
        )
        for row in rows:
            row.voke_uuid = ids[row.pk]
            row.site_revision += 1
            row.updated_at = at
        try:
            with transaction.atomic():
                Plant.objects.bulk_update(
                    rows, ["voke_uuid", "site_revision", "updated_at"], batch_size=_AT_ONCE
                )
        except IntegrityError as error:
            raise Conflict(
                said("another plant of the connection has the same Voke UUID"),
                path="voke_uuid",
                code="VOKE_UUID_TAKEN",
            ) from error
        if rows:
            bump_revision(organisation_id=organisation_id)
    return {row.pk for row in rows}
