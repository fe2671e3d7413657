"""A fault run: shuffled rounds over the registry under load, a look at the evidence after each fault and at the end.

The last line is `lost N, doubled N, late N`; the exit code is 0 only when all are zero and nothing else failed.
"""

import argparse
import contextlib
import logging
import random
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from time import monotonic

from tests.faults import fault_broker, fault_data, fault_network, fault_processes, fault_takeover  # noqa: F401 - register theirs
from tests.faults.collect import Mark, gather, is_any_unsent, mark_of
from tests.faults.evidence import Evidence
from tests.faults.fault import REGISTRY, Fault, Scene, asked, surely
from tests.faults.load import Load
from tests.faults.stage import Stage
from tests.faults.verdict import Count, Violation, judge, summary

log = logging.getLogger(__name__)
PER_S = 20.0
QUIET_S = 180.0
_LOOK_EVERY_S = 0.25
_SHOWN = 40  # violations of one fault
_TURNS, _TURNS_S = 10, 2.0  # of the driver before, during and after a fault
_NO_TIME = timedelta(0)
# What only time can bring; the others never go away.
_PASSING = frozenset({Count.LOST})


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options, run, print what came of it; the exit code."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # every broken session of the tap, in ten lines each
    options = _options(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    only = "".join(f' --only "{name}"' for name in options.only or ())
    again = f"python -m tests.faults --faults {options.faults} --seed {seed}{only}"
    _say(f"seed {seed}: {again}")
    run = Run(faults=options.faults, seed=seed, only=options.only)
    run.attempt("the run did not end", run.play)
    for failure in run.failures:
        _say(failure)
    is_fine = not run.violations and not run.failures
    if not is_fine:
        _say(f"failed; again: {again}")
    _say(summary(run.violations))
    return 0 if is_fine else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, metavar="N", help="how many (200)")
    parser.add_argument(
        "--seed", type=int, metavar="S", help="what is asked and struck; a random one by default"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only this fault; may be repeated")
    options = parser.parse_args(arguments)
    if options.faults < 1:
        parser.error("--faults: at least one")
    unknown = set(options.only or ()) - set(REGISTRY)
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are: {', '.join(REGISTRY)}")
    return options


def in_random_order(names: Sequence[str], count: int, rng: random.Random) -> Iterator[str]:
    """Shuffled rounds over all names until there are `count`."""
    left: list[str] = []
    for _ in range(count):
        if not left:
            left = list(names)
            rng.shuffle(left)
        yield left.pop()


class Run:
    """One run; `violations` and `failures` say what came of it."""

    def __init__(self, *, faults: int, seed: int, only: Sequence[str] | None = None) -> None:
        self.violations: list[Violation] = []
        self.failures: list[str] = []
        self._faults = faults
        self._seed = seed
        self._order = random.Random(f"{seed}:order")
        self._names = list(only or REGISTRY)
        self._mark = Mark()
        self._events = 0
        self._told: set[str] = set()

    def play(self) -> None:
        """Start everything, strike all faults, stop everything, look once more."""
        began = monotonic()
        with Stage(seed=self._seed) as stage:
            load = Load(stage.plants, seed=self._seed, per_s=PER_S)
            load.start()
            _say(f"ready after {monotonic() - began:.0f} s")
            try:
                names = in_random_order(self._names, self._faults, self._order)
                for number, name in enumerate(names, start=1):
                    # Each has its own: how much one draws must not change the next.
                    scene = Scene(stage=stage, load=load, rng=random.Random(f"{self._seed}:{number}"))
                    self._one(number, REGISTRY[name](scene), scene)
                self._finish(scene)
            finally:
                load.close()
        _say(
            f"{self._faults} faults in {monotonic() - began:.0f} s: {len(load.asked)} commands, {self._events} events"
        )

    def attempt(self, what: str, work: Callable[[], None]) -> None:
        """Do it; when it fails the run has failed, and goes on: what was struck must be healed."""
        try:
            work()
        except Exception as error:
            log.exception(what)
            self.failures.append(f"{what}: {type(error).__name__}: {error}")

    def _one(self, number: int, fault: Fault, scene: Scene) -> None:
        """Strike, heal, let it come to rest, judge what came since the last time."""
        began = monotonic()
        scene.load.await_turns(_TURNS, at_most_s=_TURNS_S)
        self.attempt(f"{fault.name} did not strike", fault.strike)
        scene.load.await_turns(_TURNS, at_most_s=_TURNS_S)
        self.attempt(f"{fault.name} did not heal", fault.heal)
        scene.load.await_turns(_TURNS, at_most_s=_TURNS_S)
        self._rest(scene)
        scene.load.go_on()
        commands = len(scene.load.asked)
        seconds = monotonic() - began
        _say(f"{number:4} {fault.name:32} {seconds:5.1f} s  {commands} commands  {self._events} events")

    def _rest(self, scene: Scene) -> None:
        """Ask nothing more, wait until nothing is open, and note what stays wrong."""
        scene.load.pause(QUIET_S)
        here = self._here(scene)
        evidence, violations = self._when_quiet(scene, self._mark, here)
        self._events += len(evidence.told)
        self._note(violations)
        self._mark = replace(self._here(scene), told=here.told)
        dead = scene.stage.processes.dead()
        if dead:
            self.failures.append(f"ended without being asked to: {', '.join(dead)}")
            scene.stage.start_again(*dead)

    def _here(self, scene: Scene) -> Mark:
        return surely(lambda: mark_of(scene.stage, scene.load.asked), "where things stand")

    def _when_quiet(self, scene: Scene, since: Mark, until: Mark) -> tuple[Evidence, list[Violation]]:
        """The evidence when nothing is open any more, or what it is when the patience is over."""
        deadline = monotonic() + QUIET_S
        pause = threading.Event()
        evidence, violations = Evidence(replay_margin=_NO_TIME), list[Violation]()
        while asked(lambda: is_any_unsent(since)) is not False and monotonic() < deadline:
            pause.wait(_LOOK_EVERY_S)
        while True:
            found = asked(lambda: gather(scene.stage, scene.load.asked, since, until))
            if found is not None:
                evidence, violations = found, judge(found)
            is_open = found is None or any(one.count in _PASSING for one in violations)
            if not is_open or monotonic() > deadline:
                return evidence, violations
            pause.wait(_LOOK_EVERY_S)

    def _note(self, violations: Sequence[Violation]) -> None:
        fresh = [violation for violation in violations if violation.text not in self._told]
        self._told |= {violation.text for violation in fresh}
        self.violations += fresh
        for violation in fresh[:_SHOWN]:
            _say(f"     {violation.count.value}: {violation.text}")
        if len(fresh) > _SHOWN:
            _say(f"     and {len(fresh) - _SHOWN} more of these")

    def _finish(self, scene: Scene) -> None:
        """Everything once more, from the beginning, and an orderly end of every process."""
        self._rest(scene)
        for side in scene.stage.sides:
            scene.stage.dismiss(side)  # it says what it has to say: from here on there is nothing new
        _, violations = self._when_quiet(scene, Mark(), self._here(scene))
        self._note(violations)
        if scene.load.failure is not None:
            self.failures.append(f"the driver failed: {scene.load.failure!r}")
        for name, code in scene.stage.processes.stop().items():
            if code != 0:
                self.failures.append(f"{name}: exit code {code} at the end")


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)
