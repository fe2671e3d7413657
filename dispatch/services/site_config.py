"""Publishes config.topology and config.constraints: when a connection becomes active and when either changes.

A plant's `site_revision` counts the changes; `PublishedSiteConfig` knows which revision was put into the outbox over
which connection. A plant is looked at when they differ, and sent when the payload differs (or the connection does).
"""

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from dispatch.messages import NewId, build, signer_of
from dispatch.models import OutboundMessage, Outcome, PublishedSiteConfig
from dispatch.policy import Policy
from dispatch.services.outbox import store_messages
from dispatch.site_config import constraints_of, topology_of
from plants.models import Asset, Connection, ConnectionMode, Installation, Plant
from plants.services.connections import may_send, set_mode
from vcp import Constraints, Family, Topology, canonical_json, to_wire


def publish_changed(*, at: datetime, policy: Policy, limit: int = 200, new_id: NewId = uuid.uuid4) -> int:
    """Tick: queue the site config of plants whose published revision is not the current one; answers how many."""
    if Installation.objects.filter(pk=1, dispatch_enabled=False).exists():
        return 0
    current = PublishedSiteConfig.objects.filter(
        plant=OuterRef("pk"), connection=OuterRef("connection"), site_revision=OuterRef("site_revision")
    )
    stale = (
        Plant.objects.filter(
            Q(dispatch_enabled=True),
            connection__mode=ConnectionMode.ACTIVE,
            connection__dispatch_enabled=True,
        )
        .annotate(
            has_topology=Exists(current.filter(family=Family.CONFIG_TOPOLOGY)),
            has_constraints=Exists(current.filter(family=Family.CONFIG_CONSTRAINTS)),
        )
        .filter(Q(has_topology=False) | Q(has_constraints=False))
        .order_by("connection_id", "pk")
        .values_list("pk", flat=True)[:limit]
    )
    plant_ids = list(stale)
    for plant_id in plant_ids:
        _publish(plant_id, at=at, policy=policy, new_id=new_id)
    return len(plant_ids)


@transaction.atomic
def _publish(plant_id: int, *, at: datetime, policy: Policy, new_id: NewId) -> None:
    plant = (
        Plant.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection")
        .get(pk=plant_id)
    )
    connection = plant.connection
    if connection is None:
        return
    for family, payload in _payloads(plant):
        wire = to_wire(payload)
        digest = hashlib.sha256(canonical_json(wire)).hexdigest()
        known = PublishedSiteConfig.objects.filter(plant=plant, family=family).first()
        same = known is not None and known.digest == digest and known.connection_id == connection.pk
        message = known.message if known is not None and same else None
        if not same and may_send(connection, family, emergency_scope=policy.emergency_scope):
            message = _store(connection, plant, family, wire, at=at, new_id=new_id)
        PublishedSiteConfig.objects.update_or_create(
            plant=plant,
            family=family,
            defaults={
                "connection": connection,
                "digest": digest,
                "site_revision": plant.site_revision,
                "message": message,
                "published_at": at,
            },
        )


def _payloads(plant: Plant) -> Iterable[tuple[Family, Topology | Constraints]]:
    # The topology goes first: constraints may name what it declares.
    yield Family.CONFIG_TOPOLOGY, topology_of(list(Asset.objects.filter(plant=plant).order_by("external_id")))
    yield Family.CONFIG_CONSTRAINTS, constraints_of(plant)


def _store(
    connection: Connection,
    plant: Plant,
    family: Family,
    wire: dict[str, object],
    *,
    at: datetime,
    new_id: NewId,
) -> OutboundMessage:
    # A newer config makes an unsent older one pointless.
    OutboundMessage.objects.filter(
        plant=plant, family=family, outcome=Outcome.PENDING, attempted_at__isnull=True
    ).update(outcome=Outcome.REPLACED, outcome_at=at, detail="a newer config was made")
    draft = build(
        signer=signer_of(connection), plant=plant, family=family, payload=wire, at=at, new_id=new_id
    )
    return store_messages(connection=connection, drafts=[(plant, None, draft)], at=at)[0]


def republish(*, connection_id: int) -> None:
    """Forget what was published over a connection, so that the next tick sends all of it again."""
    PublishedSiteConfig.objects.filter(connection_id=connection_id).delete()


def switch_connection(*, connection: Connection, mode: ConnectionMode, at: datetime) -> None:
    """Switch between OBSERVE and ACTIVE; on activation every plant's topology and limits are published."""
    with transaction.atomic():
        set_mode(connection=connection, mode=mode, at=at)
        if mode is ConnectionMode.ACTIVE:
            republish(connection_id=connection.pk)
