"""Site configuration that the partner sends: limits, topology, fallback.

That config.topology has `assets[]`, that device commands resolve against it and that a breach of
config.constraints is answered CONSTRAINT_VIOLATION is documented [doc]. Interpretation: the members are
not public; they are the fact sheet's working shapes, kept in this one module so that the real contract can
replace them.
"""

from typing import Annotated, Final

from msgspec import Meta, field

from vcp.errors import InvalidValue
from vcp.said import said
from vcp.structs import ExternalId, NonNegative, Percent, WireStruct
from vcp.vocabulary import AssetType, OperatingMode

MAX_ASSETS: Final = 500
MAX_NAME_LENGTH: Final = 200
MAX_FALLBACK_AFTER_S: Final = 7 * 86_400


class Constraints(WireStruct, frozen=True, kw_only=True):
    """Limits of a site in kW and percent of battery capacity; None = no such limit."""

    max_import_kw: NonNegative | None = field(name="maxImportKw", default=None)
    max_export_kw: NonNegative | None = field(name="maxExportKw", default=None)
    soc_min_pct: Percent | None = field(name="socMinPercent", default=None)
    soc_max_pct: Percent | None = field(name="socMaxPercent", default=None)
    max_charge_kw: NonNegative | None = field(name="maxChargeKw", default=None)
    max_discharge_kw: NonNegative | None = field(name="maxDischargeKw", default=None)

    def __post_init__(self) -> None:
        if (
            self.soc_min_pct is not None
            and self.soc_max_pct is not None
            and self.soc_min_pct > self.soc_max_pct
        ):
            raise InvalidValue(said("must not be below socMinPercent"), path="socMaxPercent")


class TopologyAsset(WireStruct, frozen=True, kw_only=True):
    """A sub-device of the site: rated power in kW, usable energy in kWh (batteries)."""

    device_id: ExternalId = field(name="deviceId")
    asset_type: AssetType = field(name="assetType")
    name: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] | None = field(name="name", default=None)
    rated_power_kw: NonNegative | None = field(name="ratedPowerKw", default=None)
    capacity_kwh: NonNegative | None = field(name="capacityKwh", default=None)


class Topology(WireStruct, frozen=True, kw_only=True):
    """All sub-devices that device commands may name, each once."""

    assets: Annotated[tuple[TopologyAsset, ...], Meta(max_length=MAX_ASSETS)] = field(name="assets")

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for index, asset in enumerate(self.assets):
            if asset.device_id in seen:
                raise InvalidValue(said("an externalId is unique per site"), path=f"assets[{index}].deviceId")
            seen.add(asset.device_id)


class Fallback(WireStruct, frozen=True, kw_only=True):
    """The mode a site falls back to when it has heard nothing for `after_s` seconds."""

    mode: OperatingMode = field(name="mode")
    after_s: Annotated[int, Meta(ge=1, le=MAX_FALLBACK_AFTER_S)] = field(name="afterSeconds")
