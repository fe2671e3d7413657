"""What the endless demo tells of today's plan, on the virtual clock."""

from datetime import UTC, date, datetime

import pytest

from esm import clock
from esm.demo.planned import PLANNED_PLANT, TodaysPlan
from esm.demo.run import what_is_wrong
from esm.virtual_day.world import VirtualWorld

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_slot_of_todays_plan_is_told_when_it_is_commanded_and_when_it_is_judged():
    lines = []
    with VirtualWorld(day=date(2026, 6, 17), begins_at=datetime(2026, 6, 17, 7, 40, tzinfo=UTC)) as world:
        plan = TodaysPlan(
            installation=world.installation,
            config=world.voke.config,
            plant_time_s=lambda: {
                site.config.external_plant_id: site.plant.time_s for site in world.voke.engine.sites
            },
            say=lambda text, at: lines.append((at, text)),
        )
        world.run_until("10:00")
        while world.now < world.instant("10:13"):
            with clock.frozen(world.now):
                plan.look(at=world.now)
            world.run_for(30)

    texts = [text for _, text in lines]
    assert texts[0] == f"planner   {PLANNED_PLANT}: 168 slots of 5 min until midnight"
    assert len(texts) == len(set(texts))
    commanded = [text for text in texts if text.endswith(": COMMANDED")]
    assert [text.split()[2] for text in commanded] == ["10:00", "10:05", "10:10"]
    verified = [text for text in texts if ": VERIFIED" in text]
    assert [text.split()[2] for text in verified] == ["10:00", "10:05"]


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        ({"lost": 0, "duplicated": 0, "plan": {"verified": 1}}, ""),
        ({"lost": 1, "duplicated": 0, "plan": {"verified": 1}}, "lost or doubled"),
        ({"lost": 0, "duplicated": 2, "plan": {"verified": 1}}, "lost or doubled"),
        ({"lost": 0, "duplicated": 0, "plan": {"verified": 0}}, "no slot of the plan"),
    ],
)
def test_a_loop_counts_as_closed_only_when_nothing_was_lost_and_a_slot_was_verified(summary, words):
    wrong = what_is_wrong(summary)

    assert bool(wrong) == bool(words)
    assert words in wrong
