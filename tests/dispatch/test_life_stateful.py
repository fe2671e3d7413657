"""Whatever happens in whatever order, a command's life keeps its promises: a stateful test over the real services.

Two relays of each connection, a broker that confirms, refuses, nacks, loses confirms or loses messages, Voke's words in
any order, emergencies, releases, switches, takeovers and a clock that moves: hypothesis invents the story, and after
every step the database must hold what `dispatch` promises. RANDOM_EXAMPLES (tests/examples.py) and LIFE_STEPS widen it.
"""

import os
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dispatch.models import Command, CommandEvent, EmergencyLatch, OutboundMessage, Outcome
from dispatch.services.claim import Claimed, claim, sendable
from dispatch.services.commands import cancel
from dispatch.services.confirms import Word, forget_attempts, note_nacked, record
from dispatch.services.due import queue_due
from dispatch.services.emergency import care_for_undelivered
from dispatch.services.late import settle_late
from dispatch.services.overdue import mark_ack_overdue
from dispatch.services.site_config import publish_changed
from dispatch.services.takeover import follow_moved, take_over
from dispatch.services.voke_words import Told, apply_words
from dispatch.states import FROM_VOKE, NEVER_SENT, TRANSITIONS, State
from plants.errors import Conflict
from plants.models import Connection, Disposition, InboundMessage, Plant
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import ask, hold_now, mode, release, setpoint, stop_now
from tests.dispatch.takeovers import retired
from tests.examples import examples
from tests.factories import AT, OPERATOR
from vcp import CommandAck, Execution

pytestmark = pytest.mark.django_db
RELAYS = ("one", "two")
LEASE = timedelta(seconds=8)
MARGIN = factories.policy().replay_margin
FATES = ("confirmed", "confirm lost", "message lost", "nacked", "returned", "refused", "not sent")
ARRIVES = ("confirmed", "confirm lost")
plants = st.integers(min_value=0, max_value=1)


@dataclass(frozen=True, kw_only=True)
class Flight:
    """One claimed message and what the broker did with it, which its relay has not written down yet."""

    claimed: Claimed
    fate: str


@dataclass(kw_only=True)
class Story:
    """What really happened, as nobody in the platform knows it."""

    arrived: dict[int, list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )  # plant -> message ids, in order
    bodies: dict[int, bytes] = field(default_factory=dict)
    heard: set[int] = field(default_factory=set)  # commands of which Voke has said something


