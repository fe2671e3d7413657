"""What the reverse channel reads; every answer is bounded and within one organisation."""

from dataclasses import dataclass
from typing import Any

from django.db.models import F, FilteredRelation, OuterRef, Q, Subquery

from plants.models import Plant
from plants.selectors.plants import blocks_of_version
from plants.time_config import Block
from trading_api.auth import Claims
from trading_api.errors import TokenRevoked
from trading_api.models import Credential, ServedVersion

_PLANT_COLUMNS = (
    "external_plant_id", "name", "description", "capacity_kwh", "fve_peak_power_kwp", "plant_with_load",
    "config_enabled", "esi_state",
)  # fmt: skip


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
    row = Credential.objects.filter(client_id=client_id).first()
    if row is None:
        return None
    return StoredSecret(
        credential_id=row.pk,
        organisation_id=row.organisation_id,
        client_id=row.client_id,
        secret_hash=row.secret_hash,
        pepper_version=row.pepper_version,
        enabled=row.enabled,
        revision=row.revision,
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
    rows = Credential.objects.filter(client_id=claims.client_id)
    columns = ["pk", "organisation_id", "enabled", "revision", "organisation__revision"]
    if plant_ref is not None:
        rows = _with_plant(rows, plant_ref)
        columns += [
            f"asked__{name}" for name in ("pk", "external_plant_id", "config_enabled", "time_config_id")
        ]
        columns += ["asked__time_config__number", "served_number"]
    row = rows.values(*columns).first()
    if row is None or not row["enabled"] or row["revision"] != claims.revision:
        raise TokenRevoked("the token was revoked", client_id=claims.client_id)
    return Access(
        credential_id=row["pk"],
        client_id=claims.client_id,
        organisation_id=row["organisation_id"],
        organisation_revision=row["organisation__revision"],
        plant=None if plant_ref is None else _plant_view(row),
    )


def _with_plant(rows: Any, plant_ref: str) -> Any:
    served = ServedVersion.objects.filter(credential=OuterRef("pk"), plant=OuterRef("asked__pk"))
    return rows.annotate(
        asked=FilteredRelation(
            "organisation__plants", condition=Q(organisation__plants__external_plant_id=plant_ref)
        ),
        served_number=Subquery(served.values("number")[:1]),
    )


def _plant_view(row: dict[str, Any]) -> PlantView | None:
    if row["asked__pk"] is None:
        return None
    return PlantView(
        plant_id=row["asked__pk"],
        external_plant_id=row["asked__external_plant_id"],
        config_enabled=row["asked__config_enabled"],
        version_id=row["asked__time_config_id"],
        version_number=row["asked__time_config__number"] or 0,
        served_number=row["served_number"],
    )


def whose(client_id: str) -> tuple[int, int] | None:
    """(credential, organisation) of a client id: whom a refused request is booked on in the journal."""
    return Credential.objects.filter(client_id=client_id).values_list("pk", "organisation_id").first()


def blocks_in_force(plant: PlantView) -> list[Block]:
    """The blocks of the plant's current version; empty while it has none."""
    return [] if plant.version_id is None else blocks_of_version(plant.version_id)


def list_plants(organisation_id: int, *, offset: int, limit: int) -> list[dict[str, Any]]:
    """Rows for `list` in the order of their ids, one more than `limit` when there are more."""
    plants = Plant.objects.filter(organisation_id=organisation_id).order_by("external_plant_id")
    return list(plants.values(*_PLANT_COLUMNS)[offset : offset + limit + 1])


def count_plants(organisation_id: int) -> int:
    """How many plants the organisation has."""
    return Plant.objects.filter(organisation_id=organisation_id).count()
