"""Planned days, as platform and Voke live them together: over membroker, and over RabbitMQ with TLS.

Each scenario is told of two plants at once: we carry out the plan of one, Voke's own schedule that of the other. What a
plant followed at each instant is what the stand-in wrote down.
"""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from dispatch.models import (
    Command,
    CommandEvent,
    Diagnosis,
    EmergencyLatch,
    Kind,
    OutboundMessage,
    Proof,
    TimedCommand,
)
from dispatch.services.retracting import retract
from dispatch.states import State
from plants.models import CancelPolicy, DeadLetter, Plant
from schedules.models import (
    Override,
    OverrideEnd,
    PlanState,
    PlanVersion,
    RunState,
    SlotProof,
    SlotRun,
    VokeSchedule,
)
from schedules.policy import current_schedule_policy
from schedules.services.overrides import end_override
from tests.contract.conftest import MakePlans
from tests.contract.plans_life import Killed, Point
from tests.contract.plans_world import LEAD, QUARTER, SETTLED, TICKS, US, VOKE, ZONE, PlansWorld
from tests.contract.world import memory_wiring
from tests.factories import OPERATOR
from voke_sim.faults import FaultKind, FaultRule, OfflineAck

CAUSES = {
    "KNOWN_TO_VOKE": lambda site: FaultRule(
        kind=FaultKind.DROP, site=site, families=("event.command", "event.execution")
    ),
    "UNKNOWN_TO_VOKE": lambda site: FaultRule(kind=FaultKind.SWALLOW, site=site),
    "CLOCK_SKEW": lambda _site: FaultRule(kind=FaultKind.CLOCK_SKEW, skew_s=400.0),
    "SITE_OFFLINE": lambda site: FaultRule(kind=FaultKind.OFFLINE, site=site, offline_ack=OfflineAck.DELAYED),
    "LINK_SILENT": lambda _site: FaultRule(kind=FaultKind.DROP, families=("event",)),
    "RETURNED": lambda _site: FaultRule(kind=FaultKind.UNBOUND),
}
"""What keeps the answer to a slot's setpoint away, by the cause that the platform must name."""
LOOKS_S = (65, 80, 110, 140, 200, 260, 300)
"""When it is looked for, in seconds after the setpoint was sent."""

SETPOINT, CREATE, CANCEL, MODE = (
    Kind.SITE_SETPOINT.value, Kind.SCHEDULE_CREATE.value, Kind.SCHEDULE_CANCEL.value, Kind.MODE.value,
)  # fmt: skip


def verdicts(version):
    """The verdict of each slot, whoever carried it."""
    ours = SlotRun.objects.filter(slot__version=version).order_by("slot__start_at")
    vokes = SlotProof.objects.filter(slot__version=version).order_by("slot__start_at")
    return [
        *ours.values_list("command__verification__verdict", flat=True),
        *vokes.values_list("verdict", flat=True),
    ]


def proofs(commands):
    """What the measurement said of commands."""
    return [command.verification.verdict for command in commands]


def command_words(command):
    """The states that a command went through."""
    events = CommandEvent.objects.filter(command=command, verdict="APPLIED").order_by("pk")
    return list(events.values_list("word", flat=True))


def values(commands):
    """The targets of setpoints."""
    return [command.payload["targetValueKw"] for command in commands]


def kinds_since(plant, at):
    """What was sent to a plant from an instant on, in the order of the wire."""
    rows = OutboundMessage.objects.filter(plant=plant, attempted_at__gte=at, command__isnull=False)
    return list(rows.order_by("pk").values_list("command__kind", flat=True))


def test_a_planned_morning_is_followed_slot_by_slot_and_each_slot_is_verified(make_plans: MakePlans):
    with make_plans() as world:
        versions = world.plan(20, 30, 25)

        world.run_until("06:47")

        for plant, version in zip(world.plants, versions, strict=True):
            assert world.steps(plant) == [
                ("06:00:00", 20.0), ("06:15:00", 30.0), ("06:30:00", 25.0), ("06:45:00", None),
            ]  # fmt: skip
            assert verdicts(version) == [Proof.VERIFIED] * 3
        assert {one.source for one in world.followed(world.ours)} == {"mode", "setpoint"}
        assert {one.source for one in world.followed(world.vokes)} == {"mode", "schedule"}
        assert [len(world.sent(world.ours, kind)) for kind in (SETPOINT, CREATE)] == [3, 0]
        assert [len(world.sent(world.vokes, kind)) for kind in (SETPOINT, CREATE)] == [0, 1]


