"""What the reverse channel reads; every answer is bounded and within one organisation."""

from dataclasses import dataclass
from typing import Any

from django.db.models import F

from plants import prepared
from plants.models import Plant
from plants.selectors.plants import blocks_of_version
from plants.time_config import Block
from trading_api.auth import Claims
from trading_api.errors import TokenRevoked
from trading_api.models import ConfigUpdateRequest, Credential, UpdateState

# `mapping.plants_to_wire` takes them in this order.
_PLANT_COLUMNS = (
    "external_plant_id", "name", "description", "capacity_kwh", "fve_peak_power_kwp", "plant_with_load",
    "config_enabled", "esi_state",
)  # fmt: skip
_LIST = f"""
SELECT {", ".join(_PLANT_COLUMNS)} FROM plants_plant
WHERE organisation_id = %s ORDER BY external_plant_id LIMIT %s OFFSET %s
"""  # noqa: S608 - our own names
# The plants by their index and in its order: whose they are is a constant to the plan, which a join would not be.
_ACCESS_WITH_PLANTS = f"""
WITH access AS (
    SELECT credential.id, organisation.id AS organisation_id, organisation.revision
    FROM trading_api_credential AS credential
    JOIN plants_organisation AS organisation ON organisation.id = credential.organisation_id
    WHERE credential.client_id = %s AND credential.revision = %s AND credential.enabled
)
SELECT
    (SELECT id FROM access), (SELECT organisation_id FROM access), (SELECT revision FROM access),
    {", ".join(_PLANT_COLUMNS)}
FROM plants_plant WHERE organisation_id = (SELECT organisation_id FROM access)
ORDER BY external_plant_id LIMIT %s OFFSET %s
"""  # noqa: S608 - our own names
_CREDENTIAL = """
SELECT id, organisation_id, secret_hash, pepper_version, enabled, revision
FROM trading_api_credential WHERE client_id = %s
"""
_ACCESS = """
SELECT credential.id, organisation.id, credential.enabled, credential.revision, organisation.revision{plant_columns}
FROM trading_api_credential AS credential
JOIN plants_organisation AS organisation ON organisation.id = credential.organisation_id
{plant_tables}
WHERE credential.client_id = %s
"""
_ACCESS_ALONE = _ACCESS.format(plant_columns="", plant_tables="")
_ACCESS_WITH_PLANT = _ACCESS.format(
    plant_columns=""",
    plant.id, plant.external_plant_id, plant.config_enabled, plant.time_config_id, version.number, served.number
""",
    plant_tables="""
LEFT JOIN plants_plant AS plant
    ON plant.organisation_id = credential.organisation_id AND plant.external_plant_id = %s
LEFT JOIN plants_timeconfigversion AS version ON version.id = plant.time_config_id
LEFT JOIN trading_api_servedversion AS served
    ON served.credential_id = credential.id AND served.plant_id = plant.id
""",
)


@dataclass(frozen=True, kw_only=True)
class StoredSecret:
    """A credential as the token endpoint needs it."""

    credential_id: int
    organisation_id: int
    client_id: str
    secret_hash: str
    pepper_version: str
    enabled: bool
    revision: int


@dataclass(frozen=True, kw_only=True)
class PlantView:
    """The plant that `config` asks for: its current version (0 = none yet) and the newest this credential was given."""

    plant_id: int
    external_plant_id: str
    config_enabled: bool
    version_id: int | None
    version_number: int
    served_number: int | None


@dataclass(frozen=True, kw_only=True)
class Access:
    """Whom a token stands for, and the revision of everything that its organisation can be shown."""

    credential_id: int
    client_id: str
    organisation_id: int
    organisation_revision: int
    plant: PlantView | None = None


def stored_secret(client_id: str) -> StoredSecret | None:
    """The credential of a client id, enabled or not."""
    found = prepared.rows(_CREDENTIAL, [client_id])
    if not found:
        return None
    credential_id, organisation_id, secret_hash, pepper_version, enabled, revision = found[0]
    return StoredSecret(
        credential_id=credential_id,
        organisation_id=organisation_id,
        client_id=client_id,
        secret_hash=secret_hash,
        pepper_version=pepper_version,
        enabled=bool(enabled),  # SQLite has numbers
        revision=revision,
    )


