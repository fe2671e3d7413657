"""What people change on a connection after its import: settings, and its secrets by a new bundle."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F

from plants.errors import DomainError, Invalid, Several
from plants.models import Connection, Plant
from plants.selectors.connections import SECRET_FIELDS
from vcp import ConnectionBundle, Family, KeyDecoding, ProtocolError, queue_names, routing_key, sign
from vcp.said import said

# What services of their own change.
_KEPT = {
    *SECRET_FIELDS, "id", "organisation", "mode", "dispatch_enabled", "activated_at", "created_at", "succeeded_by",
    "handed_over_at", "retired_at", "draining_code", "draining_note",
}  # fmt: skip
# On what of it depends whether, where and under which siteId a plant's topology and limits are told.
_TOLD = ("scopes", "site_id_kind", "routing_prefix")


def save_connection(*, connection: Connection) -> Connection:
    """Save a connection's settings; its secrets, mode and switch stay as they are in the database.

    Raises `Several` with a field path each: a name that is taken, a prefix that can't be a routing key, a family that
    does not exist.
    """
    problems = [*_field_problems(connection), *_wire_problems(connection)]
    if problems:
        raise Several(problems)
    with transaction.atomic():
        before = Connection.objects.select_for_update(of=("self",), no_key=True).defer(*SECRET_FIELDS)
        told = [getattr(before.get(pk=connection.pk), name) for name in _TOLD]
        connection.save(
            update_fields=[
                field.name for field in Connection._meta.concrete_fields if field.name not in _KEPT
            ]
        )
        if told != [getattr(connection, name) for name in _TOLD]:
            # Topology and limits may be due now, or under another name.
            Plant.objects.filter(connection_id=connection.pk).update(site_revision=F("site_revision") + 1)
    return connection


def _field_problems(connection: Connection) -> list[DomainError]:
    try:
        connection.full_clean(exclude=SECRET_FIELDS)
    except ValidationError as error:
        return [
            Invalid(text, path="" if field == "__all__" else field)
            for field, texts in error.message_dict.items()
            for text in texts
        ]
    return []


def _wire_problems(connection: Connection) -> list[DomainError]:
    problems: list[DomainError] = []
    try:
        routing_key(connection.routing_prefix, Family.COMMAND_MODE)
    except ProtocolError as error:
        problems.append(Invalid(error.words, path="routing_prefix"))
    try:
        queue_names(connection.queue_prefix, connection.queues if isinstance(connection.queues, dict) else {})
    except ProtocolError as error:
        problems.append(Invalid(error.words, path="queues"))
    if not isinstance(connection.queues, dict):
        problems.append(Invalid(said("expected an object of queue names"), path="queues"))
    unknown = sorted(set(connection.signed_families) - {family.value for family in Family})
    if unknown:
        problems.append(
            Invalid(said("%(unknown)s is no family of messages", unknown=unknown[0]), path="signed_families")
        )
    return problems


def replace_secrets(
    *, connection: Connection, bundle: ConnectionBundle, key_decoding: KeyDecoding
) -> Connection:
    """Take address and secrets from a new bundle (Voke issued a new key); plants, mode and history stay.

    Raises `Invalid` when commands of this connection are signed and the bundle has no signing key, and vcp's
    InvalidSigningKey for a key that can't sign. Relay and consumer connect anew within seconds.
    """
    if bundle.signing_key:
        sign({}, bundle.signing_key, decoding=key_decoding)
    elif connection.signed_families:
        raise Invalid(said("has no signing key, and this connection signs its commands"), path="bundle")
    facts = {
        "slug": bundle.slug,
        "queue_prefix": bundle.queue_prefix,
        "routing_prefix": bundle.routing_prefix,
        "queues": dict(bundle.queues),
        "vhost": bundle.vhost,
        "key_id": bundle.key_id or "",
        "key_decoding": key_decoding.value,
        "amqps_uri": bundle.amqps_uri,
        "api_key": bundle.api_key,
        "signing_key": bundle.signing_key or "",
    }
    with transaction.atomic():
        row = Connection.objects.select_for_update(of=("self",)).defer(*SECRET_FIELDS).get(pk=connection.pk)
        for name, value in facts.items():
            setattr(row, name, value)
        row.save(update_fields=list(facts))
    return row