def test_an_override_that_expires_and_one_that_is_ended_give_way_to_the_slot_that_is_current_then(
    make_plans: MakePlans,
):
    with make_plans() as world:
        ours, _ = world.plan(20, 30, 25)
        world.run_until("06:05")
        for plant in world.plants:
            world.override(plant, 45.0, until="06:20")
        world.go_to(world.now)
        world.run_until("06:20")
        world.run_until("06:33")
        second = [world.override(plant, 44.0, until="06:50") for plant in world.plants]
        world.go_to(world.now)
        world.run_until("06:37")
        for override in second:
            end_override(
                organisation_id=override.organisation_id,
                override_id=override.pk,
                actor=OPERATOR,
                reason="scenario",
                at=world.now,
                policy=current_schedule_policy(),
            )
        world.go_to(world.now)
        world.run_until("06:52")

        for plant in world.plants:
            assert world.steps(plant) == [
                ("06:00:00", 20.0), ("06:05:00", 45.0), ("06:20:00", 30.0), ("06:30:00", 25.0),
                ("06:33:00", 44.0), ("06:37:00", 25.0), ("06:45:00", None),
            ]  # fmt: skip
        preempted = SlotRun.objects.filter(slot__version=ours, state=RunState.PREEMPTED)
        assert set(preempted.values_list("winner", flat=True)) == {
            "override by operator until 05:20Z",
            "override by operator until 05:50Z",
        }
        ends = Override.objects.filter(plant=world.ours).order_by("pk").values_list("end_cause", flat=True)
        assert list(ends) == [OverrideEnd.EXPIRED, OverrideEnd.ENDED]


def test_nothing_of_the_plan_is_sent_under_an_emergency_and_its_release_brings_base_mode_and_current_slot(
    make_plans: MakePlans,
):
    with make_plans() as world:
        ours, _ = world.plan(20, 30, 25, 22)
        world.run_until("06:05")
        for plant in world.plants:
            world.stop(plant)
        world.go_to(world.now)
        stopped_at = world.now
        world.run_until("06:34")
        under_latch = [kinds_since(plant, stopped_at) for plant in world.plants]
        world.run_until("06:35")
        for plant in world.plants:
            world.release(plant)
        world.go_to(world.now)
        after = kinds_since(world.ours, world.now)
        world.run_until("07:02")

        assert under_latch == [["emergency"], ["emergency"]]
        for plant in world.plants:
            assert world.steps(plant) == [
                ("06:00:00", 20.0), ("06:05:00", None), ("06:35:00", 25.0), ("06:45:00", 22.0), ("07:00:00", None),
            ]  # fmt: skip
            assert world.followed(plant)[2].source == "emergency"
        assert after == [MODE, SETPOINT]
        preempted = SlotRun.objects.filter(slot__version=ours, state=RunState.PREEMPTED)
        assert all("STOP" in winner for winner in preempted.values_list("winner", flat=True))
        assert not EmergencyLatch.objects.filter(released_at__isnull=True).exists()


def test_a_plan_replaced_in_mid_day_leaves_no_gap_and_no_double_and_what_is_equal_is_not_sent_again(
    make_plans: MakePlans,
):
    with make_plans() as world:
        olds = world.plan(20, 30, 40, 45)
        world.run_until("06:20")
        news = world.plan(20, 35, 40, 36)
        world.run_until(world.now + SETTLED)
        world.run_until("07:02")

        for plant in world.plants:
            assert world.steps(plant) == [
                ("06:00:00", 20.0), ("06:15:00", 30.0), ("06:20:00", 35.0), ("06:30:00", 40.0),
                ("06:45:00", 36.0), ("07:00:00", None),
            ]  # fmt: skip
        assert values(world.sent(world.ours, SETPOINT)) == [20.0, 30.0, 35.0, 40.0, 36.0]
        assert [len(world.sent(world.vokes, kind)) for kind in (CREATE, CANCEL, SETPOINT)] == [2, 1, 0]
        assert proofs(world.sent(world.ours, SETPOINT))[2:] == [Proof.VERIFIED] * 3
        assert verdicts(news[1])[-3:] == [Proof.VERIFIED] * 3
        assert set(
            PlanVersion.objects.filter(pk__in=[one.pk for one in olds]).values_list("state", flat=True)
        ) == {PlanState.REPLACED}


