"""What a stand-in is told: partner, transport, sites, timing and faults, as frozen typed values.

Units are in the names. Times ending in `_plant_s` run on plant time (real time multiplied by `factor`), all
others on the wall clock. Secrets never show in a repr. `config_load` reads these from a file, the
environment and the command line; every refusal names the field.
"""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from vcp import DEFAULT_SIGNED_FAMILIES, AssetType, KeyDecoding, QueueNames, queue_names
from voke_sim.faults import FaultRule

Positive = Annotated[float, Meta(gt=0, le=1e9)]
NonNegative = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Efficiency = Annotated[float, Meta(gt=0, le=1)]
Text = Annotated[str, Meta(min_length=1, max_length=4_096)]
DeviceId = Annotated[str, Meta(pattern=r"^[A-Z0-9_-]{1,32}\Z")]
Port = Annotated[int, Meta(ge=0, le=65_535)]


class SiteIdKind(StrEnum):
    """Which of a site's two names Voke's own messages carry as `siteId`."""

    UUID = "uuid"
    EXTERNAL = "external"


class TransportKind(StrEnum):
    """How messages travel. `memory` needs a broker handed over by the embedding program."""

    AMQP = "amqp"
    MEMORY = "memory"


class LoadProfile(StrEnum):
    """The shape of a site's own consumption over a day."""

    FLAT = "flat"
    HOUSEHOLD = "household"
    OFFICE = "office"
    INDUSTRY = "industry"


class FveReduction(StrEnum):
    """How the value of FVE_REDUCE_PERCENT is meant; the sources do not say."""

    CEILING = "ceiling"
    """50 = at most 50 % of the peak power."""
    CUT = "cut"
    """30 = 30 % less than the peak power."""


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every configuration value: a misspelt field refuses to start."""


class PartnerConfig(Struct, frozen=True, kw_only=True):
    """The partner key that this stand-in serves."""

    slug: Text
    signing_key: Text
    """HMAC key of the partner key's signed families."""
    routing_prefix: Text | None = None
    """First word of routing keys; None = `queue_prefix`."""
    queue_prefix: Text | None = None
    """Middle of queue names; None = `slug`."""
    queues: dict[str, str] = {}
    """Queue names where they differ from `vcp.{queue_prefix}.…`, by the bundle's keys."""
    key_decoding: KeyDecoding = KeyDecoding.HEX
    signed_families: tuple[str, ...] = tuple(sorted(DEFAULT_SIGNED_FAMILIES))

    @property
    def prefix(self) -> str:
        """The routing prefix in force."""
        return self.routing_prefix or self.queue_prefix or self.slug

    @property
    def queue_names(self) -> QueueNames:
        """The seven queues of the partner's vhost."""
        return queue_names(self.queue_prefix or self.slug, self.queues)

    def __repr__(self) -> str:
        return f"PartnerConfig(slug={self.slug!r}, signing_key=***)"


class TransportConfig(Struct, frozen=True, kw_only=True):
    """Where the broker is and how patiently it is talked to."""

    kind: TransportKind = TransportKind.AMQP
    uri: Text | None = None
    """`amqps://user:password@host:port/vhost`; required for `amqp`."""
    ca_file: Text | None = None
    """PEM file of the authorities trusted for the broker; None = the system's."""
    vhost: Text = "partner-demo"
    """The vhost of the in-process broker; over AMQP the URI names it."""
    declare_topology: bool = False
    """Create exchange, queues and bindings. Off towards a real Voke broker, where they pre-exist."""
    prefetch: Annotated[int, Meta(ge=1, le=10_000)] = 100
    heartbeat_s: Annotated[int, Meta(ge=1, le=600)] = 10
    connect_timeout_s: Positive = 10.0
    confirm_timeout_s: Positive = 5.0
    reconnect_min_s: Positive = 0.5
    reconnect_max_s: Positive = 30.0

    def __repr__(self) -> str:
        return f"TransportConfig(kind={self.kind.value!r}, declare_topology={self.declare_topology})"


class ProtocolConfig(Struct, frozen=True, kw_only=True):
    """How Voke reads and writes the wire."""

    source: Text = "voke"
    site_id_kind: SiteIdKind = SiteIdKind.UUID
    replay_tolerance_s: Positive = 300.0
    """A message whose timestamp is further from now is dropped silently."""
    keep_s: Positive = 7 * 86_400.0
    """How long the journal remembers messages, hence the deduplication window."""
    fve_reduction: FveReduction = FveReduction.CEILING
    max_waiting: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Open commands per site (waiting or running); one more is refused."""


class TelemetryConfig(Struct, frozen=True, kw_only=True):
    """How often a site reports, in real seconds."""

    realtime_period_s: Positive = 10.0
    meter_period_s: Positive = 60.0


class ExecutionConfig(Struct, frozen=True, kw_only=True):
    """When a command counts as carried out."""

    stable_plant_s: NonNegative = 30.0
    """How long the measured value must stay within tolerance before COMPLETED."""
    deadline_plant_s: Positive = 300.0
    """After so long without reaching the target the command is DEVIATED."""
    tolerance_kw: NonNegative = 0.5
    tolerance_pct: Percent = 3.0
    """Of the target; the larger of the two tolerances counts."""


class AlarmConfig(Struct, frozen=True, kw_only=True):
    """How alarms come and go."""

    clear_after_s: Positive = 30.0
    """A constraint or missed-slot alarm is cleared after so many real seconds."""
    mode_grace_plant_s: Positive = 600.0
    """A mode whose limits are broken for longer raises OPERATING_MODE_NOT_HONORED."""


class ReverseConfig(Struct, frozen=True, kw_only=True):
    """Voke as HTTP client of the partner's reverse channel."""

    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=2_048)]
    client_id: Text
    client_secret: Text
    ca_file: Text | None = None
    list_period_s: Positive = 60.0
    config_period_s: Positive = 60.0
    update_period_s: Positive = 300.0
    update_probability: Share = 0.25
    """Chance of a config update at each `update_period_s`; drawn from the seed."""
    follow_period_s: Positive = 5.0
    """Pause before a non-terminal update is asked for again."""
    follow_attempts: Annotated[int, Meta(ge=1, le=100)] = 10
    timeout_s: Positive = 10.0
    retry_min_s: Positive = 1.0
    retry_max_s: Positive = 60.0

    def __repr__(self) -> str:
        return f"ReverseConfig(base_url={self.base_url!r}, client_id={self.client_id!r}, client_secret=***)"


