"""A world of day plans: the platform's own loops and the stand-in in their threads, and a clock that stands still.

Everybody reads one clock (`esm.clock`), which goes from instant to instant. At each one the ticks run, in this thread,
and what they cause is waited for until nothing is under way between the two sides: so a day passes in seconds, and what
was in force at each instant does not depend on how busy the machine is.

There are two plants, with the same plans: we carry out those of one, Voke's own schedules those of the other.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Self

from django.db.models import Q

from dispatch.models import OutboundMessage, Outcome
from esm import clock
from esm.ticks import run_tick
from metering.days import local_day
from metering.models import Stream
from metering.rules import current_rules
from metering.services.periods import set_period
from plants.models import Connection, InboundMessage, LinkHealth, ScheduleCarrier, TelemetryReading
from plants.services.partitions import forget_known_partitions
from tests import factories
from tests.contract.plans_life import Life, Point, death_is_silent
from tests.contract.plans_people import QUARTER, People
from tests.contract.plans_told import ZONE, Told, delivered
from tests.contract.world import Wiring, eventually, site_of
from tests.factories import OPERATOR
from vcp import format_timestamp
from voke_sim.config import ExecutionConfig, RestConfig, SimConfig, TelemetryConfig
from voke_sim.faults import FaultBoard, FaultKind
from voke_sim.journal import Journal
from voke_sim.notes import Note
from voke_sim.simulator import Simulator, SimulatorFailed

LEAD = timedelta(seconds=20)
SETTLED = timedelta(seconds=61)
"""So long after a target begins a plant has reached it, and says so with its next reading."""
READING_S, EXPECTED_S = 60.0, 300.0
"""A plant may say something every minute; it is expected to speak every five."""
PACES = (-LEAD, timedelta(), SETTLED, timedelta(minutes=10))
"""Where in each quarter of an hour the clock stops: when its slot is sent, when it begins, and at readings."""
SENDING = ("queue_due", "timed_commands", "overrides", "plan_slots", "plan_schedules")
"""The ticks that answer an event by a message: they run until nothing follows any more, the others once an instant."""
TICKS = (*SENDING, "ack_overdue", "plans_done", "verification", "diagnosis")
VOUCHED = timedelta(seconds=10)
"""A consumer that said so long ago that it is there is trusted."""
_MOST_ROUNDS = 20
VOKE, US = ScheduleCarrier.VOKE, ScheduleCarrier.DISPATCHER


class _Readings:
    """The clock as the stand-in reads it: once before each of its ticks."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> datetime:
        if threading.current_thread().name.startswith("voke-sim_"):  # its REST has threads of other names
            self.count += 1
        return clock.now()


class VokeKilled(RuntimeError):
    """What ends the stand-in as kill -9 would."""


