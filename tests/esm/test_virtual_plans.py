"""Planned days on the virtual clock, slot by slot: with overrides, emergencies, replacements and restarts."""

from datetime import UTC, date, datetime, timedelta

import pytest

from dispatch.models import Command
from esm.virtual_day.plan import carried_by, forecast_plans, publish_plan, publish_plans, shifted
from esm.virtual_day.result import tally_slots
from esm.virtual_day.world import EVE, ZONE, VirtualWorld
from plants.models import DeadLetter, ScheduleCarrier
from schedules.models import Override, OverrideEnd, PlanSlot, PlanState, RunState, SlotRun
from vcp import Direction

AUTUMN, SPRING, USUAL = date(2026, 10, 25), date(2026, 3, 29), date(2026, 6, 17)
OURS, VOKES = "BREWERY", "BUS-DEPOT"
LEEWAY = timedelta(minutes=4)
pytestmark = pytest.mark.django_db(transaction=True)


def planned_world(day, begins_at, *, seed=7):
    """One plan carried out by us and one by Voke, published a little before `begins_at`."""
    world = VirtualWorld(day=day, seed=seed, begins_at=begins_at - EVE)

    def publish(one):
        carried_by({VOKES: ScheduleCarrier.VOKE}, organisation_id=one.organisation_id)
        publish_plans(plans_of(one), organisation_id=one.organisation_id, day=one.day, at=one.now)

    world.at(begins_at - LEEWAY, publish)
    return world


def plans_of(world):
    plans = forecast_plans(world.voke.config, day=world.day, zone=ZONE, began_at=world.began_at)
    return {name: plans[name] for name in (OURS, VOKES)}


def signed(slot):
    return slot.value if slot.direction == Direction.IMPORT else -slot.value


def published_kw(world, plant, at):
    """What the published version wants at an instant."""
    slot = PlanSlot.objects.get(
        version__plan__plant__external_plant_id=plant,
        version__state__in=(PlanState.PUBLISHED, PlanState.DONE),
        start_at__lte=at,
        end_at__gt=at,
    )
    return signed(slot)


def watch(world, until, *, every_s=150.0):
    """Let the time pass and look now and then: [(instant, target of each plant, what the plan wants)]."""
    seen = []
    while world.now < until:
        world.run_until(min(until, world.now + timedelta(seconds=every_s)))
        seen += [
            (world.now, plant, world.target_kw(plant), published_kw(world, plant, world.now))
            for plant in (OURS, VOKES)
        ]
    return seen


@pytest.mark.parametrize(
    ("day", "begins_at", "ends_at", "slots", "within"),
    [
        (
            AUTUMN,
            datetime(2026, 10, 24, 23, 30, tzinfo=UTC),
            datetime(2026, 10, 25, 2, 0, tzinfo=UTC),
            100,
            10,
        ),
        (SPRING, datetime(2026, 3, 29, 0, 15, tzinfo=UTC), datetime(2026, 3, 29, 1, 45, tzinfo=UTC), 92, 6),
    ],
    ids=["the clock goes back", "the clock goes forward"],
)
def test_every_slot_around_a_leap_of_the_clock_is_in_force_from_its_start_to_its_end(
    day, begins_at, ends_at, slots, within
):
    with planned_world(day, begins_at) as world:
        world.run_until(begins_at)

        seen = watch(world, ends_at)

        assert [one for one in seen if one[2] != one[3]] == []
        tally = tally_slots(organisation_id=world.organisation_id, day=day, plants=[OURS])
        assert tally.slots == slots
        assert tally.commanded == within + 2
        assert (tally.verified, tally.off_target, tally.no_data) == (
            within,
            0,
            0,
        )  # the last is not judged yet
        runs = SlotRun.objects.filter(plant__external_plant_id=OURS, state=RunState.COMMANDED)
        starts = list(runs.order_by("slot__start_at").values_list("slot__start_at", flat=True))
        quarter = timedelta(minutes=15)  # the slot that ran at publication, and the one that is sent ahead
        assert starts == [begins_at + quarter * n for n in range(-1, within + 1)]
        assert not DeadLetter.objects.exists()