def usable_secrets(*, limit: int) -> dict[str, tuple[str, str]]:
    """{client id: (secret's hash, pepper version)} of enabled credentials, those used last first."""
    rows = Credential.objects.filter(enabled=True).order_by(F("last_token_at").desc(nulls_last=True), "-pk")
    return {
        client_id: (secret_hash, pepper_version)
        for client_id, secret_hash, pepper_version in rows.values_list(
            "client_id", "secret_hash", "pepper_version"
        )[:limit]
    }


def access(claims: Claims, *, plant_ref: str | None = None) -> Access:
    """Credential state, its revision, the organisation's revision and the asked-for plant in one SELECT.

    One statement sees one moment: an ETag made of it can't promise more than the version beside it. Raises
    TokenRevoked when the credential is gone, disabled, or newer than the token.
    """
    if plant_ref is None:
        found = prepared.rows(_ACCESS_ALONE, [claims.client_id])
    else:
        found = prepared.rows(_ACCESS_WITH_PLANT, [plant_ref, claims.client_id])
    if not found or not found[0][2] or found[0][3] != claims.revision:
        raise TokenRevoked("the token was revoked", client_id=claims.client_id)
    credential_id, organisation_id, _, _, organisation_revision, *plant = found[0]
    return Access(
        credential_id=credential_id,
        client_id=claims.client_id,
        organisation_id=organisation_id,
        organisation_revision=organisation_revision,
        plant=None if plant_ref is None else _plant_view(*plant),
    )


def _plant_view(
    plant_id: int | None,
    external_plant_id: str,
    config_enabled: bool,
    version_id: int | None,
    version_number: int | None,
    served_number: int | None,
) -> PlantView | None:
    if plant_id is None:
        return None
    return PlantView(
        plant_id=plant_id,
        external_plant_id=external_plant_id,
        config_enabled=bool(config_enabled),  # SQLite has numbers
        version_id=version_id,
        version_number=version_number or 0,
        served_number=served_number,
    )


def whose(client_id: str) -> tuple[int, int] | None:
    """(credential, organisation) of a client id: whom a refused request is booked on in the journal."""
    return Credential.objects.filter(client_id=client_id).values_list("pk", "organisation_id").first()


def blocks_in_force(plant: PlantView) -> list[Block]:
    """The blocks of the plant's current version; empty while it has none."""
    return [] if plant.version_id is None else blocks_of_version(plant.version_id)


def access_with_plants(
    claims: Claims, *, offset: int, limit: int
) -> tuple[Access, list[tuple[Any, ...]]] | None:
    """`access` and `list_plants` of one moment in one SELECT; None when there is no row to tell either by."""
    found = prepared.rows(_ACCESS_WITH_PLANTS, [claims.client_id, claims.revision, limit + 1, offset])
    if not found:
        return None
    credential_id, organisation_id, revision = found[0][:3]
    access = Access(
        credential_id=credential_id,
        client_id=claims.client_id,
        organisation_id=organisation_id,
        organisation_revision=revision,
    )
    return access, [row[3:] for row in found]


def list_plants(organisation_id: int, *, offset: int, limit: int) -> list[tuple[Any, ...]]:
    """Rows for `list` in the order of their ids, one more than `limit` when there are more."""
    return prepared.rows(_LIST, [organisation_id, limit + 1, offset])


def count_plants(organisation_id: int) -> int:
    """How many plants the organisation has."""
    return Plant.objects.filter(organisation_id=organisation_id).count()


def count_waiting_updates(*, organisation_id: int, limit: int) -> int:
    """How many config updates of Voke wait for a person, counted no further than the limit."""
    rows = ConfigUpdateRequest.objects.filter(plant__organisation_id=organisation_id, state=UpdateState.OPEN)
    return rows.order_by()[:limit].count()
