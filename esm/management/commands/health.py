"""`manage.py health NAME`: is this part of the installation alive? For container health checks; exit code 1 if not."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.management.base import BaseCommand, CommandError

from esm import clock, pulse
from esm.pulse import LAST_SLOW_TICK_KEY, LAST_TICK_KEY

LOOPS = ("relay", "consume")
# Beat plans and a worker runs: the age of the newest tick speaks for both.
TICKS = {"worker": LAST_TICK_KEY, "slow-worker": LAST_SLOW_TICK_KEY, "beat": LAST_TICK_KEY}
TOO_OLD_S = 30.0
# All processes of its worker may be at a tick that lasts until it is cut off.
SLOW_TOO_OLD_S = TOO_OLD_S + settings.CELERY_TASK_TIME_LIMIT


class Command(BaseCommand):
    # Asked every minute of every part: the code's own checks would be most of what it costs.
    requires_system_checks: list[str] = []
    help = "Check that relay, consume, or the ticks of workers and beat are alive; exits 1 and says why when not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=[*LOOPS, *TICKS])

    def handle(self, *_args: Any, **options: Any) -> None:
        name = options["name"]
        age = pulse.age_s(name) if name in LOOPS else self._tick_age_s(TICKS[name])
        if age is None:
            raise CommandError(f"{name}: does not run")
        if age > (SLOW_TOO_OLD_S if name == "slow-worker" else TOO_OLD_S):
            raise CommandError(f"{name}: last sign of life {age:.0f} s ago")
        self.stdout.write(f"{name}: alive, {age:.0f} s ago")

    def _tick_age_s(self, key: str) -> float | None:
        if settings.EMBEDDED:
            raise CommandError("the embedded mode has neither worker nor beat")
        last = cache.get(key)
        return None if last is None else (clock.now() - last).total_seconds()
