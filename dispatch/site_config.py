"""config.topology and config.constraints of a plant, built from what we know of it. Pure given the rows.

Interpretation: the shapes of both payloads are not public; they live in `vcp.siteconfig` behind this mapping.
"""

from collections.abc import Sequence

from plants.models import Asset, Plant
from vcp import AssetType, Constraints, Topology, TopologyAsset


def topology_of(assets: Sequence[Asset]) -> Topology:
    """What Voke resolves device commands against."""
    return Topology(
        assets=tuple(
            TopologyAsset(
                device_id=asset.external_id,
                asset_type=AssetType(asset.asset_type),
                name=asset.name or None,
                rated_power_kw=asset.rated_power_kw,
                capacity_kwh=asset.capacity_kwh,
            )
            for asset in assets
        )
    )


def constraints_of(plant: Plant) -> Constraints:
    """The site's limits; an unknown limit is left out."""
    return Constraints(
        max_import_kw=plant.max_import_kw,
        max_export_kw=plant.max_export_kw,
        soc_min_pct=plant.soc_min_pct,
        soc_max_pct=plant.soc_max_pct,
        max_charge_kw=plant.max_charge_kw,
        max_discharge_kw=plant.max_discharge_kw,
    )
