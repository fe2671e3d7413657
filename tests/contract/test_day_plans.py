"""Planned days, as platform and Voke live them together: over membroker, and over RabbitMQ with TLS."""

from dispatch.models import Proof
from schedules.models import SlotProof, SlotRun
from tests.contract.conftest import MakePlans


def verdicts(world, version):
    """The verdict of each slot, whoever carried it."""
    by_us = SlotRun.objects.filter(slot__version=version).order_by("slot__start_at")
    by_voke = SlotProof.objects.filter(slot__version=version).order_by("slot__start_at")
    return [
        *by_us.values_list("command__verification__verdict", flat=True),
        *by_voke.values_list("verdict", flat=True),
    ]


def test_a_planned_morning_is_followed_slot_by_slot_and_each_slot_is_verified(make_plans: MakePlans):
    with make_plans() as world:
        versions = world.plan(20, 30, 25)

        world.run_until("06:47")

        for plant, version in zip(world.plants, versions, strict=True):
            assert world.steps(plant) == [
                ("05:45:00", None), ("06:00:00", 20.0), ("06:15:00", 30.0), ("06:30:00", 25.0), ("06:45:00", None),
            ]  # fmt: skip
            assert verdicts(world, version) == [Proof.VERIFIED] * 3
        assert {one.source for one in world.followed(world.ours)} == {"mode", "setpoint"}
        assert {one.source for one in world.followed(world.vokes)} == {"mode", "schedule"}
        assert [
            len(world.sent(plant, kind))
            for plant in world.plants
            for kind in ("site-setpoint", "schedule-create")
        ] == [3, 0, 0, 1]
