"""The demo's one process: events a second that it takes, its memory, its cost while only the stand-in speaks."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.row import Better, Row, Target, Variant, WarmUp, at_least_value, at_most
from bench.world import World

ORDER = 100
WITHIN_S, QUICK_WITHIN_S = 300.0, 120.0
ROOT = Path(__file__).resolve().parent.parent.parent


def rows(world: World) -> Sequence[Row]:
    """`embedded_events`, `embedded_memory`, `embedded_idle`."""
    demo = Demo(events=1_000 if world.quick else 10_000, idle_s=3.0 if world.quick else 10.0)
    repetitions = 1 if world.quick else 3

    def row(name: str, what: str, unit: str, better: Better, limit: Target) -> Row:
        return Row(
            name=name,
            what=what,
            unit=unit,
            better=better,
            variants=[Variant(name="ours", run=lambda: demo.told(name), warm_up=WarmUp.NEVER)],
            targets=[limit],
            repetitions=repetitions,
            within_s=QUICK_WITHIN_S if world.quick else WITHIN_S,
        )

    return [
        row(
            "embedded_events",
            "events published into the in-process broker -> rows in SQLite",
            "msg/s",
            Better.HIGHER,
            at_least_value(500, "msg/s"),
        ),
        row("embedded_memory", "resident memory after that", "MiB", Better.LOWER, at_most(300, "MiB")),
        row(
            "embedded_idle", "of one core while only the stand-in speaks", "%", Better.LOWER, at_most(5, "%")
        ),
    ]


class Demo:
    """Runs of the demo's process; each run tells all three values, and is given to each row once."""

    def __init__(self, *, events: int, idle_s: float) -> None:
        self._events = events
        self._idle_s = idle_s
        self._runs: list[dict[str, float]] = []
        self._given: Counter[str] = Counter()

    def told(self, name: str) -> float:
        """The value of the first run that this row has not had."""
        if self._given[name] == len(self._runs):
            self._runs.append(self._run())
        self._given[name] += 1
        return self._runs[self._given[name] - 1][name]

    def _run(self) -> dict[str, float]:
        with TemporaryDirectory() as scratch:
            done = subprocess.run(
                [sys.executable, "-m", "bench.embedded_run", str(self._events), str(self._idle_s)],
                env={"PATH": os.environ["PATH"], "ESM_VAR_DIR": scratch},
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"the demo failed:\n{done.stderr[-2000:]}")
        values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return values
