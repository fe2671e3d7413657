"""command.device: a batch of orders to single devices.

Interpretations:
- A device is looked up in the topology that the partner published; none published means every device is
  unknown.
- A device named twice in one batch is refused the second time (INVALID_COMMAND).
- `respectLimits: true` clamps the power into the site's limits and the device's rating; false or absent
  refuses a breach of the site's limits (CONSTRAINT_VIOLATION) and lets a power beyond the rating end
  DEVIATED.
- BESS_CHARGE_ONLY and BESS_DISCHARGE_ONLY forbid the other direction and leave the rest to whoever steers
  the site; their optional power is the most that is allowed. BESS_CONTINUOUS_CHARGE charges at its power,
  or at full power.
- An order holds until a newer one for the device, a newer NORMAL site setpoint, a mode command, or STOP.
- One execution per message: the powers of all its batteries (or all its PV) together.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from vcp import (
    AckStatus,
    AssetType,
    CommandResult,
    DeviceBatch,
    DeviceCommand,
    DeviceCommandType,
    DeviceParams,
    InvalidCommand,
    RejectionCode,
    check_device_command,
)
from voke_sim.commands.base import (
    READY,
    Accepted,
    Breach,
    PreEmpted,
    Progress,
    Readiness,
    Rejected,
    Tracking,
    Verdict,
    stopped,
)
from voke_sim.commands.limits import charge_limit, discharge_limit
from voke_sim.config import BatteryConfig, ProtocolConfig, PvConfig
from voke_sim.faults import FaultKind
from voke_sim.interpretation import RANK_NAME, pv_ceiling_kw
from voke_sim.physics.battery import Window
from voke_sim.site import Site, tolerance_kw
from voke_sim.state import DeviceOrder, DevicePlan, OpenCommand
from voke_sim.turn import Turn

_PV_ASSETS = (AssetType.FVE, AssetType.INVERTER)


class _Refused(msgspec.Struct, frozen=True, kw_only=True):
    code: RejectionCode
    message: str
    breach: Breach | None = None


class _Taken(msgspec.Struct, kw_only=True):
    """Power that earlier commands of the batch were granted, kW."""

    charge_kw: float = 0.0
    discharge_kw: float = 0.0


class DeviceKind:
    """The family's rules."""

    def judge(self, site: Site, payload: DeviceBatch, *, message_id: str, turn: Turn) -> Verdict:
        """Judges command by command; all refused is REJECTED, some refused is PARTIAL."""
        if site.is_stopped:
            return stopped()
        orders: list[DeviceOrder] = []
        refused: list[tuple[DeviceCommand, _Refused]] = []
        results: list[CommandResult] = []
        taken, seen = _Taken(), set[str]()
        for index, command in enumerate(payload.commands):
            answer = _judge_one(site, command, seen, taken, turn, path=f"payload.commands[{index}]")
            seen.add(command.device_id)
            if isinstance(answer, _Refused):
                refused.append((command, answer))
                results.append(_result(command, answer))
            else:
                orders.append(
                    msgspec.structs.replace(answer, order=site.state.take_order(), message_id=message_id)
                )
                results.append(CommandResult(device_id=command.device_id, status=AckStatus.ACCEPTED.value))
        breaches = tuple(answer.breach for _, answer in refused if answer.breach is not None)
        if not orders:
            first = refused[0][1]
            several = tuple(results) if len(results) > 1 else ()
            return Rejected(code=first.code, message=first.message, results=several, breaches=breaches)
        return Accepted(
            plan=DevicePlan(orders=tuple(orders)),
            results=tuple(results) if refused else (),
            breaches=breaches,
        )

    def readiness(self, site: Site, command: OpenCommand, at: datetime) -> Readiness:
        """Ready unless an emergency or a pre-empting setpoint has all devices."""
        if site.state.emergency is not None:
            return Readiness(is_ready=False, reason="an emergency is in force")
        setpoint = site.setpoint_in_force(at)
        if setpoint is not None and setpoint.rank > 0:
            return Readiness(is_ready=False, reason=f"a {RANK_NAME[setpoint.rank]} target is in force")
        return READY

    def begin(self, site: Site, command: OpenCommand, turn: Turn) -> dict[str, Any]:
        """Each order takes its device."""
        orders = _orders(command)
        for order in orders:
            site.state.device_orders[order.device_id] = order
        for other in site.started(DevicePlan):
            if other is not command and not _in_force(site, other):
                other.end_reason = "replaced by a newer device command"
        return {"devices": {order.device_id: order.command.value for order in orders}}

    def progress(self, site: Site, command: OpenCommand, turn: Turn) -> Progress:
        """All of the batch's orders that still have their device must be reached."""
        orders = _in_force(site, command)
        actual_kw, target_kw = _totals(site, orders)
        waiting = self.readiness(site, command, turn.at)
        if not waiting.is_ready:
            return PreEmpted(reason=waiting.reason, actual_kw=actual_kw, target_kw=target_kw)
        missed = [order.device_id for order in orders if not _is_reached(site, order, turn)]
        return Tracking(
            is_reached=not missed,
            actual_kw=actual_kw,
            target_kw=target_kw,
            reason=f"not reached by {', '.join(missed)}" if missed else None,
        )


