"""The one Celery task: run a tick by its name."""

from celery import shared_task

from esm import clock
from esm.celery import QUICK_QUEUE, SLOW_QUEUE, app
from esm.ticks import TICKS, run_tick


@shared_task(name="esm.tick")
def tick(name: str) -> bool:
    """Run the tick called `name`; False when another worker is at it."""
    return run_tick(name, at=clock.now())


app.conf.beat_schedule = {
    one.name: {
        "task": "esm.tick",
        "schedule": one.period_s,
        "args": (one.name,),
        "options": {
            "expires": max(one.period_s, 2),
            "queue": SLOW_QUEUE if one.slow else QUICK_QUEUE,
        },
    }
    for one in TICKS
}
