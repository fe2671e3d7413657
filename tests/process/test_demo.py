"""`manage.py demo` as a newcomer runs it: no settings, no service, a folder of its own."""

import json
import os
import re
import stat
import sys

import pytest

from esm.virtual_day.database import kept_name
from tests.process.processes import ROOT
from tests.services.migrated import MIGRATE_S, copy_migrated_sqlite
from tests.services.proc import ManagedProcess


@pytest.fixture
def var(tmp_path):
    return tmp_path / "var"


@pytest.fixture
def migrated(var):
    """The folder with a database that an earlier demo migrated."""
    var.mkdir(mode=0o700)
    copy_migrated_sqlite(var / "esm.sqlite3")


def manage(name, *words, var):
    """`manage.py` with nothing in its environment but a folder for what the demo makes."""
    environment = {
        "PATH": os.environ["PATH"],
        "ESM_VAR_DIR": str(var),
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
    }
    return ManagedProcess(
        name,
        [sys.executable, "manage.py", *words],
        log_file=var.parent / f"{name}.log",
        env=environment,
        cwd=ROOT,
    )


@pytest.mark.timeout(MIGRATE_S + 300)
def test_one_closed_loop_ends_with_a_summary_of_everything_that_happened(var):
    """From nothing: here all migrations run on SQLite. Those of the virtual day's database ran before."""
    var.mkdir(mode=0o700)
    copy_migrated_sqlite(var / kept_name())
    demo = manage("once", "demo", "--once", "--port", "0", var=var)

    code = demo.wait(MIGRATE_S + 240)

    summary = json.loads(demo.output().strip().splitlines()[-1])
    assert code == 0, demo.output()
    assert all(summary["pulled"][kind] >= 1 for kind in ("token", "list", "config", "update"))
    assert summary["completed"] == {"device": 1, "emergency": 1, "mode": 1, "release": 1, "site-setpoint": 1}
    assert summary["rejected"] == 1
    assert all(summary["rows"][kind] >= 1 for kind in ("telemetry", "meter", "alarm", "event"))
    assert (summary["lost"], summary["duplicated"]) == (0, 0)
    assert summary["plan"]["slots"] >= 3 * 92
    assert summary["plan"]["verified"] >= 3 * 6
    assert summary["plan"]["off_target"] == 0


def test_a_loop_that_takes_too_long_ends_with_the_reason_and_an_exit_code(migrated, var):
    demo = manage("late", "demo", "--once", "--limit-s", "0.4", "--port", "0", var=var)

    assert demo.wait(120) != 0
    assert "CommandError" in demo.output()
    assert re.search(r"still \w+ after|no time was left|not seen in time", demo.output())


def test_the_demo_runs_until_ctrl_c_takes_commands_from_another_shell_and_keeps_its_secrets_private(
    migrated, var
):
    demo = manage("demo", "demo", "--port", "0", var=var)
    demo.wait_for_line("Client secret", 120)
    demo.wait_for_line("planner   BUS-DEPOT", 120)
    demo.wait_for_line("REJECTED", 120)  # the operator's round is over, the plants are free

    send = manage(
        "send", "send", "site-setpoint", "--plant", "BREWERY", "--power-kw", "10", "--direction", "EXPORT",
        "--include-consumption", "--wait-s", "90", var=var,
    )  # fmt: skip

    assert send.wait(120) == 0, send.output()
    assert "COMPLETED" in send.output()
    assert demo.terminate(120) == 0, demo.output()
    assert "stopped" in demo.output()
    assert stat.S_IMODE((var / "demo.env").stat().st_mode) == 0o600
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in var.iterdir()} == {0}


def test_a_setting_with_a_wrong_value_refuses_to_start_with_its_name_and_the_reason(var):
    manage("first", "demo", "--help", var=var).wait(120)
    environment = {"PATH": os.environ["PATH"], "ESM_VAR_DIR": str(var), "RELAY_WINDOW": "many"}

    check = ManagedProcess(
        "check",
        [sys.executable, "manage.py", "check"],
        log_file=var.parent / "check.log",
        env=environment,
        cwd=ROOT,
    )

    assert check.wait(120) != 0
    assert "RELAY_WINDOW: must be a whole number" in check.output()
