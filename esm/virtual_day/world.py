"""The stepper: platform, broker and stand-in in one thread, moved from instant to instant by one virtual clock.

    with VirtualWorld(day=date(2026, 10, 25), seed=7) as world:
        world.at("13:37", lambda world: world.stop_plant("BREWERY"))
        world.run_until("24:00")

At each instant: what a scenario wants then, the ticks that are due, and then messages to and fro until none is under
way. So an answer is applied at the instant of its question, and the order on the wire is the order of the ids.

Edge cases (the concurrency policy): there is none. Whatever needs two things at once is tested with threads elsewhere;
here the order is the same in each run, which is what makes a day repeatable byte for byte.
"""

import bisect
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

from dispatch.models import Command
from dispatch.policy import current_policy
from dispatch.requests import Actor, CommandPayload, CommandRequest
from dispatch.services.commands import submit
from dispatch.services.emergency import release, send_emergency
from esm import clock
from esm.demo.installation import DemoInstallation, ensure_installation
from esm.ticks import run_tick
from esm.virtual_day.chance import seeded
from esm.virtual_day.pace import Pace
from esm.virtual_day.platform import Platform, Wire
from esm.virtual_day.voke import Voke, day_config
from link.memory import MemoryTransport
from membroker import MemBroker
from metering.days import LocalDay, local_day
from metering.models import Stream
from metering.rules import current_rules
from metering.services.periods import set_period
from plants.services.partitions import forget_known_partitions
from schedules.models import Override
from schedules.policy import current_schedule_policy
from schedules.services.overrides import begin_override
from vcp import Direction, Emergency, EmergencyType, Priority, SetpointType, SiteSetpoint
from voke_sim.config import SimConfig
from voke_sim.notes import Note

ZONE = "Europe/Prague"
SCENARIO = Actor(name="scenario")
EVE = timedelta(minutes=20)
"""A world begins so long before its day: to publish topology and limits, and to hear the first telemetry."""
_MOST_ROUNDS = 50
_VOUCH_EVERY = timedelta(seconds=25)
_WALL = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?([+-]\d\d:\d\d)?\Z")
Deed = Callable[["VirtualWorld"], object]


class NeverQuiet(RuntimeError):
    """Platform and stand-in went on answering each other at one instant."""


@dataclass(order=True)
class _Planned:
    at: datetime
    number: int
    do: Deed = field(compare=False)