class RestConfig(Struct, frozen=True, kw_only=True):
    """The partner-facing REST reads; port 0 takes a free one."""

    api_key: Text
    host: Text = "127.0.0.1"
    port: Port = 0
    scopes: tuple[str, ...] = ("vcp:read",)

    def __repr__(self) -> str:
        return f"RestConfig(host={self.host!r}, port={self.port}, api_key=***)"


class BatteryConfig(Struct, frozen=True, kw_only=True):
    """A battery; `soc_*` are its own hard limits, apart from the partner's constraints."""

    device_id: DeviceId
    capacity_kwh: Positive
    max_charge_kw: Positive
    max_discharge_kw: Positive
    soc_pct: Percent = 50.0
    """State of charge at the first start."""
    soc_min_pct: Percent = 5.0
    soc_max_pct: Percent = 100.0
    charge_efficiency: Efficiency = 0.96
    discharge_efficiency: Efficiency = 0.96
    ramp_pct_per_s: Positive = 10.0
    """Of the larger power limit, per plant second."""


class PvConfig(Struct, frozen=True, kw_only=True):
    """A photovoltaic plant behind one inverter."""

    device_id: DeviceId
    peak_kw: Positive
    asset_type: AssetType = AssetType.FVE
    ramp_pct_per_s: Positive = 20.0


class OtherDeviceConfig(Struct, frozen=True, kw_only=True):
    """A device without physics of its own: it is reported with a constant share of the consumption."""

    device_id: DeviceId
    asset_type: AssetType
    power_kw: NonNegative = 0.0


class LoadConfig(Struct, frozen=True, kw_only=True):
    """A site's own consumption."""

    mean_kw: NonNegative = 10.0
    profile: LoadProfile = LoadProfile.OFFICE
    noise_pct: Percent = 3.0


class WeatherConfig(Struct, frozen=True, kw_only=True):
    """Sun and clouds over a site, in plant time."""

    latitude_deg: Annotated[float, Meta(ge=-66, le=66)] = 50.0
    start_day_of_year: Annotated[int, Meta(ge=1, le=365)] = 172
    start_hour: Annotated[float, Meta(ge=0, lt=24)] = 10.0
    """Local solar hour of the first plant second: plant days do not follow the wall clock."""
    mean_clearness: Share = 0.8
    cloud_noise: Share = 0.08
    """Standard deviation of the clearness around its mean."""


class SiteConfig(Struct, frozen=True, kw_only=True):
    """One plant: its two names, its devices, and the numbers its modes work with."""

    site_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
    external_plant_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    name: Text = "Site"
    batteries: tuple[BatteryConfig, ...] = ()
    pv: tuple[PvConfig, ...] = ()
    others: tuple[OtherDeviceConfig, ...] = ()
    load: LoadConfig = LoadConfig()
    weather: WeatherConfig = WeatherConfig()
    limits: dict[str, Any] = {}
    """Limits that Voke knows before the partner publishes any, in the members of config.constraints."""
    peak_shaving_kw: NonNegative = 20.0
    """PEAK_SHAVING keeps the import below this."""
    grid_target_kw: Annotated[float, Meta(ge=-1e9, le=1e9)] = 0.0
    """GRID_TARGET keeps the grid power here; + = import."""
    lds_band_kw: NonNegative = 10.0
    """LDS_SUPPORT keeps the grid power within plus or minus this."""

    @property
    def device_ids(self) -> tuple[str, ...]:
        """All devices that stand at the site."""
        return (
            *(battery.device_id for battery in self.batteries),
            *(pv.device_id for pv in self.pv),
            *(other.device_id for other in self.others),
        )


class SimConfig(Struct, frozen=True, kw_only=True):
    """Everything one stand-in needs."""

    partner: PartnerConfig
    sites: Annotated[tuple[SiteConfig, ...], Meta(min_length=1, max_length=1_000)]
    transport: TransportConfig = TransportConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    execution: ExecutionConfig = ExecutionConfig()
    alarms: AlarmConfig = AlarmConfig()
    reverse: ReverseConfig | None = None
    rest: RestConfig | None = None
    faults: tuple[FaultRule, ...] = ()
    journal_path: Text = ":memory:"
    """SQLite file of everything received, done and sent; the default forgets at the end of the process."""
    seed: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 1
    factor: Annotated[float, Meta(gt=0, le=86_400)] = 1.0
    """Plant seconds per real second; the wire's timestamps stay real."""
    physics_step_s: Annotated[float, Meta(gt=0, le=60)] = 1.0
    """Plant time of one physics step."""
    tick_period_s: Annotated[float, Meta(ge=0.01, le=10)] = 0.1
    log_level: Annotated[str, Meta(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = field(default="INFO")