def test_carriers_are_exchanged_in_mid_day_without_gap_and_double(make_plans: MakePlans):
    with make_plans() as world:
        world.plan(20, 30, 40, 45)
        world.run_until("06:20")
        world.carried_by(world.ours, VOKE)
        world.carried_by(world.vokes, US)
        world.plan(20, 32, 40, 45)
        world.run_until("07:02")

        for plant, before, after in (
            (world.ours, "setpoint", "schedule"),
            (world.vokes, "schedule", "setpoint"),
        ):
            assert world.steps(plant) == [
                ("06:00:00", 20.0), ("06:15:00", 30.0), ("06:20:00", 32.0), ("06:30:00", 40.0),
                ("06:45:00", 45.0), ("07:00:00", None),
            ]  # fmt: skip
            sources = [one.source for one in world.followed(plant)]
            assert sources == ["mode", before, before, after, after, after, "mode"]


def test_a_cancelled_plan_ends_as_the_plants_policy_says_and_at_voke_at_once(make_plans: MakePlans):
    with make_plans() as world:
        for first, at, until, policy in (
            ("06:00", "06:05", "06:10", CancelPolicy.BASE_MODE),
            ("06:15", "06:20", "06:30:30", CancelPolicy.EXPIRE),
            ("06:45", "06:50", "07:00:30", CancelPolicy.ZERO),
        ):
            Plant.objects.filter(pk=world.ours.pk).update(cancel_policy=policy)
            versions = world.plan(20, 30, first=first)
            world.run_until(at)
            for version in versions:
                world.cancel(version)
            world.go_to(world.now)
            world.run_until(until)

        assert world.steps(world.ours) == [
            ("06:00:00", 20.0), ("06:05:00", None),
            ("06:15:00", 20.0), ("06:30:30", None),
            ("06:45:00", 20.0), ("06:50:00", 0.0), ("07:00:30", None),
        ]  # fmt: skip
        assert world.steps(world.vokes) == [
            ("06:00:00", 20.0), ("06:05:00", None), ("06:15:00", 20.0), ("06:20:00", None),
            ("06:45:00", 20.0), ("06:50:00", None),
        ]  # fmt: skip
        assert [len(world.sent(world.vokes, kind)) for kind in (CREATE, CANCEL)] == [3, 3]


@pytest.mark.parametrize("point", list(Point))
def test_a_platform_that_is_killed_between_two_commits_goes_on_and_nothing_takes_effect_twice(
    make_plans: MakePlans, point
):
    with make_plans() as world:
        world.plan(20, 30, 25)
        world.run_until("06:05")
        world.run_to_death(world.instant("06:15") - LEAD, point)
        world.start_platform()
        world.run_until("06:47")

        for plant in world.plants:
            assert world.steps(plant) == [
                ("06:00:00", 20.0), ("06:15:00", 30.0), ("06:30:00", 25.0), ("06:45:00", None),
            ]  # fmt: skip
        sent = world.sent(world.ours, SETPOINT)
        assert values(sent) == [20.0, 30.0, 25.0]
        assert [world.effects(command) for command in sent] == [1, 1, 1]
        assert proofs(sent) == [Proof.VERIFIED] * 3
        assert [command.state for command in sent] == [State.COMPLETED] * 3
        assert not DeadLetter.objects.exists()


