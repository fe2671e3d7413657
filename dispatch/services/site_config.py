"""Publishes config.topology, .constraints and .fallback: when a connection becomes active and when one changes.

A plant's `site_revision` counts the changes; `PublishedSiteConfig` knows which revision was put into the outbox over
which connection. A plant is looked at when they differ, and sent when payload, siteId or connection differs.
Without the scope for it nothing is sent, and the plant is looked at again when the connection's scopes change.
A message that the broker returned or refused, or never confirmed, counts as not published: it is made anew after a
pause, since no command is repeated by it and a plant without topology can't be commanded.

Each payload that is sent is kept as a version of its family; one that is sent again unchanged is the same version.

Edge cases (the concurrency policy):
- Whoever publishes a plant's config, or orders it to be published again, holds the plant's lock: an order that comes
  while the tick works on the plant is not lost, and two ticks at once make one message and one version.
- The outbox's rows, the version and the note that it was published are one transaction: a crash leaves all or none.
"""

import hashlib
import operator
import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import reduce

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from dispatch.messages import NewId, build, signer_of, site_id_of
from dispatch.models import OutboundMessage, Outcome, PublishedSiteConfig, SiteConfigVersion
from dispatch.policy import Policy
from dispatch.requests import Actor
from dispatch.services.checks import require_usable
from dispatch.services.outbox import store_messages
from dispatch.site_config import FAMILIES, constraints_of, fallback_of, topology_of
from plants.encryption import UndecryptableSecret
from plants.errors import Invalid, NotFound
from plants.models import Asset, Connection, ConnectionMode, Installation, Plant
from plants.selectors.connections import SECRET_FIELDS
from plants.services.connections import may_send, set_mode
from vcp import Constraints, Fallback, Family, ProtocolError, Topology, canonical_json, to_wire
from vcp.said import said

log = structlog.get_logger(__name__)
_MOST_PLANTS = 10_000
# REPLACED: signed anew while the note of it was held; its successor is not known here.
_FAILED = (Outcome.RETURNED, Outcome.REFUSED, Outcome.ABANDONED, Outcome.REPLACED, Outcome.WITHDRAWN)


def publish_changed(*, at: datetime, policy: Policy, limit: int = 200, new_id: NewId = uuid.uuid4) -> int:
    """Tick: queue the site config of plants whose published revision is not the current one; answers how many.

    A plant whose config can't be built is logged and does not stop the others; `limit` is the most plants of one
    connection in one run.
    """
    if Installation.objects.filter(pk=1, dispatch_enabled=False).exists():
        return 0
    published = 0
    tried: Counter[int | None] = Counter()
    for plant_id, connection_id in list(_stale_plants(at - policy.replay_margin)[:_MOST_PLANTS]):
        # The limit is each connection's own: plants that fail every time would use up the turn of all others.
        if tried[connection_id] == limit:
            continue
        tried[connection_id] += 1
        try:
            _publish(plant_id, at=at, policy=policy, new_id=new_id)
            published += 1
        except (ProtocolError, UndecryptableSecret):
            log.exception("site config not built", action="site_config.unbuildable", plant_id=plant_id)
    return published


def _stale_plants(failed_by: datetime) -> QuerySet[Plant, tuple[int, int | None]]:
    """(plant, connection) where a current publication lacks; one that came to nothing counts until a pause is over."""
    failed = Q(message__outcome__in=_FAILED, message__outcome_at__lte=failed_by)
    current = PublishedSiteConfig.objects.filter(
        plant=OuterRef("pk"), connection=OuterRef("connection"), site_revision=OuterRef("site_revision")
    ).exclude(failed)
    return (
        Plant.objects.filter(
            dispatch_enabled=True, connection__mode=ConnectionMode.ACTIVE, connection__dispatch_enabled=True
        )
        .filter(reduce(operator.or_, (~Q(Exists(current.filter(family=family))) for family in FAMILIES)))
        .order_by("connection_id", "pk")
        .values_list("pk", "connection_id")
    )


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
    known = {
        row.family: row
        for row in PublishedSiteConfig.objects.filter(plant=plant).select_related("message", "version")
    }
    for family, payload in _payloads(plant):
        wire = to_wire(payload)
        digest = _digest(connection, plant, wire)
        before = known.get(family)
        message = before.message if before is not None else None
        version = before.version if before is not None else None
        if before is None or not _still_holds(before, connection, digest):
            allowed = may_send(connection, family, emergency_scope=policy.emergency_scope)
            message = _store(connection, plant, family, wire, at=at, new_id=new_id) if allowed else None
            version = _version(plant, family, wire, at=at) if allowed else None
        PublishedSiteConfig.objects.update_or_create(
            plant=plant,
            family=family,
            defaults={
                "connection": connection,
                "digest": digest,
                "site_revision": plant.site_revision,
                "message": message,
                "version": version,
                "published_at": at,
            },
        )


