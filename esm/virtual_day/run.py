"""`manage.py virtual_day`: a day with its published plan, from the evening before until the last slot is judged."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from dispatch.models import OutboundMessage, Outcome
from esm.virtual_day.plan import carried_by, forecast_plans, plans_of_file, publish_plans
from esm.virtual_day.result import tally_slots
from esm.virtual_day.world import ZONE, VirtualWorld
from plants.models import DeadLetter, ScheduleCarrier
from voke_sim.notes import Note

PUBLISH_BEFORE = timedelta(minutes=10)
AFTER = timedelta(minutes=15)
"""What is judged by measurement is judged within so long after the day."""
BOTH_CARRIERS: Mapping[str, ScheduleCarrier] = {"BUS-DEPOT": ScheduleCarrier.VOKE}


@dataclass(frozen=True, kw_only=True)
class DayOptions:
    """Which day, by which chance, with which plan. `until`: a wall clock time of the day, `24:00` = all of it."""

    day: date
    seed: int = 1
    period_s: float = 60.0
    plan: Path | None = None
    until: str = "24:00"


def run_day(options: DayOptions, *, on_note: Callable[[Note], None] | None = None) -> dict[str, object]:
    """Run the day on the default database, which should be its own; what it came to."""
    began = time.monotonic()
    with VirtualWorld(
        day=options.day, seed=options.seed, period_s=options.period_s, on_note=on_note
    ) as world:
        carried_by(BOTH_CARRIERS, organisation_id=world.organisation_id)
        world.at(world.day.start_at - PUBLISH_BEFORE, lambda one: publish_day(one, plan=options.plan))
        end = world.instant(options.until)
        world.run_until(end + AFTER)
        tally = tally_slots(organisation_id=world.organisation_id, day=options.day)
        published = world.voke.journal.rows("SELECT COUNT(*) AS n FROM published WHERE state = 'confirmed'")
        return {
            "day": options.day.isoformat(),
            "seed": options.seed,
            "plan": asdict(tally),
            "messages": {
                "out": OutboundMessage.objects.filter(outcome=Outcome.CONFIRMED).count(),
                "in": published[0]["n"],
                "dead_letters": DeadLetter.objects.count(),
            },
            "steps": world.steps,
            "rounds": world.rounds,
            "virtual_s": round((world.now - world.began_at).total_seconds()),
            "wall_s": round(time.monotonic() - began, 1),
            "journal": world.voke.digest(),
        }


def publish_day(world: VirtualWorld, *, plan: Path | None = None) -> None:
    """Make and publish the plans of the world's day: those of a file, or what the forecast says."""
    plans = (
        forecast_plans(world.voke.config, day=world.day, zone=ZONE, began_at=world.began_at)
        if plan is None
        else plans_of_file(plan.read_bytes(), installation=world.installation, day=world.day)
    )
    publish_plans(plans, organisation_id=world.organisation_id, day=world.day, at=world.now)
