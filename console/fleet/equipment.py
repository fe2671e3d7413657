"""What a plant has of PV, battery and load, where the list misses a value: of what it has not, none is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from console.fleet.reading import PlantFacts
from console.plant.flow import PV_TYPES
from plants.models import Asset, Plant
from vcp import AssetType


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """As the picture of the plant's energy flow draws it."""

    pv: bool = False
    battery: bool = False
    load: bool = False


def equipment_of(plants: Sequence[PlantFacts]) -> Mapping[int, Equipment]:
    """{plant id: what it has} of the plants that miss a value: one statement for all of them, none where none does."""
    missing = [one.id for one in plants if _misses(one)]
    if not missing:
        return {}
    assets = Asset.objects.filter(plant=OuterRef("pk"))
    rows = (
        Plant.objects.filter(pk__in=missing)
        .annotate(
            of_pv=Exists(assets.filter(asset_type__in=PV_TYPES)),
            of_battery=Exists(assets.filter(asset_type=AssetType.BESS)),
        )
        .values_list("pk", "fve_peak_power_kwp", "of_pv", "capacity_kwh", "of_battery", "plant_with_load")
    )
    return {
        pk: Equipment(pv=bool(peak_kwp or of_pv), battery=bool(kwh or of_battery), load=with_load)
        for pk, peak_kwp, of_pv, kwh, of_battery, with_load in rows
    }


def _misses(one: PlantFacts) -> bool:
    return None in (one.fve_power_kw, one.battery_power_kw, one.consumption_power_kw, one.soc_pct)
