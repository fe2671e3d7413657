"""What ends an order to a device: pure, one table.

Interpretation: the protocol names no inverse of its device commands; these follow from their names and from what the
fact sheet says of them. Charging and discharging of every sort ends with BESS_STOP, a limit on PV with FVE_PRODUCE_MAX.
BESS_STOP and FVE_PRODUCE_MAX have no end of their own: what was before them is not known. The protocol has no command
for EV chargers, heat pumps and thermostats.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from vcp import DeviceBatch, DeviceCommand, DeviceCommandType

_T = DeviceCommandType
STOP_OF: Final[Mapping[DeviceCommandType, DeviceCommandType]] = {
    _T.BESS_CHARGE: _T.BESS_STOP,
    _T.BESS_DISCHARGE: _T.BESS_STOP,
    _T.BESS_CHARGE_ONLY: _T.BESS_STOP,
    _T.BESS_DISCHARGE_ONLY: _T.BESS_STOP,
    _T.BESS_CONTINUOUS_CHARGE: _T.BESS_STOP,
    _T.FVE_REDUCE_PERCENT: _T.FVE_PRODUCE_MAX,
    _T.FVE_REDUCE_POWER: _T.FVE_PRODUCE_MAX,
    _T.FVE_STOP: _T.FVE_PRODUCE_MAX,
}


def stop_of(batch: DeviceBatch, *, leave: Collection[str] = ()) -> DeviceBatch | None:
    """The batch that ends every order of this one that has an end; None when there is none.

    `leave`: devices that something newer has by now.
    """
    stops = {
        one.device_id: DeviceCommand(
            device_id=one.device_id, asset_type=one.asset_type, command=STOP_OF[one.command]
        )
        for one in batch.commands
        if one.command in STOP_OF and one.device_id not in leave
    }
    return DeviceBatch(commands=tuple(stops.values())) if stops else None


def without_stop(batch: DeviceBatch) -> list[int]:
    """The places in a batch of the orders that have no end that we know."""
    return [place for place, one in enumerate(batch.commands) if one.command not in STOP_OF]


def devices_in(payloads: Iterable[Mapping[str, Any]]) -> set[str]:
    """The devices that device batches in wire names address."""
    return {str(one["deviceId"]) for payload in payloads for one in payload.get("commands", ())}