class LifeOfCommands(RuleBasedStateMachine):
    """Two plants on one connection, which others may take over."""

    def __init__(self) -> None:
        super().__init__()
        self.at = AT
        self.story = Story()
        self.flights: dict[tuple[int, str], list[Flight]] = {}
        self.words = 0
        self.block = transaction.atomic()
        self.block.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    @initialize()
    def a_connection_with_two_plants(self) -> None:
        link = factories.connection()
        self.links: list[Connection] = [link]
        self.plants = [factories.plant(on=link, assets=[]) for _ in range(2)]

    def plant(self, index: int) -> Plant:
        self.plants[index].refresh_from_db()
        return self.plants[index]

    # --- what people and plans ask ------------------------------------------------------------------------------------

    @rule(index=plants, kw=st.integers(1, 40), wait_s=st.sampled_from([0, 0, 30]), automatic=st.booleans())
    def a_setpoint_is_asked_for(self, index: int, kw: int, wait_s: int, automatic: bool) -> None:
        due_at = self.at + timedelta(seconds=wait_s) if wait_s else None
        payload = setpoint(float(kw), valid_from=self.at, valid_until=self.at + timedelta(minutes=6))
        with suppress(Conflict):
            ask(self.plant(index), payload, at=self.at, due_at=due_at, automatic=automatic)

    @rule(index=plants)
    def a_mode_is_asked_for(self, index: int) -> None:
        with suppress(Conflict):
            ask(self.plant(index), mode(), at=self.at)

    @rule(index=plants, stop=st.booleans())
    def an_emergency_is_asked_for(self, index: int, stop: bool) -> None:
        with suppress(Conflict):
            ask(self.plant(index), stop_now() if stop else hold_now(), at=self.at)

    @rule(index=plants)
    def an_emergency_is_released(self, index: int) -> None:
        latched = EmergencyLatch.objects.filter(plant=self.plants[index], released_at__isnull=True).exists()
        try:
            release(self.plant(index), at=self.at)
        except Conflict as refusal:
            assert (refusal.code, latched) == ("NOT_LATCHED", False)

    @rule(choice=st.integers(0, 1000))
    def a_command_is_taken_back(self, choice: int) -> None:
        ids = list(Command.objects.order_by("pk").values_list("pk", "organisation_id"))
        if ids:
            pk, organisation_id = ids[choice % len(ids)]
            with suppress(Conflict):
                cancel(organisation_id=organisation_id, command_id=pk, actor=OPERATOR, reason="x", at=self.at)

    @rule(index=plants, on=st.booleans())
    def a_plants_switch_is_turned(self, index: int, on: bool) -> None:
        set_plant_dispatch(plant_id=self.plants[index].pk, enabled=on)

    @precondition(lambda self: len(self.links) < 3)
    @rule()
    def a_second_bundle_takes_over(self) -> None:
        new = factories.connection(owner=self.links[0].organisation)
        take_over(old=self.links[-1], new=new, at=self.at, policy=factories.policy())
        self.links.append(new)

    # --- what the clock does ------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 5, 16, 61, 241]))
    def time_passes(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)

    @rule()
    def the_ticks_run(self) -> None:
        policy = factories.policy()
        queue_due(at=self.at)
        follow_moved(at=self.at, policy=policy)
        settle_late(at=self.at, policy=policy)
        mark_ack_overdue(at=self.at)
        care_for_undelivered(at=self.at, policy=policy)
        publish_changed(at=self.at, policy=policy)
        retired(self.at)

    # --- what relays and the broker do --------------------------------------------------------------------------------

    @rule(
        which=st.integers(0, 2),
        relay=st.sampled_from(RELAYS),
        fates=st.lists(st.sampled_from(FATES), min_size=4, max_size=4),
    )
    def a_relay_publishes_a_window(self, which: int, relay: str, fates: list[str]) -> None:
        link = self.links[which % len(self.links)]
        if self.flights.get((link.pk, relay)):
            return  # it has not written down its last window
        until, window = claim(
            connection=link, holder=relay, ttl=LEASE, window=4, at=self.at, policy=factories.policy()
        )
        if until is None:
            return
        self._check_claim(window)
        flights = [Flight(claimed=one, fate=fate) for one, fate in zip(window, fates, strict=False)]
        for flight in flights:
            if flight.fate in ARRIVES:
                self._arrive(flight.claimed)
        self.flights[(link.pk, relay)] = flights

    @rule(which=st.integers(0, 2), relay=st.sampled_from(RELAYS))
    def a_relay_writes_down_what_the_broker_said(self, which: int, relay: str) -> None:
        flights = self.flights.pop((self.links[which % len(self.links)].pk, relay), [])
        settled = {"confirmed": Outcome.CONFIRMED, "returned": Outcome.RETURNED, "refused": Outcome.REFUSED}
        words = [Word(outbound_id=one.claimed.outbound_id, outcome=settled.get(one.fate)) for one in flights]
        record(words=words, at=self.at, policy=factories.policy())
        told = {fate: [one.claimed.outbound_id for one in flights if one.fate == fate] for fate in FATES}
        note_nacked(outbound_ids=told["nacked"], at=self.at)
        forget_attempts(outbound_ids=told["not sent"])

    @rule(which=st.integers(0, 2), relay=st.sampled_from(RELAYS))
    def a_relay_is_killed(self, which: int, relay: str) -> None:
        self.flights.pop((self.links[which % len(self.links)].pk, relay), None)

    def _arrive(self, claimed: Claimed) -> None:
        message = OutboundMessage.objects.get(pk=claimed.outbound_id)
        known = self.story.arrived[message.plant_id]
        if message.pk not in known:
            known.append(message.pk)

    # --- what Voke says -----------------------------------------------------------------------------------------------

    @rule(
        index=plants,
        choice=st.integers(0, 1000),
        word=st.sampled_from(
            ["ACCEPTED", "REJECTED", "QUEUED", "EXECUTING", "COMPLETED", "DEVIATED", "FAILED"]
        ),
    )
    def voke_speaks_of_what_arrived(self, index: int, choice: int, word: str) -> None:
        arrived = self.story.arrived[self.plants[index].pk]
        if not arrived:
            return
        message = OutboundMessage.objects.get(pk=arrived[choice % len(arrived)])
        self.words += 1
        row = InboundMessage.objects.create(
            connection_id=message.connection_id,
            message_id=f"word {self.words}",
            routing_key="acme.event",
            family="event",
            sent_at=self.at,
            received_at=self.at,
            disposition=Disposition.APPLIED,
            body=b"{}",
        )
        acks = ("ACCEPTED", "REJECTED", "QUEUED")
        said: Any = (CommandAck if word in acks else Execution)(status=word, command_type="mode")
        told = Told(inbound_id=row.pk, correlation_id=str(message.correlation_id), told_at=self.at, word=said)
        apply_words(connection_id=message.connection_id, told=[told], at=self.at)
        if message.command_id is not None:
            self.story.heard.add(message.command_id)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def _check_claim(self, window: list[Claimed]) -> None:
        """Nothing past its deadlines, nothing but emergencies for a latched plant, one other message of each plant."""
        rows = OutboundMessage.objects.in_bulk([one.outbound_id for one in window])
        latched = set(
            EmergencyLatch.objects.filter(released_at__isnull=True).values_list("plant_id", flat=True)
        )
        usual = Counter(row.plant_id for row in rows.values() if not row.urgent)
        for one in window:
            row = rows[one.outbound_id]
            assert one.not_after > self.at
            assert row.made_at + MARGIN > self.at
            assert row.deliver_by_at is None or row.deliver_by_at > self.at
            assert row.urgent or row.plant_id not in latched
            assert one.body == bytes(row.body)
        assert not [plant for plant, count in usual.items() if count > 1]

    @invariant()
    def a_plant_has_at_most_one_usual_message_that_could_go_and_a_latched_one_none(self) -> None:
        usual: Counter[int] = Counter()
        for link in self.links:
            for row in sendable(link, self.at).filter(urgent=False):
                usual[row.plant_id] += 1
        latched = EmergencyLatch.objects.filter(released_at__isnull=True).values_list("plant_id", flat=True)
        assert not [plant for plant, count in usual.items() if count > 1]
        assert not usual.keys() & set(latched)

    @invariant()
    def events_explain_every_state_by_allowed_steps(self) -> None:
        applied: dict[int, list[State]] = defaultdict(list)
        rows = CommandEvent.objects.filter(verdict="APPLIED").order_by("pk").values_list("command_id", "word")
        for command_id, word in rows:
            applied[command_id].append(State(word))
        for command_id, state in Command.objects.values_list("pk", "state"):
            steps = applied[command_id]
            assert steps[0] is State.SCHEDULED
            assert steps[-1] == state
            assert all(to in TRANSITIONS[before] for before, to in pairwise(steps))

    @invariant()
    def the_bytes_of_a_message_never_change(self) -> None:
        for pk, body in OutboundMessage.objects.values_list("pk", "body"):
            assert self.story.bodies.setdefault(pk, bytes(body)) == bytes(body)

    @invariant()
    def what_is_called_never_sent_never_arrived(self) -> None:
        unsent = [state.value for state in NEVER_SENT]
        rows = OutboundMessage.objects.filter(command__state__in=unsent)
        closed = OutboundMessage.objects.filter(outcome__in=[Outcome.REPLACED, Outcome.WITHDRAWN])
        arrived = {pk for ids in self.story.arrived.values() for pk in ids}
        assert not arrived & set(rows.values_list("pk", flat=True))
        assert not arrived & set(closed.values_list("pk", flat=True))

    @invariant()
    def usual_messages_of_a_plant_first_arrive_in_their_order_and_once_for_each_command(self) -> None:
        for plant_id, ids in self.story.arrived.items():
            rows = OutboundMessage.objects.in_bulk(ids)
            usual = [rows[pk] for pk in ids if not rows[pk].urgent]
            order = [row.place or row.pk for row in usual]
            assert order == sorted(order), plant_id
            commands = [row.command_id for row in usual if row.command_id is not None]
            assert len(commands) == len(set(commands)), plant_id

    @invariant()
    def what_voke_spoke_of_is_in_a_state_that_voke_gave(self) -> None:
        states = Command.objects.filter(pk__in=self.story.heard).values_list("state", flat=True)
        assert set(states) <= {state.value for state in FROM_VOKE}

    @invariant()
    def a_stop_in_force_is_delivered_or_still_tried(self) -> None:
        latches = EmergencyLatch.objects.filter(released_at__isnull=True).select_related("command")
        given_up = {State.CANCELLED, State.SUPERSEDED, State.EXPIRED, State.RETURNED, State.REFUSED}
        assert not [latch for latch in latches if State(latch.command.state) in given_up]


def test_a_commands_life_keeps_its_promises_whatever_happens() -> None:
    run_state_machine_as_test(
        LifeOfCommands,
        settings=examples(
            8,
            stateful_step_count=int(os.environ.get("LIFE_STEPS", "40")),
            suppress_health_check=list(HealthCheck),
        ),
    )