def test_a_stand_in_that_crashes_and_one_that_forgets_are_found_out_and_get_what_is_missing_once(
    make_plans: MakePlans, settings
):
    settings.PLAN_LOOK_S = settings.SITE_REPORT_EVERY_S = 60
    settings.SITE_REPORT_PACE_MS = 0
    with make_plans(rest=True, ticks=(*TICKS, "plan_reconcile")) as world:
        _, version = world.plan(20, 30, 25, 22)
        world.run_until("06:05")
        world.crash_voke()
        world.run_until("06:20")
        world.faults.add(FaultRule(kind=FaultKind.FORGET_SCHEDULES, count=1, site=str(world.vokes.voke_uuid)))
        world.run_until("07:02")

        rows = VokeSchedule.objects.filter(version=version).order_by("pk")
        assert list(rows.values_list("cause", flat=True)) == ["LOST_AT_VOKE", "COMPLETED"]
        assert world.steps(world.ours) == [
            ("06:00:00", 20.0), ("06:15:00", 30.0), ("06:30:00", 25.0), ("06:45:00", 22.0), ("07:00:00", None),
        ]  # fmt: skip
        kws = [kw for _, kw in world.steps(world.vokes)]
        assert kws in ([20.0, 30.0, None, 30.0, 25.0, 22.0, None], [20.0, 30.0, None, 25.0, 22.0, None])
        assert [len(world.sent(world.vokes, kind)) for kind in (CREATE, SETPOINT)] == [2, 0]
        assert [world.effects(one) for one in world.sent(world.ours, SETPOINT)] == [1, 1, 1, 1]


def test_whatever_keeps_an_answer_away_is_named_nothing_is_sent_again_and_the_next_slot_goes_out(
    make_plans: MakePlans, settings
):
    """One cause at the beginning of each slot; it is gone before the next one is sent."""
    settings.SITE_REPORT_EVERY_S = 0
    first_turns = []
    with make_plans(rest=True, ticks=(*TICKS, "diagnosis_rest")) as world:
        world.plan(*[20.0 + number for number in range(len(CAUSES) + 1)])
        for number, (expected, fault) in enumerate(CAUSES.items()):
            begins = world.instant("06:00") + number * QUARTER
            world.run_until(begins - timedelta(minutes=1))
            rule = fault(str(world.ours.voke_uuid))
            mark = world.faults.add(rule)
            world.wait_for_intake(rule.kind)
            world.run_until(begins - LEAD)
            run = SlotRun.objects.get(plant=world.ours, slot__start_at=begins, turn=1)
            for seconds in LOOKS_S:
                world.go_to(begins - LEAD + timedelta(seconds=seconds), vouched=True)
                if Diagnosis.objects.filter(command_id=run.command_id, cause=expected).exists():
                    break
            first_turns.append(run.command)
            world.faults.remove(mark)
            world.wait_for_intake(None)
        world.run_until(begins + QUARTER)

        causes = dict(Diagnosis.objects.values_list("command_id", "cause"))
        assert [causes.get(command.pk) for command in first_turns] == list(CAUSES)
        assert [command.messages.count() for command in first_turns] == [1] * len(CAUSES)
        messages = OutboundMessage.objects.filter(command__plant=world.ours)
        assert set(messages.values_list("attempts", flat=True)) == {1}
        assert world.steps(world.ours)[-1] == (
            f"{(begins + QUARTER).astimezone(ZONE):%H:%M:%S}",
            20.0 + len(CAUSES),
        )


def test_a_cancellation_that_crosses_its_acknowledgement_ends_the_target_and_the_answer_still_counts(
    make_plans: MakePlans,
):
    with make_plans() as world:
        late = FaultRule(kind=FaultKind.DELAY, families=("event.command", "event.execution"), delay_s=30.0)
        mark = world.faults.add(late)
        world.go_to("06:00")
        command = world.send(world.ours, world.import_of(20.0, until="06:15"))
        world.go_to("06:00")
        world.go_to("06:00:10")
        taken_back = retract(
            command_id=command.pk,
            actor=OPERATOR,
            reason="scenario",
            at=world.now,
            policy=current_schedule_policy().dispatch,
        )
        world.go_to("06:00:10")
        world.faults.remove(mark)
        before = command_words(command)
        world.go_to("06:00:45")
        world.go_to("06:02")

        assert world.steps(world.ours) == [("06:00:00", 20.0), ("06:00:10", None)]
        assert State.ACCEPTED not in before
        assert State.ACCEPTED in command_words(command)
        assert taken_back is not None
        assert taken_back.by_command.kind == MODE
        taken_back.by_command.refresh_from_db()
        assert taken_back.by_command.state == State.COMPLETED
        assert [one.messages.count() for one in (command, taken_back.by_command)] == [1, 1]


