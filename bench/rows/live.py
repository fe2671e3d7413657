"""From Voke's words on the wire to a frame that a client has read: a full installation, and the demo's one process."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.row import Better, Row, Variant, WarmUp, at_most
from bench.world import World

ORDER = 110
WITHIN_S, QUICK_WITHIN_S = 600.0, 180.0
SAMPLES, QUICK_SAMPLES = 160, 16
ROOT = Path(__file__).resolve().parent.parent.parent
_WHAT: Mapping[str, str] = {"values": "a plant's values", "alarms": "an alarm"}


def rows(world: World) -> Sequence[Row]:
    """`live_{full|embedded}_{values|alarms}`: p99, the median beside it."""
    found = []
    for house in ("full", "embedded"):
        told = Told(house, samples=QUICK_SAMPLES if world.quick else SAMPLES)
        for name, what in _WHAT.items():
            variants = [
                Variant(
                    name="ours" if figure == "p99_ms" else "p50",
                    run=lambda told=told, name=name, figure=figure: told.value(name, figure),
                    warm_up=WarmUp.NEVER,
                )
                for figure in ("p99_ms", "p50_ms")
            ]
            found.append(
                Row(
                    name=f"live_{house}_{name}",
                    what=f"p99 from the publication of {what} to the whole frame at a client, {house}",
                    unit="ms",
                    better=Better.LOWER,
                    variants=variants,
                    targets=[at_most(300, "ms")],
                    repetitions=1 if world.quick else 3,
                    within_s=QUICK_WITHIN_S if world.quick else WITHIN_S,
                )
            )
    return found


class Told:
    """Runs of `bench.live`, each in a process and a folder of its own; a run is given to each figure once."""

    def __init__(self, house: str, *, samples: int) -> None:
        self._house, self._samples = house, samples
        self._runs: list[Mapping[str, Mapping[str, float]]] = []
        self._given: Counter[tuple[str, str]] = Counter()

    def value(self, name: str, figure: str) -> float:
        """The figure of the first run that was not asked for it."""
        number = self._given[name, figure]
        if number == len(self._runs):
            self._runs.append(self._run())
        self._given[name, figure] += 1
        return self._runs[number][name][figure]

    def _run(self) -> Mapping[str, Mapping[str, float]]:
        with TemporaryDirectory() as scratch:
            done = subprocess.run(
                [sys.executable, "-m", "bench.live", self._house],
                env={
                    "PATH": os.environ["PATH"],
                    "ESM_VAR_DIR": scratch,
                    "BENCH_LIVE_SAMPLES": str(self._samples),
                },
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"no live figures ({self._house}):\n{done.stderr[-2000:]}")
        told: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(done.stdout.splitlines()[-1])
        return told[self._house]
