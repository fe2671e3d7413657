"""Runs the test suite in lanes side by side, each a pytest of its own with servers and ports of its own.

Half of a lane's time is waiting (a broker that restarts, a commit, a page that loads), so three lanes on two cores end
in well under half the time; a fourth only takes the cores away from the others. Every line is printed as it comes, with
its lane in front; what failed is printed once more at the very end, where a log that was cut still shows it. The exit
code is 0 only when every run of every lane ended well.
"""

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORTABLE = (
    "tests/plants",
    "tests/people",
    "tests/metering",
    "tests/dispatch",
    "tests/schedules",
    "tests/link",
    "tests/trading_api",
    "tests/watch",
    "tests/hostile_bytes/test_inbox.py",
)
# How pytest's own lines about what went wrong begin: the raised error, then the summary.
VERDICTS = ("E  ", "FAILED ", "ERROR ", "!!!")
VERDICT_CHARS = 300
VERDICTS_KEPT = 30


@dataclass(frozen=True, kw_only=True)
class Run:
    """One pytest run: what it is called, its words, its variables."""

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


PROCESS = "tests/process"
CONTRACT = "tests/contract"
BROWSER = "tests/browser"
CONSOLE = "tests/console"
ELSEWHERE = (PROCESS, CONTRACT, BROWSER, CONSOLE, *PORTABLE)
LANES = 3
# The longest first: a lane that is free takes the next, so that all end at about the same time.
RUNS: tuple[Run, ...] = (
    Run(name="process", words=[PROCESS]),
    Run(name="edges", words=["tests", *(f"--ignore={folder}" for folder in ELSEWHERE)]),
    Run(name="rooms", words=PORTABLE),
    Run(name="contract", words=[CONTRACT]),
    Run(name="browser", words=[BROWSER]),
    Run(name="console", words=[CONSOLE]),
    Run(name="sqlite", words=PORTABLE, environment={"TEST_DATABASE": "sqlite"}),
)


def main(words: Sequence[str]) -> int:
    """Run all lanes; `words` go to every pytest. The number of runs that did not end well."""
    failed: dict[str, list[str]] = {}
    waiting = deque(RUNS)
    lanes = [
        threading.Thread(target=_run_lane, args=(number, waiting, words, failed)) for number in range(LANES)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    for name, lines in failed.items():
        print(f"{name}: FAILED", *lines, sep="\n")  # noqa: T201 - a program's output
    return len(failed)


def _run_lane(number: int, waiting: deque[Run], words: Sequence[str], failed: dict[str, list[str]]) -> None:
    low = 20_000 + 10_000 // LANES * number
    while True:
        try:
            run = waiting.popleft()
        except IndexError:
            return
        started = time.monotonic()
        environment = {
            **os.environ,
            "TEST_PORTS": f"{low}-{low + 10_000 // LANES - 1}",
            "PYTHONUNBUFFERED": "1",
            # Wherever it is forbidden, every process would compile all of our modules anew: 0.5 s each.
            "PYTHONDONTWRITEBYTECODE": "",
            **run.environment,
        }
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "-o",
            f"cache_dir=.pytest_cache/{run.name}",
            *words,
            *run.words,
        ]
        process = subprocess.Popen(  # noqa: S603 - our own words
            argv, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        verdicts: list[str] = []
        for line in process.stdout:
            if line.startswith(VERDICTS):
                verdicts.append(f"{run.name}: {line.rstrip()[:VERDICT_CHARS]}")
            print(f"{run.name}: {line}", end="", flush=True)  # noqa: T201
        code = process.wait()
        print(f"{run.name}: exit {code} after {time.monotonic() - started:.0f} s", flush=True)  # noqa: T201
        if code != 0:
            failed[run.name] = verdicts[-VERDICTS_KEPT:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