@pytest.mark.parametrize(
    ("halt_s", "stops"), [(10, 1), (120, 2)], ids=["while its time lasts", "after its time"]
)
def test_the_stop_of_a_timed_device_command_takes_effect_once_although_its_sender_was_killed(
    make_plans: MakePlans, halt_s, stops
):
    """Within COMMAND_DELIVER_BY_S the restarted platform sends the same bytes; later it makes the stop anew."""
    with make_plans() as world:
        world.go_to("06:00")
        start = world.charge(20.0, minutes=5)
        world.go_to("06:00")
        world.go_to("06:01:01")
        world.run_to_death("06:05", Point.BEFORE_SENDING)
        before = TimedCommand.objects.get(start=start)
        world.start_platform(after=timedelta(seconds=halt_s))
        world.go_to("06:07:30")
        world.run_until("06:10")
        world.go_to("06:11")

        assert before.ended_at is None
        timed = TimedCommand.objects.select_related("stop").get(start=start)
        assert timed.end_cause == "STOPPED"
        assert Command.objects.filter(plant=world.ours, kind=start.kind).count() == 1 + stops
        assert [command.pk for command in world.sent(world.ours, start.kind)] == [start.pk, timed.stop_id]
        assert [world.effects(command) for command in (start, timed.stop)] == [1, 1]
        assert timed.stop.state == State.COMPLETED


def test_a_tick_that_is_killed_before_its_commit_leaves_nothing_and_the_next_one_sends_the_slot(
    make_plans: MakePlans, monkeypatch
):
    def killed(*_args, **_changes):
        raise Killed

    with make_plans() as world:
        world.plan(20, 30)
        world.run_until("06:05")
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr("schedules.services.carried_by_us.write_runs", killed)
            world.run_until("06:15")
        left = OutboundMessage.objects.filter(command__due_at__gt=world.instant("06:05")).count()
        world.kill_platform()
        world.start_platform()
        world.run_until("06:32")

        assert left == 0
        assert world.steps(world.ours) == [("06:00:00", 20.0), ("06:15:00", 30.0), ("06:30:00", None)]
        assert values(world.sent(world.ours, SETPOINT)) == [20.0, 30.0]


@pytest.mark.parametrize(
    ("day", "quarters", "hours"),
    [(date(2026, 3, 29), 92, 23), (date(2026, 10, 25), 100, 25)],
    ids=["the clock goes forward", "the clock goes back"],
)
def test_both_carriers_follow_every_slot_of_a_day_on_which_the_clock_is_changed(
    transactional_db, day, quarters, hours
):
    midnight = datetime.combine(day, time(), tzinfo=ZONE)
    begins = midnight.astimezone(UTC) - timedelta(minutes=5)
    kw = [10.0 + number % 7 for number in range(quarters)]
    with PlansWorld(
        memory_wiring,
        day=day,
        begins=begins,
        paces=(-LEAD, timedelta()),
        ticks=("queue_due", "plan_slots", "plan_schedules", "plans_done"),
    ) as world:
        ours, vokes = world.plan(*kw, first=world.day.start_at)
        world.run_until(world.day.start_at + timedelta(hours=hours, minutes=15))

        starts = [world.day.start_at + number * QUARTER for number in range(quarters)]
        for plant in world.plants:
            told = [(one.at, one.kw) for one in world.followed(plant)][1:]
            assert told == [*zip(starts, kw, strict=True), (world.day.end_at, None)]
        for version in (ours, vokes):
            version.refresh_from_db()
            assert version.state == PlanState.DONE
        assert values(world.sent(world.ours, SETPOINT)) == kw
        assert len(world.sent(world.vokes, CREATE)) == 1