class VirtualWorld:
    """One day of platform and stand-in. Everything it does happens in the calling thread, on its database."""

    def __init__(
        self,
        *,
        day: date,
        seed: int = 1,
        period_s: float = 60.0,
        begins_at: datetime | None = None,
        on_note: Callable[[Note], None] | None = None,
    ) -> None:
        """`period_s`: of the plants' telemetry. `begins_at`: 20 minutes before the day's midnight unless told."""
        self.day: LocalDay = local_day(day, zone=ZONE)
        self.seed = seed
        self.began_at = self.now = begins_at or self.day.start_at - EVE
        self.steps = self.rounds = 0
        self._period_s = period_s
        self._on_note = on_note or _ignore
        self._planned: list[_Planned] = []
        self._number = 0
        self._lives = 0
        self._vouched_at: datetime | None = None
        self._pace = Pace(self.now)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(seeded(self.seed))
        forget_known_partitions()
        with clock.frozen(self.now):
            self.installation: DemoInstallation = ensure_installation(at=self.now)
            self.broker = MemBroker()
            config = day_config(
                self.installation, begins_at=self.now, period_s=self._period_s, seed=self.seed
            )
            self._expect(config)
            self.voke = Voke(config, broker=self.broker, on_note=self._on_note)
            self.wire = Wire(MemoryTransport(self.broker))
            self.platform = self._new_platform()
        return self

    def _expect(self, config: SimConfig) -> None:
        """The platform is told at which pace readings come: a minute without one is no gap here."""
        paces = {
            Stream.REALTIME: config.telemetry.realtime_period_s,
            Stream.METER: config.telemetry.meter_period_s,
        }
        connection = self.installation.connection
        connection.realtime_period_s, connection.meter_period_s = paces[Stream.REALTIME], paces[Stream.METER]
        connection.save(update_fields=["realtime_period_s", "meter_period_s"])
        for plant in self.installation.plants:
            for stream, pace_s in paces.items():
                set_period(
                    plant=plant,
                    stream=stream,
                    period_s=pace_s,
                    by_name=SCENARIO.name,
                    at=self.now,
                    rules=current_rules(),
                )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with clock.frozen(self.now):
                self.platform.finish()
            self.voke.close()
        finally:
            self._stack.close()

    @property
    def organisation_id(self) -> int:
        """Of the demo's organisation."""
        return int(self.installation.organisation.pk)

    # The clock ------------------------------------------------------------------------------------------

    def at(self, when: str | datetime, do: Deed) -> None:
        """Do something at an instant; `when` may be the day's wall clock: `13:37`, `02:15+01:00`, `24:00`."""
        self._number += 1
        bisect.insort(self._planned, _Planned(self.instant(when), self._number, do))

    def instant(self, when: str | datetime) -> datetime:
        """An instant of the day; `ValueError` for a wall clock time that the day does not have, or has twice."""
        if isinstance(when, datetime):
            return when
        if when == "24:00":
            return self.day.end_at
        match = _WALL.match(when)
        if match is None:
            raise ValueError(f"{when!r} is no time of day")
        if match[4]:
            return datetime.fromisoformat(f"{self.day.day}T{when}")
        wall = datetime.combine(self.day.day, time.fromisoformat(when), tzinfo=ZoneInfo(ZONE))
        found = [moment for moment in _instants_of(wall) if self.day.start_at <= moment < self.day.end_at]
        if len(found) != 1:
            raise ValueError(f"{when} comes {len(found)} times on {self.day.day}: say its offset")
        return found[0]

    def run_until(self, when: str | datetime) -> None:
        """Let the time pass until an instant, that one included."""
        end = self.instant(when)
        while True:
            self._step()
            if self.now >= end:
                return
            self.now = min(end, self._next_instant())

    def run_for(self, seconds: float) -> None:
        """Let so much time pass."""
        self.run_until(self.now + timedelta(seconds=seconds))

    def run_until_true(self, look: Callable[[], bool], *, within_s: float = 3600.0, what: str = "it") -> None:
        """Let the time pass until something is so; `TimeoutError` when it is not within so much virtual time."""
        end = self.now + timedelta(seconds=within_s)
        while True:
            self._step()
            if look():
                return
            if self.now >= end:
                raise TimeoutError(f"not within {within_s:g} virtual seconds: {what}")
            self.now = min(end, self._next_instant())

    def _next_instant(self) -> datetime:
        candidates = [self._pace.next_round_at, self.voke.next_at(self.now)]
        if self._planned:
            candidates.append(self._planned[0].at)
        return max(min(candidates), self.now + timedelta(milliseconds=1))

    def _step(self) -> None:
        """Everything that happens at this instant."""
        self.steps += 1
        with clock.frozen(self.now):
            did = self._do_planned()
            is_round = did or self.now >= self._pace.next_round_at
            if is_round:
                self.rounds += 1
                self._vouch()
                for tick in self._pace.due(self.now, all_of_them=did):
                    run_tick(tick.name, at=self.now)
            eventful = self._exchange(may_publish=is_round) or did
            if is_round or eventful:
                self._pace.plan_next(self.now, eventful=eventful)

    def _vouch(self) -> None:
        """A process says every 5 s how its links are, and is trusted for 30 s: say it before ticks judge."""
        if self._vouched_at is None or self.now - self._vouched_at >= _VOUCH_EVERY:
            self._vouched_at = self.now
            self.platform.vouch()

    def _exchange(self, *, may_publish: bool) -> bool:
        """Messages to and fro until none is under way; whether one of them was more than a reading."""
        eventful = False
        self._publish(may_publish)
        self.voke.tick(self.now)
        for _ in range(_MOST_ROUNDS):
            spoke = self.platform.consume()
            self._publish(may_publish or spoke > 0)
            if not self.voke.has_mail and not spoke:
                return eventful
            eventful = True
            if self.voke.has_mail:
                self.voke.tick(self.now)
        raise NeverQuiet(f"messages were still under way after {_MOST_ROUNDS} rounds at {self.now}")

    def _publish(self, may: bool) -> None:
        """The outbox fills by ticks, deeds and answers only, so it is not looked at after mere readings."""
        if may:
            self.platform.publish()

    def _do_planned(self) -> bool:
        did = False
        while self._planned and self._planned[0].at <= self.now:
            self._planned.pop(0).do(self)
            did = True
        return did

    # What may happen ------------------------------------------------------------------------------------

    def send(
        self, external_plant_id: str, payload: CommandPayload, *, due_at: datetime | None = None
    ) -> Command:
        """Ask for a command as a person would; raises what the services raise."""
        request = CommandRequest(
            external_plant_id=external_plant_id, payload=payload, due_at=due_at, reason="scenario"
        )
        send = send_emergency if isinstance(payload, Emergency) else submit
        return send(
            organisation_id=self.organisation_id,
            request=request,
            actor=SCENARIO,
            at=self.now,
            policy=current_policy(),
        ).command

    def stop_plant(self, external_plant_id: str) -> Command:
        """An emergency STOP of one plant."""
        return self.send(external_plant_id, Emergency(type=EmergencyType.STOP, reason="scenario"))

    def release_plant(self, external_plant_id: str) -> Command:
        """Release the emergency of one plant."""
        return release(
            organisation_id=self.organisation_id,
            external_plant_id=external_plant_id,
            actor=SCENARIO,
            reason="scenario",
            at=self.now,
            policy=current_policy(),
        )

    def override(
        self, external_plant_id: str, kw: float, *, minutes: float, direction: Direction = Direction.IMPORT
    ) -> Override:
        """Put a power at the grid connection above the plan of one plant, for so long."""
        until_at = self.now + timedelta(minutes=minutes)
        payload = SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=kw,
            direction=direction,
            include_consumption=True,
            priority=Priority.HIGH,
            valid_from=self.now,
            valid_until=until_at,
        )
        return begin_override(
            organisation_id=self.organisation_id,
            external_plant_id=external_plant_id,
            payload=payload,
            until_at=until_at,
            actor=SCENARIO,
            reason="scenario",
            at=self.now,
            policy=current_schedule_policy(),
        )

    def target_kw(self, external_plant_id: str) -> float | None:
        """What the stand-in's plant follows now, + = import; None = no target is in force."""
        site = next(
            one for one in self.voke.engine.sites if one.config.external_plant_id == external_plant_id
        )
        setpoint = site.setpoint_in_force(self.now)
        return None if setpoint is None else setpoint.target_kw

    def restart_platform(self, *, crash: bool = True) -> None:
        """Build the loops anew from the tables. `crash`: as after kill -9, else as after an orderly stop."""
        if crash:
            self.platform.crash()
        else:
            self.platform.finish()
        self._pace = Pace(self.now)
        self.platform = self._new_platform()

    def restart_voke(self) -> None:
        """Build the stand-in anew from its journal, as after kill -9."""
        self.voke.crash()

    def cut_link(self, *, minutes: float) -> None:
        """No byte of ours reaches the broker or comes from it for so long."""
        self.wire.cut()
        self.at(self.now + timedelta(minutes=minutes), lambda world: world.wire.mend())

    def _new_platform(self) -> Platform:
        self._lives += 1
        return Platform(wire=self.wire, clock=clock.now, name=f"virtual-{self._lives}")


def _instants_of(wall: datetime) -> Iterator[datetime]:
    """The instants at which a wall clock shows that time: none, one or two."""
    zone = wall.tzinfo
    for fold in (0, 1):
        moment = wall.replace(fold=fold)
        exact = datetime.fromtimestamp(moment.timestamp(), tz=zone)
        if (exact.hour, exact.minute) == (wall.hour, wall.minute) and (
            fold == 0 or moment.utcoffset() != wall.replace(fold=0).utcoffset()
        ):
            yield exact


def _ignore(_note: Note) -> None:
    pass
