"""Connections to Voke: imported from a bundle, switched, their secrets re-encrypted."""

from collections.abc import Sequence
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F

from plants.errors import Conflict, DomainError, Invalid, Several
from plants.models import Connection, ConnectionMode, Organisation, Plant
from plants.services.succession import lock_plants
from vcp import (
    DEFAULT_SIGNED_FAMILIES,
    REQUIRED_SCOPE,
    ConnectionBundle,
    Family,
    InvalidSigningKey,
    KeyDecoding,
    queue_names,
    sign,
)
from vcp.said import said


def import_bundle(
    *,
    organisation: Organisation,
    bundle: ConnectionBundle,
    name: str,
    source: str,
    scopes: Sequence[str],
    sign_emergency: bool,
    key_decoding: KeyDecoding,
    at: datetime,
) -> Connection:
    """A new connection in OBSERVE from a parsed bundle.

    Raises `Several` with a field path each (a name that is taken, a text too long), `Invalid` for a key that can't
    sign, `Conflict` when another connection reads the same queues.
    """
    _refuse_bad_key(bundle, key_decoding)
    families = set(DEFAULT_SIGNED_FAMILIES)
    if sign_emergency:
        families.add(Family.COMMAND_EMERGENCY.value)
    connection = Connection(
        organisation=organisation,
        name=name,
        slug=bundle.slug,
        queue_prefix=bundle.queue_prefix,
        routing_prefix=bundle.routing_prefix,
        queues=dict(bundle.queues),
        vhost=bundle.vhost,
        key_id=bundle.key_id or "",
        source=source,
        scopes=sorted(set(scopes)),
        rest_base_url=bundle.rest_base_url or Connection._meta.get_field("rest_base_url").default,
        signed_families=sorted(families),
        key_decoding=key_decoding.value,
        amqps_uri=bundle.amqps_uri,
        api_key=bundle.api_key,
        signing_key=bundle.signing_key or "",
        created_at=at,
    )
    try:
        connection.full_clean()
    except ValidationError as error:
        raise Several(_problems(error)) from error
    _refuse_rival(connection)
    try:
        with transaction.atomic():
            connection.save(force_insert=True)
    except IntegrityError as error:  # somebody took the name in between
        raise Invalid(said("the organisation already has a connection of this name"), path="name") from error
    return connection


def _refuse_rival(connection: Connection) -> None:
    """Two connections that read one queue would take each other's events, and neither would have them all."""
    mine = set(queue_names(connection.queue_prefix, connection.queues).to_partner)
    others = Connection.objects.filter(vhost=connection.vhost)
    for pk, owner, prefix, queues in others.values_list("pk", "organisation_id", "queue_prefix", "queues"):
        if mine & set(queue_names(prefix, queues).to_partner):
            # Which one it is, is nothing for another organisation.
            is_ours = owner == connection.organisation_id
            raise Conflict(
                said("connection %(pk)s reads these queues already: replace its secrets instead", pk=pk)
                if is_ours
                else said("these queues can't be read from here: ask whoever runs this installation"),
                path="bundle",
                code="CONNECTION_EXISTS",
            )


def _refuse_bad_key(bundle: ConnectionBundle, key_decoding: KeyDecoding) -> None:
    """A key that can't sign is found now, not at the first command."""
    if not bundle.signing_key:
        return
    try:
        sign({}, bundle.signing_key, decoding=key_decoding)
    except InvalidSigningKey as error:
        raise Invalid(error.words, path="signingKey", code=error.code) from error


def _problems(error: ValidationError) -> list[DomainError]:
    """Every broken rule with its field; a name that is taken is the name's fault, whatever the constraint spans."""
    return [
        Invalid(text, path="name" if field == "__all__" else field)
        for field, texts in error.message_dict.items()
        for text in texts
    ]


def set_mode(*, connection: Connection, mode: ConnectionMode, at: datetime) -> None:
    """Switch between OBSERVE and ACTIVE; refused when commands could not be signed with what is stored."""
    if mode is ConnectionMode.ACTIVE and connection.signed_families and not connection.signing_key:
        raise Conflict(
            said(
                "the connection has no signing key, so commands that must be signed would be dropped by Voke"
            ),
            path="signing_key",
            code="SIGNING_KEY_MISSING",
        )
    activated_at = at if mode is ConnectionMode.ACTIVE else connection.activated_at
    Connection.objects.filter(pk=connection.pk).update(mode=mode, activated_at=activated_at)
    connection.mode, connection.activated_at = mode, activated_at


def set_connection_dispatch(*, connection_id: int, enabled: bool) -> None:
    """Switch dispatch of one connection on or off."""
    Connection.objects.filter(pk=connection_id).update(dispatch_enabled=enabled)


def may_send(connection: Connection, family: Family, *, emergency_scope: str) -> bool:
    """Whether the scopes told at import allow a family; without any told scope nothing is known and nothing refused."""
    scope = emergency_scope if family is Family.COMMAND_EMERGENCY else REQUIRED_SCOPE[family]
    return not connection.scopes or scope in connection.scopes


def attach_plants(*, connection: Connection, external_plant_ids: Sequence[str]) -> int:
    """Command and hear these plants of the organisation over this connection from now on; answers how many.

    What is unsent of them follows by a tick (`dispatch.services.takeover`). Raises `Conflict` when another connection
    took over from this one, or when two plants of the connection would have the same UUID at Voke.
    """
    if Connection.objects.filter(pk=connection.pk, succeeded_by__isnull=False).exists():
        raise Conflict(
            said("another connection took over from it"), path="connection", code="CONNECTION_SUCCEEDED"
        )
    plants = Plant.objects.filter(
        organisation_id=connection.organisation_id, external_plant_id__in=external_plant_ids
    )
    try:
        with transaction.atomic():
            lock_plants(plant_ids=list(plants.values_list("pk", flat=True)))
            return plants.update(connection=connection, site_revision=F("site_revision") + 1)
    except IntegrityError as error:
        raise Conflict(
            said("another plant of the connection has the same Voke UUID"),
            path="voke_uuid",
            code="VOKE_UUID_TAKEN",
        ) from error


@transaction.atomic
def reencrypt_connections(*, chunk: int = 200) -> int:
    """Write every secret again, so that it is encrypted under the current key; answers the number of rows."""
    count = 0
    for connection in Connection.objects.select_for_update().order_by("pk").iterator(chunk_size=chunk):
        connection.save(update_fields=["amqps_uri", "api_key", "signing_key"])
        count += 1
    return count