def test_an_override_stands_above_the_plan_for_its_time_and_then_the_slot_current_then_goes_on():
    begins_at = datetime(2026, 6, 17, 8, 0, tzinfo=UTC)
    with planned_world(USUAL, begins_at) as world:
        for plant in (OURS, VOKES):
            world.at("10:20", lambda one, plant=plant: one.override(plant, 77.0, minutes=20))
        world.run_until("10:19")
        before = watch(world, world.instant("10:20") - timedelta(seconds=1))

        during = watch(world, world.instant("10:39"))
        world.run_until("10:41")
        after = watch(world, world.instant("10:50"))

        assert all(target == wanted for _, _, target, wanted in before)
        assert {target for at, _, target, _ in during if at >= world.instant("10:20")} == {77.0}
        assert [one for one in after if one[2] != one[3]] == []
        assert set(Override.objects.values_list("end_cause", flat=True)) == {OverrideEnd.EXPIRED}


def test_an_emergency_stops_the_plan_until_it_is_released_and_nothing_of_it_is_sent_meanwhile():
    begins_at = datetime(2026, 6, 17, 8, 0, tzinfo=UTC)
    with planned_world(USUAL, begins_at) as world:
        world.at("10:07", lambda one: one.stop_plant(OURS))
        world.at("10:33", lambda one: one.release_plant(OURS))
        world.run_until("10:32")
        latched = Command.objects.filter(
            plant__external_plant_id=OURS,
            kind="site-setpoint",
            due_at__range=(world.instant("10:07:01"), world.instant("10:32")),
        ).exclude(state="CANCELLED")
        sent_meanwhile = list(latched.filter(messages__attempted_at__isnull=False))
        preempted = SlotRun.objects.filter(plant__external_plant_id=OURS, state=RunState.PREEMPTED)
        winners = set(preempted.values_list("winner", flat=True))

        world.run_until("10:36")
        after = watch(world, world.instant("10:50"))

        assert sent_meanwhile == []
        assert winners
        assert all("STOP" in winner for winner in winners)
        assert [one for one in after if one[2] != one[3]] == []


def test_a_plan_replaced_in_mid_day_leaves_neither_a_gap_nor_a_double():
    begins_at = datetime(2026, 6, 17, 8, 0, tzinfo=UTC)
    with planned_world(USUAL, begins_at) as world:

        def replace(one):
            after = one.instant("10:15")
            for plant, slots in plans_of(one).items():
                new = shifted(slots, by_kw=5.0, after=after)
                publish_plan(plant, new, organisation_id=one.organisation_id, day=one.day, at=one.now)

        world.at("10:22", replace)
        world.run_until(begins_at + timedelta(minutes=1))

        seen = watch(world, world.instant("10:50"))

        gaps = [one for one in seen if one[2] is None]
        wrong = [one for one in seen if one[2] != one[3]]
        assert gaps == []
        assert wrong == []


def test_a_crash_of_either_side_in_mid_day_neither_repeats_nor_loses_a_slot():
    begins_at = datetime(2026, 6, 17, 8, 0, tzinfo=UTC)
    with planned_world(USUAL, begins_at) as world:
        world.at("10:14:45", lambda one: one.restart_platform())
        world.at("10:29:50", lambda one: one.restart_voke())
        world.run_until(begins_at + timedelta(minutes=1))

        seen = watch(world, world.instant("10:50"))

        assert [one for one in seen if one[2] != one[3]] == []
        runs = SlotRun.objects.filter(plant__external_plant_id=OURS, state=RunState.COMMANDED)
        assert runs.count() == runs.values("slot").distinct().count()
        assert Command.objects.filter(kind="site-setpoint").count() == runs.count()
