"""Planned days, as platform and Voke live them together: over membroker, and over RabbitMQ with TLS.

Each scenario is told of two plants at once: we carry out the plan of one, Voke's own schedule that of the other. What a
plant followed at each instant is what the stand-in wrote down.
"""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from dispatch.models import EmergencyLatch, OutboundMessage, Proof
from plants.models import CancelPolicy, Plant
from schedules.models import Override, OverrideEnd, PlanState, PlanVersion, RunState, SlotProof, SlotRun
from schedules.policy import current_schedule_policy
from schedules.services.overrides import end_override
from tests.contract.conftest import MakePlans
from tests.contract.plans_told import CANCEL, CREATE, MODE, SETPOINT, proofs, values
from tests.contract.plans_world import LEAD, QUARTER, SETTLED, US, VOKE, ZONE, PlansWorld
from tests.contract.world import memory_wiring
from tests.factories import OPERATOR


def verdicts(version):
    """The verdict of each slot, whoever carried it."""
    ours = SlotRun.objects.filter(slot__version=version).order_by("slot__start_at")
    vokes = SlotProof.objects.filter(slot__version=version).order_by("slot__start_at")
    return [
        *ours.values_list("command__verification__verdict", flat=True),
        *vokes.values_list("verdict", flat=True),
    ]


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


_FORWARD, _BACK = date(2026, 3, 29), date(2026, 10, 25)
_DAY_PACES = (-LEAD, timedelta())
_DAY_TICKS = ("queue_due", "plan_slots", "plan_schedules", "plans_done")


def _eve_of(day: date) -> datetime:
    """Five minutes before the day begins on the plants' clock."""
    return datetime.combine(day, time(), tzinfo=ZONE).astimezone(UTC) - timedelta(minutes=5)


@pytest.mark.parametrize("make_plans", ["amqps"], indirect=True)
@pytest.mark.parametrize(
    ("day", "quarters"), [(_FORWARD, 12), (_BACK, 20)], ids=["the clock goes forward", "the clock goes back"]
)
def test_both_carriers_follow_the_slots_around_a_change_of_the_clock(make_plans: MakePlans, day, quarters):
    """From midnight to 04:00 on the plants' clock: three hours, and five. In memory the whole days are played below."""
    kw = [10.0 + number % 7 for number in range(quarters)]
    with make_plans(day=day, begins=_eve_of(day), paces=_DAY_PACES, ticks=_DAY_TICKS) as world:
        world.plan(*kw, first=world.day.start_at)
        world.run_until("04:15")

        for plant in world.plants:
            steps = world.steps(plant)
            assert [value for _, value in steps] == [*kw, None]
            assert (steps[0][0], steps[-1][0]) == ("00:00:00", "04:00:00")
        assert values(world.sent(world.ours, SETPOINT)) == kw


@pytest.mark.parametrize(
    ("day", "quarters", "hours"),
    [(_FORWARD, 92, 23), (_BACK, 100, 25)],
    ids=["the clock goes forward", "the clock goes back"],
)
def test_both_carriers_follow_every_slot_of_a_day_on_which_the_clock_is_changed(
    transactional_db, day, quarters, hours
):
    kw = [10.0 + number % 7 for number in range(quarters)]
    with PlansWorld(memory_wiring, day=day, begins=_eve_of(day), paces=_DAY_PACES, ticks=_DAY_TICKS) as world:
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
