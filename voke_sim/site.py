"""One site at work: its configuration, its orders, its plant, and the questions that the rules ask of it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from vcp import (
    AssetType,
    Constraints,
    EmergencyType,
    Fallback,
    Family,
    Topology,
    TopologyAsset,
    parse_payload,
)
from voke_sim.config import BatteryConfig, ExecutionConfig, PvConfig, SiteConfig
from voke_sim.control.stack import in_force, running_slots
from voke_sim.faults import FaultBoard, FaultKind
from voke_sim.physics.plant import PlantState, initial_state
from voke_sim.state import DevicePlan, OpenCommand, Setpoint, SetpointPlan, SiteState


class Site:
    """Mutable, owned by the engine's thread; every change is saved with the tick that made it."""

    def __init__(
        self, config: SiteConfig, *, state: SiteState | None = None, plant: PlantState | None = None
    ) -> None:
        self.config = config
        self.state = state or SiteState()
        self.plant = plant or initial_state(config)
        self.plant_debt_s = 0.0
        """Plant time owed to the next physics step."""
        self.last_tick_at: datetime | None = None
        self.next_realtime_at: datetime | None = None
        self.next_meter_at: datetime | None = None
        self.target: tuple[str, str, float | None] | None = None
        """What steers it (source, key, kW), as journalled last; a restart journals it again."""
        self.batteries: dict[str, BatteryConfig] = {
            battery.device_id: battery for battery in config.batteries
        }
        self.pv: dict[str, PvConfig] = {pv.device_id: pv for pv in config.pv}
        self._read_configuration()

    @property
    def names(self) -> tuple[str, str]:
        """UUID and externalPlantId."""
        return (self.config.site_id, self.config.external_plant_id)

    # Configuration by the partner -----------------------------------------------------------------------

    def configure(self, family: Family, wire: dict[str, Any]) -> None:
        """Take over a config payload, in wire form as it is saved."""
        match family:
            case Family.CONFIG_CONSTRAINTS:
                self.state.constraints = wire
            case Family.CONFIG_TOPOLOGY:
                self.state.topology = wire
            case Family.CONFIG_FALLBACK:
                self.state.fallback = wire
            case _:
                raise ValueError(f"{family} is no config family")
        self._read_configuration()

    def _read_configuration(self) -> None:
        state = self.state
        limits = state.constraints if state.constraints is not None else self.config.limits
        self.constraints = cast(Constraints, parse_payload(Family.CONFIG_CONSTRAINTS, limits))
        self.topology: Topology | None = None
        self.fallback: Fallback | None = None
        if state.topology is not None:
            self.topology = cast(Topology, parse_payload(Family.CONFIG_TOPOLOGY, state.topology))
        if state.fallback is not None:
            self.fallback = cast(Fallback, parse_payload(Family.CONFIG_FALLBACK, state.fallback))

    def asset(self, device_id: str) -> TopologyAsset | None:
        """The published sub-device of that id."""
        assets = self.topology.assets if self.topology is not None else ()
        return next((asset for asset in assets if asset.device_id == device_id), None)

    def has(self, *asset_types: AssetType) -> bool:
        """Whether the site can act through such an asset: it stands there and, once a topology is
        known, is in it.
        """
        standing = dict.fromkeys(self.batteries, AssetType.BESS)
        standing.update({name: pv.asset_type for name, pv in self.pv.items()})
        topology = self.topology
        listed = None if topology is None else {asset.device_id for asset in topology.assets}
        return any(kind in asset_types for name, kind in standing.items() if listed is None or name in listed)

    # Orders ---------------------------------------------------------------------------------------------

    def candidates(self, at: datetime) -> list[Setpoint]:
        """All targets that could be in force: setpoints, and the running slots of schedules."""
        return [*self.state.setpoints, *running_slots(self.state.schedules.values(), at)]

    def setpoint_in_force(self, at: datetime) -> Setpoint | None:
        """The target that the plant follows, unless an emergency stands above it."""
        return in_force(self.candidates(at), at)

    @property
    def is_stopped(self) -> bool:
        """Whether an emergency STOP is in force."""
        emergency = self.state.emergency
        return emergency is not None and emergency.kind is EmergencyType.STOP

    def drop_setpoints(self, doomed: Callable[[Setpoint], bool], reason: str) -> None:
        """End setpoints; commands that still work on one learn why."""
        gone = {setpoint.key for setpoint in self.state.setpoints if doomed(setpoint)}
        self.state.setpoints = [setpoint for setpoint in self.state.setpoints if setpoint.key not in gone]
        for key in gone:
            self.state.energy.pop(key, None)
        for command in self.state.open_commands:
            if isinstance(command.plan, SetpointPlan) and command.plan.setpoint.key in gone:
                command.end_reason = reason

    def drop_device_orders(self, reason: str) -> None:
        """End the orders to single devices; commands that still work on one learn why."""
        self.state.device_orders.clear()
        for command in self.started(DevicePlan):
            command.end_reason = reason

    def started(self, kind: type[object]) -> list[OpenCommand]:
        """Open commands of a kind of plan that have begun."""
        return [
            command
            for command in self.state.open_commands
            if command.started_at is not None and isinstance(command.plan, kind)
        ]

    # Faults ---------------------------------------------------------------------------------------------

    def broken_devices(self, faults: FaultBoard) -> frozenset[str]:
        """Devices that a fault keeps from giving any power."""
        return frozenset(
            name
            for name in (*self.batteries, *self.pv)
            if faults.for_device(FaultKind.DEVICE_FAULT, self.names, name)
        )


def tolerance_kw(execution: ExecutionConfig, target_kw: float) -> float:
    """How far a measured power may be from its target and still count as reached."""
    return max(execution.tolerance_kw, abs(target_kw) * execution.tolerance_pct / 100.0)
