"""Planned days and timed commands while a process of either side is killed: nothing is lost or takes effect twice."""

from datetime import timedelta

import pytest

from dispatch.models import Command, OutboundMessage, Proof, TimedCommand
from dispatch.states import State
from plants.models import DeadLetter
from schedules.models import VokeSchedule
from tests.contract.conftest import MakePlans
from tests.contract.plans_life import Killed, Point
from tests.contract.plans_told import CREATE, SETPOINT, proofs, values
from tests.contract.plans_world import LEAD, TICKS
from voke_sim.faults import FaultKind, FaultRule


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
        world.run_until("06:15")
        world.go_to("06:16")

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
