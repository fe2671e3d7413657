"""Measures the platform on private servers, prints one table and writes bench/results.json.

    python -m bench [--quick] [--only NAME ...] [--repetitions 5] [--output FILE]

Every value is the median of interleaved repetitions (`bench.row`). --quick ends within three minutes: fewer messages,
one repetition that counts, for a look; figures in docs/performance.md come from the full run. --only takes rows by the
beginning of their names. Only the full table is written without being asked to; a look or a part of it where --output
says. Standard error tells the seconds of each row. A missed target is marked in the table, not an error; exit code 1
when a row could not be measured.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules
from time import perf_counter
from typing import Any

import bench.rows
from bench.row import Result, Row, measure_all
from bench.world import World

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("Django", "psycopg", "amqp", "msgspec", "uvicorn", "redis")
RESULTS = ROOT / "bench" / "results.json"
REPETITIONS, QUICK_REPETITIONS = 5, 1


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less work, within three minutes")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="rows by their beginnings")
    parser.add_argument("--repetitions", type=int, default=None)
    parser.add_argument(
        "--output", type=Path, default=None, help="where a look or a part of the table is written"
    )
    options = parser.parse_args()
    repetitions = options.repetitions or (QUICK_REPETITIONS if options.quick else REPETITIONS)
    output = options.output or (None if options.quick or options.only or options.repetitions else RESULTS)
    began = perf_counter()
    with World(quick=options.quick) as world:
        print(f"servers and tables: {perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
        results, failed = run(world, only=options.only, repetitions=repetitions)
        facts = machine_facts(world)
    if not results and not failed:
        sys.exit(f"no row begins with {' or '.join(options.only)}")
    report = {
        "rows": [asdict(one) for one in results],
        "failed": failed,
        "quick": options.quick,
        "repetitions": repetitions,
        "took_s": round(perf_counter() - began, 1),
        **facts,
    }
    print_table(results)
    print(f"{report['took_s']} s in all, {repetitions} repetitions", flush=True)
    print(f"all: {report['took_s']} s", file=sys.stderr, flush=True)
    if output is not None:
        output.write_text(json.dumps(report, indent=2) + "\n")
        print(f"written to {output.name}")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def run(world: World, *, only: Sequence[str], repetitions: int) -> tuple[list[Result], list[str]]:
    """Measure the rows of all modules that are asked for, each module's rows in order; and those that failed."""
    results: list[Result] = []
    failed: list[str] = []
    modules = [import_module(f"bench.rows.{found.name}") for found in iter_modules(bench.rows.__path__)]
    for module in sorted(modules, key=lambda one: int(one.ORDER)):
        rows: Sequence[Row] = module.rows(world)
        wanted = [row for row in rows if not only or any(row.name.startswith(name) for name in only)]
        found, missing = measure_all(wanted, repetitions=repetitions, hurried=world.quick)
        results += found
        failed += missing
    return results, failed


def machine_facts(world: World) -> dict[str, Any]:
    """What the figures were measured on: machine, versions, revision."""
    with world.database() as database:
        row = database.execute("SHOW server_version").fetchone()
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "machine": {
            "cpus": os.cpu_count(),
            "processor": _processor(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.system(),
        },
        "versions": {
            "python": platform.python_version(),
            "postgresql": row[0].split()[0] if row else "",
            "rabbitmq": world.rabbit.ctl("version").strip(),
            **{name: version(name) for name in LIBRARIES},
        },
        "revision": done.stdout.strip() or "unknown",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def print_table(results: Sequence[Result]) -> None:
    """One line per row."""
    heads = ("value", "unit", "spread", "naive", "x naive", "floor", "x floor", "target")
    print("{:<28}{:>12} {:<8}{:>8}{:>12}{:>9}{:>12}{:>9}  {}".format("row", *heads))
    for one in results:
        targets = ", ".join(f"{text} {'met' if met else 'MISSED'}" for text, met in one.targets.items())
        print(
            f"{one.name:<28}{_number(one.value):>12} {one.unit:<8}{one.spread:>8.0%}"
            f"{_number(one.naive):>12}{_ratio(one.ratio_to_naive):>9}"
            f"{_number(one.floor):>12}{_ratio(one.ratio_to_floor):>9}  {targets}"
        )
        for name, value in one.others.items():
            unit = "" if name.endswith("]") else one.unit  # it has its own
            print(f"    {name:<24}{_number(value):>12} {unit}".rstrip())


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