def _digest(connection: Connection, plant: Plant, wire: dict[str, object]) -> str:
    """Of what Voke is told, and of whom: under a new siteId it must be told again."""
    site_id = site_id_of(plant, connection.site_id_kind)
    return _sha256({"siteId": site_id, "payload": wire})


def _sha256(document: dict[str, object]) -> str:
    return hashlib.sha256(canonical_json(document)).hexdigest()


def _version(plant: Plant, family: Family, wire: dict[str, object], *, at: datetime) -> SiteConfigVersion:
    """The newest version when it says the same, else the next; under the plant's lock."""
    digest = _sha256(wire)
    newest = (
        SiteConfigVersion.objects.filter(plant=plant, family=family.value)
        .defer("payload")
        .order_by("-number")
        .first()
    )
    if newest is not None and newest.digest == digest:
        return newest
    number = 1 if newest is None else newest.number + 1
    return SiteConfigVersion.objects.create(
        plant=plant, family=family.value, number=number, payload=wire, digest=digest, made_at=at
    )


def _still_holds(before: PublishedSiteConfig, connection: Connection, digest: str) -> bool:
    # Without a message it was held back for want of a scope, which may have been given since.
    was_told = before.message is not None and before.message.outcome not in _FAILED
    return before.digest == digest and before.connection_id == connection.pk and was_told


def _payloads(plant: Plant) -> Iterable[tuple[Family, Topology | Constraints | Fallback]]:
    """In the order of `FAMILIES`."""
    yield Family.CONFIG_TOPOLOGY, topology_of(list(Asset.objects.filter(plant=plant).order_by("external_id")))
    yield Family.CONFIG_CONSTRAINTS, constraints_of(plant)
    yield Family.CONFIG_FALLBACK, fallback_of(plant)


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


@transaction.atomic
def republish_plant(
    *, plant_id: int, actor: Actor, policy: Policy, families: Collection[Family] = FAMILIES
) -> None:
    """Order that a plant's site config is sent again as it is now; the next tick does it.

    Raises `NotFound`, `Invalid` for a family that is no site config, `Conflict` when nothing would be sent.
    """
    strange = sorted(set(families) - set(FAMILIES))
    if strange or not families:
        raise Invalid(
            said("no family of site config: %(names)s", names=", ".join(strange) or said("none")),
            path="families",
        )
    plant = (
        Plant.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection")
        .defer(*(f"connection__{name}" for name in SECRET_FIELDS))
        .filter(pk=plant_id)
        .first()
    )
    if plant is None:
        raise NotFound(said("no such plant"), path="plantId", code="PLANT_NOT_FOUND")
    installation_on = not Installation.objects.filter(pk=1, dispatch_enabled=False).exists()
    for family in families:
        require_usable(plant, plant.connection, family, policy=policy, installation_on=installation_on)
    PublishedSiteConfig.objects.filter(plant=plant, family__in=[one.value for one in families]).delete()
    log.info(
        "site config ordered again",
        action="site_config.republish",
        plant_id=plant_id,
        families=sorted(one.value for one in families),
        actor=actor.name,
    )


def switch_connection(*, connection: Connection, mode: ConnectionMode, at: datetime) -> None:
    """Switch between OBSERVE and ACTIVE; on activation every plant's site config is published."""
    with transaction.atomic():
        set_mode(connection=connection, mode=mode, at=at)
        if mode is ConnectionMode.ACTIVE:
            republish(connection_id=connection.pk)
