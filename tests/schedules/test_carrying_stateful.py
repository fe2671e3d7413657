"""Whatever happens in whatever order, a plant follows its published plan, or what stands above it, and nothing else.

Plans that are published, replaced and cancelled, overrides, emergencies, releases, a link that goes down and comes
back, and a clock that jumps: hypothesis invents the story over the real services. What arrives at Voke is played on a
stack of targets as Voke has it; after every tick with the link up the target in force must be the one that the platform
owes.
RANDOM_EXAMPLES (tests/examples.py) and PLAN_STEPS widen it.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from django.db.models import QuerySet
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dispatch.models import Command, EmergencyLatch, OutboundMessage, Outcome, Retraction
from dispatch.services.following import follow_up
from dispatch.services.late import settle_late
from dispatch.services.retracting import send_due
from plants.errors import DomainError
from schedules.models import Override, PlanVersion, RunState, SlotRun
from schedules.services.carried_by_us import published_slot
from tests.dispatch.helpers import ask, broker_says, claims, hold_now, lease, release, setpoint, stop_now
from tests.dispatch.taking_back import take_back
from tests.examples import examples
from tests.schedules.carrying import cancel, end, override, plain_plant, policy, put_in_force, tick
from tests.schedules.plans import at, slot
from vcp import Priority, parse_timestamp

pytestmark = pytest.mark.django_db
QUARTER = timedelta(minutes=15)
OVERLAP = timedelta(seconds=30)
RANK = {"NORMAL": 0, "HIGH": 1}
quarters = st.dictionaries(
    st.integers(min_value=0, max_value=11),
    st.sampled_from(list(Priority)[:2]),
    min_size=1,
    max_size=8,
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A setpoint as Voke holds it."""

    kw: float
    rank: int
    begins_at: datetime
    order: int
    ends_at: datetime
    of_plan: bool


class Voke:
    """What arrives, on a stack of targets: the strongest, then the later beginning, then the later arrival."""

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.emergency = False
        self.arrived: list[tuple[str, bool]] = []

    def hear(self, message: OutboundMessage, *, now: datetime) -> None:
        payload = json.loads(bytes(message.body))["payload"]
        self.arrived.append((message.family, self.emergency))
        if message.family.endswith("emergency"):
            self.emergency = True
            self.targets = [] if payload["type"] == "STOP" else self.targets
        elif message.family.endswith("mode"):
            self.emergency = False
            self.targets = [one for one in self.targets if one.begins_at > now]
        else:
            command = message.command
            assert command is not None
            self.targets.append(
                Target(
                    kw=payload["targetValueKw"],
                    rank=RANK[payload["priority"]],
                    begins_at=parse_timestamp(payload["validFrom"]),
                    order=len(self.arrived),
                    ends_at=parse_timestamp(payload["validUntil"]),
                    of_plan=command.batch_ref.startswith("plan:"),
                )
            )

    def in_force(self, now: datetime) -> Target | None:
        valid = [one for one in self.targets if one.begins_at <= now < one.ends_at]
        return max(valid, key=lambda one: (one.rank, one.begins_at, one.order), default=None)


