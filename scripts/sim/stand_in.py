"""The stand-in's configuration for the sim profile: a modelled site for every plant of the plants document.

What stands at a site follows from the plant's assets and ratings, so that the platform's plants and the modelled ones
can't drift apart. Secrets are not in it: the stand-in reads them from files (`VOKE_SIM_…_FILE`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.sim.broker import SLUG

FACTOR = 30.0
"""Plant seconds per real second; everything on the wire stays real."""
_LOAD_SHARE = 0.25
_CHARGER_SHARE = 0.25
"""Mean consumption as a share of the site's import limit, and of a charger's rating."""
_PV_TYPES = ("FVE", "INVERTER")


def configuration(
    plants: Sequence[Mapping[str, Any]], *, reverse_url: str, rest_host: str, rest_port: int
) -> dict[str, Any]:
    """What `python -m voke_sim --config` reads; `plants` is the document that `manage.py import_plants` takes."""
    return {
        "partner": {"slug": SLUG},
        "transport": {"kind": "amqp", "declare_topology": False},
        "telemetry": {"realtime_period_s": 2, "meter_period_s": 10},
        "execution": {"stable_plant_s": 20, "deadline_plant_s": 240},
        "reverse": {
            "base_url": reverse_url,
            "list_period_s": 30,
            "config_period_s": 30,
            "update_period_s": 60,
            "update_probability": 0.5,
        },
        "rest": {"host": rest_host, "port": rest_port},
        "factor": FACTOR,
        "sites": [_site(plant) for plant in plants],
    }


def _site(plant: Mapping[str, Any]) -> dict[str, Any]:
    assets = plant.get("assets", [])
    return {
        "site_id": plant["vokeUuid"],
        "external_plant_id": plant["externalPlantId"],
        "name": plant["name"],
        "batteries": [_battery(asset) for asset in assets if asset["assetType"] == "BESS"],
        "pv": [
            {
                "device_id": asset["deviceId"],
                "peak_kw": asset["ratedPowerKw"],
                "asset_type": asset["assetType"],
            }
            for asset in assets
            if asset["assetType"] in _PV_TYPES
        ],
        "others": [_other(asset) for asset in assets if asset["assetType"] not in ("BESS", *_PV_TYPES)],
        "load": _load(plant),
    }


def _battery(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "device_id": asset["deviceId"],
        "capacity_kwh": asset["capacityKwh"],
        "max_charge_kw": asset["ratedPowerKw"],
        "max_discharge_kw": asset["ratedPowerKw"],
    }


def _other(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "device_id": asset["deviceId"],
        "asset_type": asset["assetType"],
        "power_kw": _CHARGER_SHARE * asset.get("ratedPowerKw", 0),
    }


def _load(plant: Mapping[str, Any]) -> dict[str, Any]:
    if not plant.get("plantWithLoad"):
        return {"mean_kw": 0, "noise_pct": 0}
    return {"mean_kw": _LOAD_SHARE * plant["maxImportKw"], "profile": "industry"}