class PlansWorld(People, Told):
    """One day of two plants, from `begins`, a wall clock time of the day, on."""

    def __init__(
        self,
        wiring: Callable[[], Wiring],
        *,
        day: date = date(2026, 3, 3),
        begins: str | datetime = "05:45",
        paces: Sequence[timedelta] = PACES,
        ticks: Sequence[str] = TICKS,
        rest: bool = False,
    ) -> None:
        self.day = local_day(day, zone=str(ZONE))
        self._wiring_of = wiring
        self._paces, self._ticks = paces, ticks
        self._has_rest = rest
        self._begins = begins
        self._stack = ExitStack()
        self._readings = _Readings()
        self._kill_voke_at: Callable[[Note], bool] | None = None

    # Life -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._stack.enter_context(death_is_silent())
        self._move(self.instant(self._begins))
        forget_known_partitions()
        self._stack.callback(forget_known_partitions)
        self._wiring = self._wiring_of()
        self.connection: Connection = self._wiring.connection
        self.ours = factories.plant(on=self.connection, schedule_carrier=US)
        self.vokes = factories.plant(on=self.connection, schedule_carrier=VOKE)
        self.plants = (self.ours, self.vokes)
        self._expect_readings()
        run_tick("partitions", at=self.now)
        self.journal = Journal(":memory:")
        self._stack.callback(self.journal.close)
        self._start_voke()
        self._life = Life(self._wiring.transport)
        run_tick("site_config", at=self.now)
        self.go_to(self.now)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._life.stop()
        finally:
            self.voke.stop()
            self._stack.close()

    def _expect_readings(self) -> None:
        self.connection.realtime_period_s = READING_S
        self.connection.save(update_fields=["realtime_period_s"])
        for plant in self.plants:
            set_period(
                plant=plant,
                stream=Stream.REALTIME,
                period_s=EXPECTED_S,
                by_name=OPERATOR.name,
                at=self.now,
                rules=current_rules(),
            )

    def _start_voke(self) -> None:
        config = SimConfig(
            partner=self._wiring.partner,
            transport=self._wiring.config,
            sites=tuple(site_of(plant) for plant in self.plants),
            telemetry=TelemetryConfig(realtime_period_s=READING_S, meter_period_s=86_400.0),
            execution=ExecutionConfig(stable_plant_s=10.0, deadline_plant_s=600.0),
            rest=RestConfig(api_key=str(self.connection.api_key)) if self._has_rest else None,
            physics_step_s=10.0,
            tick_period_s=0.02,
        )
        self.voke = Simulator(
            config,
            broker=self._wiring.broker,
            journal=self.journal,
            clock=self._readings,
            on_note=self._mind,
        )
        self.voke.declare_topology()
        self.voke.start()
        eventually(lambda: self.voke.is_connected, what="the stand-in is connected")
        if self.voke.rest_url is not None:
            Connection.objects.filter(pk=self.connection.pk).update(
                rest_base_url=f"{self.voke.rest_url}/api/v1"
            )

    def _mind(self, note: Note) -> None:
        if self._kill_voke_at is not None and self._kill_voke_at(note):
            raise VokeKilled

    def crash_voke(self) -> None:
        """End the stand-in between two of its ticks without a word, and build it anew from its journal."""
        self._kill_voke_at = lambda _note: True
        self._move(self.now + timedelta(seconds=READING_S))  # it has something to say: a reading
        eventually(lambda: self.voke.failure is not None, what="the stand-in died")
        try:
            self.voke.stop()
        except SimulatorFailed:
            self._kill_voke_at = None
        self._move(self.now + timedelta(seconds=1))  # a plant has one reading of an instant
        self._start_voke()
        self.go_to(self.now)

    def run_to_death(self, when: str | datetime, point: Point) -> None:
        """Let the time pass until an instant at which the loops die when they come by the point."""
        self.run_until(self.instant(when) - timedelta(milliseconds=1))
        self._life.mortality.end_at(point)  # not before: readings are stored and acknowledged all the time
        self._move(self.instant(when))
        eventually(self._died, what="the platform's loops died")
        self._life.kill()

    def _died(self) -> bool:
        self._run_ticks(self._ticks)
        return self._life.mortality.over.is_set()

    def kill_platform(self) -> None:
        """End the platform's loops now, as kill -9 does."""
        self._life.kill()

    def start_platform(self, *, after: timedelta = timedelta(seconds=10)) -> None:
        """Build the loops anew from the tables, once the lease of those that were killed is over."""
        self._move(self.now + after)
        self._life = Life(self._wiring.transport)
        self.go_to(self.now)

    @property
    def faults(self) -> FaultBoard:
        """The stand-in's misbehaviour in force."""
        return self.voke.faults

    # The clock ------------------------------------------------------------------------------------------

    def run_until(self, when: str | datetime) -> None:
        """Let the time pass until an instant, that one included."""
        end = self.instant(when)
        for stop in self._stops(end):
            self.go_to(stop)

    def _stops(self, end: datetime) -> Iterator[datetime]:
        """Every instant after now at which something may be due, and the end."""
        for number in itertools.count():
            quarter = self.day.start_at + number * QUARTER
            for pace in self._paces:
                stop = quarter + pace
                if stop >= end:
                    yield end
                    return
                if stop > self.now:
                    yield stop

    def go_to(self, when: str | datetime, *, vouched: bool = False) -> None:
        """Go to an instant at once, and stay until everything that follows from it has happened.

        `vouched`: the consumer says that it is there before anybody judges the link.
        """
        self._move(self.instant(when))
        if vouched:
            eventually(self._is_vouched_for, what="the consumer says that it is there")
        names: Sequence[str] = self._ticks
        for _ in range(_MOST_ROUNDS):
            before = self._marks()
            self._run_ticks(names)
            self.settle()
            if self._marks() == before:
                return
            names = [name for name in SENDING if name in self._ticks]
        raise AssertionError(f"both sides still answer each other at {self.now}")

    def _move(self, at: datetime) -> None:
        self._stack.enter_context(clock.frozen(at))
        self._moved_at = self._readings.count

    def _is_vouched_for(self) -> bool:
        rows = LinkHealth.objects.filter(connection=self.connection, role=LinkHealth.Role.CONSUME)
        return rows.filter(seen_at__gte=self.now - VOUCHED).exists()

    def _run_ticks(self, names: Sequence[str]) -> None:
        for name in names:
            run_tick(name, at=self.now)

    def settle(self) -> None:
        """Wait until nothing is under way between the two sides."""
        try:
            eventually(lambda: self._unsettled() is None, what="the wire is quiet")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._unsettled()}") from None

    def _unsettled(self) -> str | None:
        self.voke.raise_failure()
        if self._readings.count < self._moved_at + 2:
            return "the stand-in has not ticked"
        waiting = OutboundMessage.objects.filter(outcome=Outcome.PENDING)
        if not self.voke.is_taking:  # what the broker does not take stays in the outbox
            waiting = waiting.filter(attempts=0)
        if waiting.filter(Q(not_before_at=None) | Q(not_before_at__lte=self.now)).exists():
            return "the outbox holds messages"
        if self.count_in_journal("SELECT COUNT(DISTINCT message_id) FROM messages") != delivered().count():
            return "messages to Voke are under way"
        if self.count_in_journal(
            "SELECT COUNT(*) FROM published WHERE state = 'pending' AND due_at <= ?",
            format_timestamp(self.now),
        ):
            return "the stand-in has something to say"
        spoken = "SELECT COUNT(DISTINCT message_id) FROM published WHERE state = 'confirmed' AND family "
        if self.count_in_journal(spoken + "NOT LIKE 'event.telemetry.%'") != InboundMessage.objects.count():
            return "events are under way"
        if self.count_in_journal(spoken + "= 'event.telemetry.realtime'") != TelemetryReading.objects.count():
            return "readings are under way"
        return None

    def wait_for_intake(self, kind: FaultKind | None) -> None:
        """Wait until the broker takes what goes to Voke, or no longer does, as a fault wants it."""
        bound = kind not in (FaultKind.UNBOUND, FaultKind.FULL)
        eventually(lambda: self.voke.is_taking is bound, what=f"bound={bound}")

    def _marks(self) -> tuple[int, int, int]:
        return OutboundMessage.objects.count(), delivered().count(), InboundMessage.objects.count()
