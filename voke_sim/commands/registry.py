"""Which rules serve which family and which plan: a new command family is one line in each table."""

from collections.abc import Mapping
from typing import Final

from vcp import Family
from voke_sim.commands.base import CommandKind
from voke_sim.commands.device import DeviceKind
from voke_sim.commands.emergency import EmergencyKind
from voke_sim.commands.mode import ModeKind
from voke_sim.commands.site_setpoint import SiteSetpointKind
from voke_sim.state import DevicePlan, EmergencyPlan, ModePlan, Plan, SetpointPlan

COMMANDS: Final[Mapping[Family, CommandKind]] = {
    Family.COMMAND_SITE_SETPOINT: SiteSetpointKind(),
    Family.COMMAND_DEVICE: DeviceKind(),
    Family.COMMAND_EMERGENCY: EmergencyKind(),
    Family.COMMAND_MODE: ModeKind(),
}

_OF_PLAN: Final[Mapping[type[Plan], CommandKind]] = {
    SetpointPlan: COMMANDS[Family.COMMAND_SITE_SETPOINT],
    DevicePlan: COMMANDS[Family.COMMAND_DEVICE],
    EmergencyPlan: COMMANDS[Family.COMMAND_EMERGENCY],
    ModePlan: COMMANDS[Family.COMMAND_MODE],
}


def kind_of(plan: Plan) -> CommandKind:
    """The rules that made this plan."""
    return _OF_PLAN[type(plan)]