class CarryingOut(RuleBasedStateMachine):
    """One plant, its plans of one morning, and everything above them."""

    @initialize()
    def begin(self) -> None:
        self.plant = plain_plant()
        self.now = at("08:00")
        self.voke = Voke()
        self.link_up = True
        self.settled = False
        self.kw = 0
        self.version: PlanVersion | None = None

    def _acted(self) -> None:
        self._relay()
        self.settled = False

    def _next_kw(self) -> float:
        self.kw += 1
        return float(self.kw) / 100

    @rule(wanted=quarters)
    def publish(self, wanted: dict[int, Priority]) -> None:
        slots = [
            slot("08:00", self._next_kw(), start_at=at("08:00") + n * QUARTER, end_at=at("08:00") + (n + 1) * QUARTER,
                 priority=priority)
            for n, priority in wanted.items()
            if at("08:00") + (n + 1) * QUARTER > self.now
        ]  # fmt: skip
        if slots:
            with suppress(DomainError):
                self.version = put_in_force(self.plant, *slots, now=self.now)
        self._acted()

    @rule()
    def withdraw(self) -> None:
        if self.version is not None:
            with suppress(DomainError):
                cancel(self.version, self.now)
        self._acted()

    @rule(minutes=st.sampled_from([1, 7, 15, 40]))
    def begin_override(self, minutes: int) -> None:
        with suppress(DomainError):
            override(self.plant, self.now + timedelta(minutes=minutes), now=self.now, kw=self._next_kw())
        self._acted()

    @rule()
    def end_override(self) -> None:
        row = Override.objects.filter(plant=self.plant, ended_at__isnull=True, until_at__gt=self.now).first()
        if row is not None:
            end(row, self.now)
        self._acted()

    @rule(minutes=st.sampled_from([3, 20]), priority=st.sampled_from(list(Priority)[:2]))
    def a_person_commands_by_hand(self, minutes: int, priority: Priority) -> None:
        until = self.now + timedelta(minutes=minutes)
        payload = setpoint(self._next_kw(), valid_from=self.now, valid_until=until, priority=priority)
        with suppress(DomainError):
            ask(self.plant, payload, at=self.now, batch_ref="by hand")
        self._acted()

    @rule()
    def what_was_commanded_by_hand_is_taken_back(self) -> None:
        for command in self._by_hand().order_by("pk"):
            take_back(command, at=self.now)
        self._acted()

    def _by_hand(self) -> QuerySet[Command]:
        rows = Command.objects.filter(plant=self.plant, batch_ref="by hand", deliver_by_at__gt=self.now)
        return rows.filter(retraction__isnull=True).exclude(state__in=["CANCELLED", "SUPERSEDED", "EXPIRED"])

    @rule(stop=st.booleans())
    def emergency(self, stop: bool) -> None:
        with suppress(DomainError):
            ask(self.plant, stop_now() if stop else hold_now(), at=self.now)
        self._acted()

    @rule()
    def release(self) -> None:
        with suppress(DomainError):
            release(self.plant, at=self.now)
        self._acted()

    @rule()
    def link_goes_down(self) -> None:
        self.link_up, self.settled = False, False

    @precondition(lambda self: not self.link_up)
    @rule()
    def link_comes_back(self) -> None:
        self.link_up, self.settled = True, False

    @rule(seconds=st.sampled_from([1, 10, 25, 60, 240, 421, 900, 1800]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self._tick()

    @rule(quarter=st.integers(min_value=1, max_value=2), early_s=st.sampled_from([0, 5, 20]))
    def until_a_slot_begins(self, quarter: int, early_s: int) -> None:
        since = (self.now - at("08:00")) // QUARTER
        then = at("08:00") + (since + quarter) * QUARTER - timedelta(seconds=early_s)
        self.now = max(self.now, then)
        self._tick()

    def _tick(self) -> None:
        settle_late(at=self.now, policy=policy().dispatch)
        follow_up(at=self.now, chance=lambda: 0.0)
        send_due(at=self.now, policy=policy().dispatch)
        tick(self.now)
        self._relay()
        self.settled = self.link_up and not self._waits_for_another_try()

    def _waits_for_another_try(self) -> bool:
        """Whether a base mode that came to nothing is made anew within seconds (`dispatch.services.following`)."""
        rows = Retraction.objects.filter(command__plant=self.plant, attempts__gt=0)
        return rows.filter(due_at__lte=self.now + timedelta(minutes=1)).exists()

    def _relay(self) -> None:
        """Hand over what waits. What arrives at once after a person's act is no new judgement of what is owed."""
        settle_late(at=self.now, policy=policy().dispatch)
        if not self.link_up:
            return
        lease(self.plant.connection, at=self.now)
        while window := claims(self.plant.connection, at=self.now):
            for one in window:
                message = OutboundMessage.objects.select_related("command").get(pk=one.outbound_id)
                self.voke.hear(message, now=self.now)
            broker_says(Outcome.CONFIRMED, *window, at=self.now)

    @invariant()
    def nothing_is_sent_under_a_latch(self) -> None:
        under = [family for family, emergency in self.voke.arrived if emergency]
        assert all(family.endswith(("emergency", "mode")) for family in under)
        if EmergencyLatch.objects.filter(plant=self.plant, released_at__isnull=True).exists():
            waiting = Command.objects.filter(plant=self.plant, state__in=["SCHEDULED", "QUEUED"])
            assert set(waiting.values_list("kind", flat=True)) <= {"emergency"}

    @invariant()
    def what_is_commanded_for_the_published_plan_is_what_it_asks_for(self) -> None:
        rows = SlotRun.objects.filter(
            plant=self.plant, state=RunState.COMMANDED, slot__version__state="PUBLISHED"
        ).select_related("slot", "command")
        for run in rows:
            assert run.command is not None
            assert run.command.payload["targetValueKw"] == run.slot.value

    @invariant()
    def what_is_owed_is_in_force(self) -> None:
        if not self.settled:
            return
        if EmergencyLatch.objects.filter(plant=self.plant, released_at__isnull=True).exists():
            assert self.voke.emergency
            return
        if self._by_hand().exists():  # a person's own setpoint beside the plan: theirs to judge
            return
        above = Override.objects.filter(plant=self.plant, ended_at__isnull=True).first()
        planned = published_slot(self.plant.pk, at=self.now)
        found = self.voke.in_force(self.now)
        if above is not None:
            assert found is not None
            assert found.kw == above.payload["targetValueKw"]
        elif planned is not None:
            assert found is not None
            assert found.kw == planned.value
        else:
            assert found is None or (found.of_plan and found.ends_at <= self.now + OVERLAP)


def test_a_plant_follows_its_plan_or_what_stands_above_it_whatever_happens() -> None:
    run_state_machine_as_test(
        CarryingOut,
        settings=examples(
            6,
            stateful_step_count=int(os.environ.get("PLAN_STEPS", "24")),
            # To shrink a story takes minutes: its steps are short enough.
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