def _judge_one(
    site: Site, command: DeviceCommand, seen: set[str], taken: _Taken, turn: Turn, *, path: str
) -> DeviceOrder | _Refused:
    asset = site.asset(command.device_id)
    names = site.names
    if asset is None or turn.faults.for_device(FaultKind.DEVICE_OFFLINE, names, command.device_id):
        return _Refused(
            code=RejectionCode.DEVICE_OFFLINE, message=f"{command.device_id} is unknown or unreachable"
        )
    if asset.asset_type is not command.asset_type:
        detail = f"{command.device_id} is a {asset.asset_type}, not a {command.asset_type}"
        return _Refused(code=RejectionCode.INVALID_COMMAND, message=detail)
    try:
        check_device_command(command, path=path)
    except InvalidCommand as error:
        return _Refused(code=_misfit_code(site, command), message=str(error))
    if command.device_id in seen:
        return _Refused(
            code=RejectionCode.INVALID_COMMAND, message=f"{command.device_id} is named twice in the batch"
        )
    if turn.faults.for_device(FaultKind.DEVICE_FAULT, names, command.device_id):
        return _Refused(code=RejectionCode.DEVICE_FAULT, message=f"{command.device_id} reports a fault")
    battery, pv = site.batteries.get(command.device_id), site.pv.get(command.device_id)
    if battery is not None and command.asset_type is AssetType.BESS:
        return _battery_order(site, battery, command, taken)
    if pv is not None and command.asset_type in _PV_ASSETS:
        return _pv_order(pv, command, turn.config.protocol)
    return _Refused(code=RejectionCode.DEVICE_OFFLINE, message=f"{command.device_id} does not answer")


def _misfit_code(site: Site, command: DeviceCommand) -> RejectionCode:
    """UNSUPPORTED_FOR_TOPOLOGY when nothing at the site could carry the command out."""
    wanted = _PV_ASSETS if command.command.value.startswith("FVE_") else (AssetType.BESS,)
    return RejectionCode.INVALID_COMMAND if site.has(*wanted) else RejectionCode.UNSUPPORTED_FOR_TOPOLOGY


# Batteries: the window that a command's power opens, from (power or None, most charge, most discharge).
_WINDOWS: Mapping[DeviceCommandType, Callable[[float | None, float, float], tuple[float, float]]] = {
    DeviceCommandType.BESS_CHARGE: lambda power, charge, discharge: (power or 0.0, power or 0.0),
    DeviceCommandType.BESS_DISCHARGE: lambda power, charge, discharge: (-(power or 0.0), -(power or 0.0)),
    DeviceCommandType.BESS_STOP: lambda power, charge, discharge: (0.0, 0.0),
    DeviceCommandType.BESS_CHARGE_ONLY: lambda power, charge, discharge: (
        0.0,
        charge if power is None else power,
    ),
    DeviceCommandType.BESS_DISCHARGE_ONLY: lambda power, charge, discharge: (
        -(discharge if power is None else power),
        0.0,
    ),
    DeviceCommandType.BESS_CONTINUOUS_CHARGE: lambda power, charge, discharge: (
        (charge, charge) if power is None else (power, power)
    ),
}


def _battery_order(
    site: Site, battery: BatteryConfig, command: DeviceCommand, taken: _Taken
) -> DeviceOrder | _Refused:
    params = command.params or DeviceParams()
    most_charge, most_discharge = _most_kw(site, battery)
    low_kw, high_kw = _WINDOWS[command.command](params.power_kw, most_charge, most_discharge)
    soc_pct = site.plant.batteries[battery.device_id].soc_pct
    breach = charge_limit(
        site.constraints,
        asked_kw=max(0.0, high_kw),
        taken_kw=taken.charge_kw,
        soc_pct=soc_pct,
        device_id=battery.device_id,
    ) or discharge_limit(
        site.constraints,
        asked_kw=max(0.0, -low_kw),
        taken_kw=taken.discharge_kw,
        soc_pct=soc_pct,
        device_id=battery.device_id,
    )
    if params.respect_limits:
        room = Window(
            low_kw=-max(0.0, most_discharge - taken.discharge_kw),
            high_kw=max(0.0, most_charge - taken.charge_kw),
        )
        low_kw, high_kw = room.clip(low_kw), room.clip(high_kw)
    elif breach is not None and command.command is not DeviceCommandType.BESS_STOP:
        message = f"{breach.asked:g} is beyond {breach.breached_field} {breach.limit:g}"
        return _Refused(code=RejectionCode.CONSTRAINT_VIOLATION, message=message, breach=breach)
    taken.charge_kw += max(0.0, low_kw)
    taken.discharge_kw += max(0.0, -high_kw)
    return DeviceOrder(device_id=battery.device_id, command=command.command, low_kw=low_kw, high_kw=high_kw)


