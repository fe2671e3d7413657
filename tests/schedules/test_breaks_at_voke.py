"""Plans that Voke carries while one side restarts or cannot be reached: an hour of one plant, on one virtual clock."""

import pytest

from dispatch.models import Kind
from tests.schedules.noon import noon

pytestmark = pytest.mark.django_db
CREATE = Kind.SCHEDULE_CREATE


def test_a_restart_of_either_side_sends_nothing_twice_and_loses_nothing():
    with noon("PLANT") as world:
        world.plan("11:50", "PLANT", 20, 30, 40)
        world.at("11:50:30", lambda one: one.restart_platform())
        world.at("12:10", lambda one: one.restart_voke())
        world.at("12:20", lambda one: one.restart_platform(crash=False))
        world.look_at("PLANT", "12:11", "12:12", "12:21", "12:22")
        world.run_until("12:50")

        targets = world.kws("PLANT")
        assert [kw for at, kw in enumerate(targets) if at == 0 or kw != targets[at - 1]] == [
            None,
            20.0,
            30.0,
            40.0,
            None,
        ]
        assert world.sent("PLANT", CREATE) == 1
        assert [row.cause for row in world.schedules("PLANT")] == ["COMPLETED"]


def test_a_platform_that_was_cut_off_while_its_plan_began_hears_of_it_afterwards():
    with noon("PLANT") as world:
        world.plan("11:48", "PLANT", 20, 30)
        world.at("11:49", lambda one: one.cut_link(minutes=30))
        world.run_until("12:34")

        assert [row.cause for row in world.schedules("PLANT")] == ["COMPLETED"]
        assert world.sent("PLANT", CREATE) == 1


def test_a_create_that_was_lost_on_a_dead_link_is_made_anew_after_two_looks():
    with noon("PLANT") as world:
        world.run_until("11:47")
        world.publish("PLANT", 20, 30)
        world.cut_link(minutes=15)
        world.look_at("PLANT", "12:06", "12:07", "12:08")
        world.run_until("12:34")

        lost, new = world.schedules("PLANT")
        assert (lost.cause, new.cause) == ("LOST_AT_VOKE", "COMPLETED")
        assert world.kws("PLANT") == [None, 20.0, 30.0, None]
