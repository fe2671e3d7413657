"""`manage.py virtual_day` as a newcomer runs it again: a database of its own, and the same bytes wherever it runs."""

import json
import os
import sys

import pytest

from esm.virtual_day.database import kept_name
from tests.process.processes import ROOT
from tests.services.migrated import copy_migrated_sqlite
from tests.services.proc import ManagedProcess

QUARTERS = {"2026-10-25": 100, "2026-03-29": 92}


@pytest.fixture
def run(tmp_path):
    """Starts `manage.py virtual_day` with nothing in its environment but what the test gives."""

    def start(name, *words, **environment):
        var = tmp_path / name
        var.mkdir(mode=0o700)
        copy_migrated_sqlite(var / kept_name())
        return ManagedProcess(
            name,
            [sys.executable, "manage.py", "virtual_day", "--json", *words],
            log_file=tmp_path / f"{name}.log",
            env={
                "PATH": os.environ["PATH"],
                "ESM_VAR_DIR": str(var),
                "LANG": "C.UTF-8",
                **environment,
            },
            cwd=ROOT,
        )

    return start


def result_of(process):
    code = process.wait(240)
    assert code == 0, process.output()
    return json.loads(process.output().strip().splitlines()[-1])


def test_zone_and_hash_seed_of_the_machine_change_no_byte_of_the_day(run):
    words = ("--day", "2026-10-25", "--seed", "7", "--until", "00:40")
    here = run("here", *words, TZ="UTC", PYTHONHASHSEED="1")
    there = run("there", *words, TZ="Pacific/Kiritimati", PYTHONHASHSEED="2")

    first, second = result_of(here), result_of(there)

    assert first["journal"] == second["journal"]
    assert first["plan"] == second["plan"]
    assert first["plan"]["slots"] == 3 * QUARTERS["2026-10-25"]
    assert first["plan"]["verified"] >= 3
    assert first["messages"]["dead_letters"] == 0


def test_a_plan_that_does_not_fit_its_day_ends_with_the_reason_and_an_exit_code(run, tmp_path):
    plan = tmp_path / "plan.csv"
    plan.write_text(
        "plant,start,type,value,direction\nBREWERY,2026-10-25 02:15,POWER,10,IMPORT\n", encoding="utf-8"
    )

    process = run("late", "--day", "2026-10-25", "--plan", str(plan))

    assert process.wait(240) != 0
    assert "CommandError: line 2" in process.output()