def _most_kw(site: Site, battery: BatteryConfig) -> tuple[float, float]:
    """The most that the rating and the site's limits allow the battery to charge and to discharge now."""
    limits = site.constraints
    soc_pct = site.plant.batteries[battery.device_id].soc_pct
    charge = min(battery.max_charge_kw, _or_all(limits.max_charge_kw))
    discharge = min(battery.max_discharge_kw, _or_all(limits.max_discharge_kw))
    if limits.soc_max_pct is not None and soc_pct >= limits.soc_max_pct:
        charge = 0.0
    if limits.soc_min_pct is not None and soc_pct <= limits.soc_min_pct:
        discharge = 0.0
    return charge, discharge


def _or_all(limit_kw: float | None) -> float:
    return float("inf") if limit_kw is None else limit_kw


def _pv_order(pv: PvConfig, command: DeviceCommand, protocol: ProtocolConfig) -> DeviceOrder:
    params = command.params or DeviceParams()
    ceiling_kw = pv.peak_kw
    match command.command:
        case DeviceCommandType.FVE_REDUCE_PERCENT:
            ceiling_kw = pv_ceiling_kw(params.percent or 0.0, pv.peak_kw, protocol.fve_reduction)
        case DeviceCommandType.FVE_REDUCE_POWER:
            ceiling_kw = min(pv.peak_kw, params.power_kw or 0.0)
        case DeviceCommandType.FVE_STOP:
            ceiling_kw = 0.0
        case _:
            pass  # FVE_PRODUCE_MAX
    return DeviceOrder(device_id=pv.device_id, command=command.command, ceiling_kw=ceiling_kw)


def _result(command: DeviceCommand, refused: _Refused) -> CommandResult:
    return CommandResult(
        device_id=command.device_id,
        status=AckStatus.REJECTED.value,
        rejection_code=refused.code.value,
        message=refused.message,
    )


def _orders(command: OpenCommand) -> tuple[DeviceOrder, ...]:
    if not isinstance(command.plan, DevicePlan):
        raise TypeError("a device command has a device plan")
    return command.plan.orders


def _in_force(site: Site, command: OpenCommand) -> list[DeviceOrder]:
    """The command's orders that no newer one has replaced."""
    return [order for order in _orders(command) if site.state.device_orders.get(order.device_id) == order]


def _totals(site: Site, orders: list[DeviceOrder]) -> tuple[float | None, float | None]:
    """Actual and target power of the orders that name a power; nothing where batteries and PV are mixed."""
    fixed = [order for order in orders if order.low_kw is not None and order.low_kw == order.high_kw]
    capped = [order for order in orders if order.ceiling_kw is not None]
    if fixed and not capped:
        actual = sum(site.plant.batteries[order.device_id].power_kw for order in fixed)
        return actual, sum(order.low_kw or 0.0 for order in fixed)
    if capped and not fixed:
        actual = sum(site.plant.pv_kw[order.device_id] for order in capped)
        return actual, sum(_pv_target_kw(site, order) for order in capped)
    return None, None


def _pv_target_kw(site: Site, order: DeviceOrder) -> float:
    """What the inverter should give: its ceiling, or less when the sun gives less."""
    return min(order.ceiling_kw or 0.0, site.plant.pv_available_kw[order.device_id])


def _is_reached(site: Site, order: DeviceOrder, turn: Turn) -> bool:
    if order.ceiling_kw is not None:
        target_kw = _pv_target_kw(site, order)
        power_kw = site.plant.pv_kw[order.device_id]
        tolerance = tolerance_kw(turn.config.execution, target_kw)
        is_free = order.command is DeviceCommandType.FVE_PRODUCE_MAX
        return abs(power_kw - target_kw) <= tolerance if is_free else power_kw <= target_kw + tolerance
    state = site.plant.batteries[order.device_id]
    low_kw, high_kw = order.low_kw or 0.0, order.high_kw or 0.0
    if order.command is DeviceCommandType.BESS_CONTINUOUS_CHARGE and state.soc_pct >= _full_pct(site, order):
        return True
    low_tolerance = tolerance_kw(turn.config.execution, low_kw)
    high_tolerance = tolerance_kw(turn.config.execution, high_kw)
    return low_kw - low_tolerance <= state.power_kw <= high_kw + high_tolerance


def _full_pct(site: Site, order: DeviceOrder) -> float:
    highest = site.batteries[order.device_id].soc_max_pct
    limit = site.constraints.soc_max_pct
    return (highest if limit is None else min(highest, limit)) - 0.1
