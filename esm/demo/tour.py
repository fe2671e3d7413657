"""What the demo's operator does: one command of each kind, watched until Voke has the last word.

Every step goes through the same services as the admin and the shell. The plant that follows the plan of today gets no
command that Voke would carry out: a slot's setpoint takes devices back, and the tour's command would end as replaced.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.models import Command
from dispatch.policy import current_policy
from dispatch.requests import Actor, CommandPayload, CommandRequest
from dispatch.selectors import timeline
from dispatch.services.commands import submit
from dispatch.services.emergency import release, send_emergency
from dispatch.states import State
from plants.errors import DomainError
from plants.models import Organisation
from vcp import (
    AssetType,
    DeviceBatch,
    DeviceCommand,
    DeviceCommandType,
    DeviceParams,
    Direction,
    Emergency,
    EmergencyType,
    Mode,
    OperatingMode,
    Priority,
    SetpointType,
    SiteSetpoint,
)

OPERATOR = Actor(name="demo operator")
STEPS_ASIDE_FOR = timedelta(minutes=5)
"""So long after a person's last command the tour leaves the plants alone."""
Clock = Callable[[], datetime]
Say = Callable[[str], None]
_POLL_S = 0.1


class TourFailed(Exception):
    """A step did not end as it should; the text says which and how."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of the tour. `payload` None = the release of the plant's emergency."""

    name: str
    title: str
    plant: str
    payload: Callable[[datetime], CommandPayload] | None
    ends: State


def _setpoint(
    kw: float, direction: Direction, *, include_consumption: bool
) -> Callable[[datetime], CommandPayload]:
    def make(at: datetime) -> CommandPayload:
        return SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=kw,
            direction=direction,
            include_consumption=include_consumption,
            priority=Priority.NORMAL,
            valid_from=at,
            valid_until=at + timedelta(minutes=5),
        )

    return make


def _curtail(at: datetime) -> CommandPayload:
    params = DeviceParams(power_kw=150.0, respect_limits=True)
    command = DeviceCommand(
        device_id="S2",
        asset_type=AssetType.INVERTER,
        command=DeviceCommandType.FVE_REDUCE_POWER,
        params=params,
    )
    return DeviceBatch(commands=(command,))


STEPS: Sequence[Step] = (
    Step(
        name="site-setpoint",
        title="export 30 kW at the grid connection",
        plant="BREWERY",
        payload=_setpoint(30.0, Direction.EXPORT, include_consumption=True),
        ends=State.COMPLETED,
    ),
    Step(
        name="device",
        title="keep inverter S2 at 150 kW or below",
        plant="SOLAR-PARK",
        payload=_curtail,
        ends=State.COMPLETED,
    ),
    Step(
        name="mode",
        title="mode ZERO_EXPORT",
        plant="BREWERY",
        payload=lambda at: Mode(mode=OperatingMode.ZERO_EXPORT, valid_until=at + timedelta(minutes=30)),
        ends=State.COMPLETED,
    ),
    Step(
        name="emergency",
        title="emergency STOP",
        plant="SOLAR-PARK",
        payload=lambda at: Emergency(type=EmergencyType.STOP, reason="demo: fire drill"),
        ends=State.COMPLETED,
    ),
    Step(
        name="release", title="release the emergency", plant="SOLAR-PARK", payload=None, ends=State.COMPLETED
    ),
    Step(
        name="rejected",
        title="import 295 kW on top of the depot's own consumption: more than its grid connection bears",
        plant="BUS-DEPOT",
        payload=_setpoint(295.0, Direction.IMPORT, include_consumption=False),
        ends=State.REJECTED,
    ),
)


class Operator:
    """Sends the tour's commands and waits for what becomes of them."""

    def __init__(self, *, organisation: Organisation, clock: Clock, say: Say, stop: threading.Event) -> None:
        self._organisation = organisation
        self._clock = clock
        self._say = say
        self._stop = stop

    def is_free(self) -> bool:
        """Whether no person has commanded here lately: two operators would end each other's orders."""
        commands = Command.objects.filter(
            organisation=self._organisation,
            automatic=False,
            requested_at__gte=self._clock() - STEPS_ASIDE_FOR,
        )
        return not commands.exclude(requested_by_name=OPERATOR.name).exists()

    def run(self, patience_s: Callable[[], float]) -> Iterator[tuple[Step, Command]]:
        """Every step in turn with its command in its last state; raises `TourFailed`.

        `patience_s` is asked at each step how many seconds it may take. Ends early when a person commands; what it has
        stopped itself is released all the same.
        """
        for step in STEPS:
            if step.payload is not None and not self.is_free():
                return
            timeout_s = patience_s()
            if timeout_s <= 0:
                raise TourFailed(f"{step.title}: no time was left for it")
            try:
                command = self.send(step)
            except DomainError as error:
                raise TourFailed(f"{step.title}: {error.code} {error}") from error
            self._say(f"operator  #{command.pk} {step.plant}: {step.title}")
            self._wait_for(command, step, timeout_s)
            yield step, command

    def send(self, step: Step) -> Command:
        """Ask for one step's command."""
        at = self._clock()
        policy = current_policy()
        if step.payload is None:
            return release(
                organisation_id=self._organisation.pk,
                external_plant_id=step.plant,
                actor=OPERATOR,
                reason="demo: drill is over",
                at=at,
                policy=policy,
            )
        request = CommandRequest(external_plant_id=step.plant, payload=step.payload(at), reason=step.title)
        send = send_emergency if isinstance(request.payload, Emergency) else submit
        return send(
            organisation_id=self._organisation.pk, request=request, actor=OPERATOR, at=at, policy=policy
        ).command

    def _wait_for(self, command: Command, step: Step, timeout_s: float) -> None:
        deadline = self._clock() + timedelta(seconds=timeout_s)
        told = 0
        while True:
            events = timeline(command_id=command.pk)
            for event in events[told:]:
                cause = f" ({event.cause})" if event.word in (State.REJECTED, State.FAILED) else ""
                self._say(f"platform  #{command.pk} {event.word}{cause}")
            told = len(events)
            command.refresh_from_db()
            if command.state == step.ends:
                return
            if command.is_final:
                raise TourFailed(
                    f"{step.title}: ended as {command.state} ({command.cause}), expected {step.ends}"
                )
            if self._clock() >= deadline:
                raise TourFailed(
                    f"{step.title}: still {command.state} after {timeout_s:g} s, expected {step.ends}"
                )
            if self._stop.wait(_POLL_S):
                raise TourFailed("stopped")
