"""The modelled Voke of the demo: the stand-in configured for the demo's three plants."""

from pathlib import Path

from esm.demo.installation import DemoInstallation
from vcp import AssetType
from voke_sim.config import (
    BatteryConfig,
    ExecutionConfig,
    LoadConfig,
    LoadProfile,
    OtherDeviceConfig,
    PartnerConfig,
    PvConfig,
    ReverseConfig,
    SimConfig,
    SiteConfig,
    TelemetryConfig,
    TransportConfig,
    TransportKind,
    WeatherConfig,
)

FACTOR = 30.0
"""Plant seconds per real second."""


def stand_in_config(installation: DemoInstallation, *, base_url: str, journal: Path, seed: int) -> SimConfig:
    """The stand-in's configuration; everything on the wire is real, only the plants' physics runs faster."""
    connection = installation.connection
    return SimConfig(
        partner=PartnerConfig(
            slug=connection.slug,
            signing_key=str(connection.signing_key),
            signed_families=tuple(connection.signed_families),
        ),
        sites=_sites({plant.external_plant_id: str(plant.voke_uuid) for plant in installation.plants}),
        transport=TransportConfig(kind=TransportKind.MEMORY, vhost=connection.vhost, declare_topology=True),
        telemetry=TelemetryConfig(realtime_period_s=1.0, meter_period_s=5.0),
        execution=ExecutionConfig(stable_plant_s=20.0, deadline_plant_s=240.0),
        reverse=ReverseConfig(
            base_url=base_url,
            client_id=installation.client_id,
            client_secret=installation.client_secret,
            list_period_s=15.0,
            config_period_s=15.0,
            update_period_s=8.0,
            update_probability=0.7,
        ),
        journal_path=str(journal),
        seed=seed,
        factor=FACTOR,
        # What arrives wakes it at once; each tick costs, whether something happens or not.
        tick_period_s=0.2,
    )


def _sites(uuids: dict[str, str]) -> tuple[SiteConfig, ...]:
    return (
        SiteConfig(
            site_id=uuids["BREWERY"],
            external_plant_id="BREWERY",
            name="Brewery Přerov",
            batteries=(
                BatteryConfig(
                    device_id="B1", capacity_kwh=200, max_charge_kw=100, max_discharge_kw=100, soc_pct=58
                ),
            ),
            pv=(PvConfig(device_id="S1", peak_kw=120),),
            load=LoadConfig(mean_kw=60, profile=LoadProfile.INDUSTRY),
            weather=WeatherConfig(latitude_deg=49.5, mean_clearness=0.75),
        ),
        SiteConfig(
            site_id=uuids["SOLAR-PARK"],
            external_plant_id="SOLAR-PARK",
            name="Solar park Hodonín",
            pv=(
                PvConfig(device_id="S1", peak_kw=500),
                PvConfig(device_id="S2", peak_kw=400, asset_type=AssetType.INVERTER),
            ),
            load=LoadConfig(mean_kw=0, noise_pct=0),
            weather=WeatherConfig(latitude_deg=48.9, mean_clearness=0.85),
        ),
        SiteConfig(
            site_id=uuids["BUS-DEPOT"],
            external_plant_id="BUS-DEPOT",
            name="Bus depot Křimice",
            batteries=(
                BatteryConfig(
                    device_id="B1", capacity_kwh=200, max_charge_kw=75, max_discharge_kw=75, soc_pct=45
                ),
                BatteryConfig(
                    device_id="B2", capacity_kwh=200, max_charge_kw=75, max_discharge_kw=75, soc_pct=70
                ),
            ),
            others=(OtherDeviceConfig(device_id="EV1", asset_type=AssetType.EV_CHARGER, power_kw=40),),
            load=LoadConfig(mean_kw=90, profile=LoadProfile.OFFICE),
        ),
    )
