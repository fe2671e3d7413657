"""Small, honest rows for tests: an organisation with an active connection, a plant with a battery and PV."""

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import TextField, Value

from dispatch.policy import Policy, current_policy
from dispatch.requests import Actor
from plants.models import Asset, Connection, ConnectionMode, Organisation, Plant, PlantState
from plants.services.organisations import bump_revision, create_organisation
from plants.services.plants import save_assets, save_plant
from plants.time_config import Block
from vcp import DEFAULT_SIGNED_FAMILIES, Family

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
SIGNING_KEY = "00112233445566778899aabbccddeeff" * 2
OPERATOR = Actor(name="operator")
_number = itertools.count(1)


def organisation(**changes: Any) -> Organisation:
    n = next(_number)
    return create_organisation(**({"name": f"Energy {n}", "slug": f"energy-{n}", "at": AT} | changes))


def connection(*, owner: Organisation | None = None, **changes: Any) -> Connection:
    n = next(_number)
    facts: dict[str, Any] = {
        "organisation": owner or organisation(),
        "name": f"key {n}",
        "mode": ConnectionMode.ACTIVE,
        "slug": "acme",
        "queue_prefix": "acme",
        "routing_prefix": "acme",
        "vhost": f"partner-{n}",
        "key_id": str(n),
        "source": "ref-esm",
        "signed_families": sorted({*DEFAULT_SIGNED_FAMILIES, Family.COMMAND_EMERGENCY}),
        "amqps_uri": f"amqps://acme:key@localhost:5671/partner-{n}",
        "api_key": "key",
        "signing_key": SIGNING_KEY,
        "created_at": AT,
    }
    return Connection.objects.create(**(facts | changes))


def make_undecryptable(link: Connection, *names: str) -> None:
    """Store texts whose key version is gone, past the field that would encrypt them."""
    broken = Value("gone$gAAAAx", output_field=TextField())
    Connection.objects.filter(pk=link.pk).update(**dict.fromkeys(names or ("signing_key",), broken))


def unsaved_plant(*, on: Connection | None = None, **changes: Any) -> Plant:
    n = next(_number)
    link = on or connection()
    facts: dict[str, Any] = {
        "organisation": link.organisation,
        "connection": link,
        "external_plant_id": f"PLANT-{n}",
        "voke_uuid": uuid.UUID(int=n),
        "name": f"Depot {n}",
        "max_import_kw": 100.0,
        "max_export_kw": 50.0,
        "max_charge_kw": 40.0,
        "max_discharge_kw": 40.0,
    }
    return Plant(**(facts | changes))


def battery(external_id: str = "B1", **changes: Any) -> Asset:
    facts: dict[str, Any] = {"asset_type": "BESS", "rated_power_kw": 40.0, "capacity_kwh": 80.0}
    return Asset(external_id=external_id, **(facts | changes))


def pv(external_id: str = "S1", **changes: Any) -> Asset:
    return Asset(external_id=external_id, **({"asset_type": "FVE", "rated_power_kw": 60.0} | changes))


def plant(*, on: Connection | None = None, assets: Sequence[Asset] | None = None, **changes: Any) -> Plant:
    """A saved plant with battery B1 and PV S1 unless other assets are given.

    What `save_plant` and `save_assets` write, without their checks: a third of the cost, thousands of times in a run
    (tests/plants/test_factories.py shows that the rows are the same).
    """
    row = unsaved_plant(on=on, **changes)
    of_plant = [battery(), pv()] if assets is None else assets
    row.created_at = row.updated_at = AT
    row.site_revision += bool(of_plant)
    with transaction.atomic():
        row.save(force_insert=True)
        PlantState.objects.create(plant=row)
        for asset in of_plant:
            asset.plant = row
        Asset.objects.bulk_create(of_plant)
        for _ in range(1 + bool(of_plant)):
            bump_revision(organisation_id=row.organisation_id)
    row.refresh_from_db()
    return row


def checked_plant(
    *, on: Connection | None = None, assets: Sequence[Asset] | None = None, **changes: Any
) -> Plant:
    """The same by the services that the platform uses; raises what they raise."""
    row = save_plant(plant=unsaved_plant(on=on, **changes), at=AT)
    save_assets(plant=row, changed=[battery(), pv()] if assets is None else assets, removed=[], at=AT)
    row.refresh_from_db()
    return row


def block(start: int = 0, end: int = 1440, **changes: Any) -> Block:
    """A time-config block in local minutes; -10..10 kW and 20..95 % unless told otherwise."""
    facts: dict[str, Any] = {
        "p_bat_min_kw": -10.0,
        "p_bat_max_kw": 10.0,
        "soc_min_pct": 20.0,
        "soc_max_pct": 95.0,
    }
    return Block(start_minute=start, end_minute=end, **(facts | changes))


def policy() -> Policy:
    return current_policy()
