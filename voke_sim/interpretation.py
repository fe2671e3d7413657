"""Where the sources are silent: every choice of the stand-in in one place, to be replaced when Voke says
otherwise.

Timing and tolerance choices with numbers live in `config` (`protocol`, `execution`, `alarms`); the
behaviour of single families is told in their modules under `commands`, with this page's words.
"""

from collections.abc import Mapping
from typing import Final

from vcp import Direction, Family, MeterRole, OperatingMode, Priority, ScheduleStatus, Severity
from voke_sim.config import FveReduction

# Interpretation: event.mode.* and event.schedule.* are documented, the last words are not.
MODE_TAIL: Final = "changed"
SCHEDULE_TAILS: Final[Mapping[ScheduleStatus, str]] = {
    ScheduleStatus.ACCEPTED: "accepted",
    ScheduleStatus.ACTIVE: "activated",
    ScheduleStatus.COMPLETED: "completed",
    ScheduleStatus.CANCELLED: "cancelled",
    ScheduleStatus.REJECTED: "rejected",
}

# Interpretation: severities are not public; a breach or a missed slot warns, a mode that fails is an error.
BREACH_SEVERITY: Final = Severity.WARNING
MISSED_SLOT_SEVERITY: Final = Severity.WARNING
MODE_SEVERITY: Final = Severity.ERROR

# Interpretation: one meter role is documented; the others are named after what they measure.
GRID_ROLE: Final = MeterRole.GRID.value
PV_ROLE: Final = "PRODUCTION"
BATTERY_ROLE: Final = "STORAGE"
GRID_METER_ID: Final = "GRID"
"""Device id of the grid meter at a site that names none."""

# Interpretation: which priority beats which; NORMAL shares its rank with device commands and schedules.
RANK: Final[Mapping[Priority, int]] = {Priority.NORMAL: 0, Priority.HIGH: 1, Priority.EMERGENCY: 2}
RANK_NAME: Final[Mapping[int, str]] = {rank: priority.value for priority, rank in RANK.items()}

# Interpretation: what a mode needs at the site; one that can't have it is UNSUPPORTED_FOR_TOPOLOGY.
NEEDS_BATTERY: Final = frozenset(
    {
        OperatingMode.PEAK_SHAVING,
        OperatingMode.LOCAL_OPTIMIZATION,
        OperatingMode.GRID_TARGET,
        OperatingMode.LDS_SUPPORT,
    }
)
NEEDS_BATTERY_OR_FVE: Final = frozenset({OperatingMode.ZERO_EXPORT, OperatingMode.MAX_EXPORT})

BASE_MODE: Final = OperatingMode.STANDARD
"""Interpretation: a site that was never told a mode runs STANDARD."""


def command_type(family: Family) -> str:
    """`commandType` of an ack or execution.

    Interpretation: the routing suffix (`site-setpoint`); schedules and config keep both words.
    """
    return family.value.removeprefix("command.")


def signed_kw(direction: Direction, value: float) -> float:
    """A setpoint's value with its sign: + = import, as everywhere in telemetry."""
    return value if direction is Direction.IMPORT else -value


def pv_ceiling_kw(percent: float, peak_kw: float, meaning: FveReduction) -> float:
    """The power that FVE_REDUCE_PERCENT leaves.

    Interpretation: `percent` is a ceiling as share of the peak power (like FVE_REDUCE_POWER's kW), or, by
    setting, the cut.
    """
    share = percent if meaning is FveReduction.CEILING else 100.0 - percent
    return peak_kw * share / 100.0
