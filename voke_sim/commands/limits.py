"""The site's limits against what a command asks for."""

from vcp import Constraints
from voke_sim.commands.base import Breach


def setpoint_breach(
    constraints: Constraints, *, target_kw: float, include_consumption: bool, load_kw: float
) -> Breach | None:
    """The grid limit that a site target would break, if any; + = import.

    `asked` is the power at the grid: a target without consumption is taken at the present consumption.
    """
    grid_kw = target_kw if include_consumption else target_kw + load_kw
    asked = abs(grid_kw)
    if target_kw > 0 and constraints.max_import_kw is not None and grid_kw > constraints.max_import_kw:
        return Breach(breached_field="maxImportKw", asked=asked, limit=constraints.max_import_kw)
    if target_kw < 0 and constraints.max_export_kw is not None and -grid_kw > constraints.max_export_kw:
        return Breach(breached_field="maxExportKw", asked=asked, limit=constraints.max_export_kw)
    return None


def charge_limit(
    constraints: Constraints, *, asked_kw: float, taken_kw: float, soc_pct: float, device_id: str
) -> Breach | None:
    """The limit that charging with `asked_kw` would break, `taken_kw` being charged by others already."""
    if constraints.soc_max_pct is not None and asked_kw > 0 and soc_pct >= constraints.soc_max_pct:
        return Breach(
            breached_field="socMaxPercent", asked=soc_pct, limit=constraints.soc_max_pct, device_id=device_id
        )
    if constraints.max_charge_kw is not None and asked_kw + taken_kw > constraints.max_charge_kw:
        return Breach(
            breached_field="maxChargeKw",
            asked=asked_kw + taken_kw,
            limit=constraints.max_charge_kw,
            device_id=device_id,
        )
    return None


def discharge_limit(
    constraints: Constraints, *, asked_kw: float, taken_kw: float, soc_pct: float, device_id: str
) -> Breach | None:
    """The limit that discharging with `asked_kw` would break, `taken_kw` being discharged by others
    already.
    """
    if constraints.soc_min_pct is not None and asked_kw > 0 and soc_pct <= constraints.soc_min_pct:
        return Breach(
            breached_field="socMinPercent", asked=soc_pct, limit=constraints.soc_min_pct, device_id=device_id
        )
    if constraints.max_discharge_kw is not None and asked_kw + taken_kw > constraints.max_discharge_kw:
        return Breach(
            breached_field="maxDischargeKw",
            asked=asked_kw + taken_kw,
            limit=constraints.max_discharge_kw,
            device_id=device_id,
        )
    return None
