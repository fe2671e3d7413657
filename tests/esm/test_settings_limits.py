"""Each setting that has limits takes the values at them and refuses those beyond, by its own name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.production_env import production_environment

ROOT = Path(__file__).resolve().parents[2]

# Starts the settings once for each value at and beyond each limit, in one process.
PROBE = """
import importlib, json, os, sys
from esm.env import Env, SettingError

limits = {}

def recorded(name):
    read = getattr(Env, name)
    def reader(self, key, *args, low, high):
        limits[key] = (low, high)
        return read(self, key, *args, low=low, high=high)
    setattr(Env, name, reader)

recorded("integer")
recorded("number")

def start(name=None, value=None):
    for module in [name for name in sys.modules if name.startswith("esm.settings")]:
        sys.modules.pop(module, None)
    if name is not None:
        os.environ[name] = str(value)
    try:
        importlib.import_module("esm.settings")
    except SettingError as error:
        return str(error)
    finally:
        if name is not None:
            del os.environ[name]
    return ""

start()
told = {}
for name, (low, high) in sorted(limits.items()):
    step = 1 if isinstance(low, int) else 0.01
    told[name] = {at: start(name, value) for at, value in
                  (("below", low - step), ("low", low), ("high", high), ("above", high + step))}
print(json.dumps(told))
"""

# Limits that another setting, at its default, does not leave room for: the name of the one that is refused.
BY_ANOTHER = {
    ("DATABASE_POOL_MAX", "low"): "WEB_THREADS",
    ("ROLLUP_RETENTION_DAYS", "low"): "ROLLUP_RETENTION_DAYS",
    ("WEB_THREADS", "high"): "WEB_THREADS",
}


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=production_environment(), cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_every_setting_refuses_what_is_beyond_its_limits_by_its_own_name(told):
    silent = [
        (name, at)
        for name, answers in told.items()
        for at in ("below", "above")
        if not answers[at].startswith(f"{name}: must be between ")
    ]

    assert len(told) > 80
    assert silent == []


def test_every_setting_takes_the_values_at_its_limits_but_where_another_one_forbids(told):
    refused = {
        (name, at): answers[at].split(":")[0]
        for name, answers in told.items()
        for at in ("low", "high")
        if answers[at]
    }

    assert refused == BY_ANOTHER
