"""Settings of the reverse channel and the server: a wrong value refuses to start with its name and the reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.production_env import production_environment

ROOT = Path(__file__).resolve().parent.parent.parent


def start(**changes: str) -> str:
    environment = {"PATH": os.environ["PATH"], **production_environment(**changes)}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import esm.settings as s; print(s.TRADING_RESULT_CODES, s.TRADING_PLANT_ID_FIELDS)",
        ],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("TRADING_RESULT_CODES", "APPLIED", "OUTCOME=NAME:terminal"),
        ("TRADING_PLANT_ID_FIELDS", "plant-id", "different names"),
        ("TRADING_LIST_KEY", "a b", "name of a JSON key"),
        ("TRADING_PBAT_SIGN", "up", "charge, discharge"),
        ("WEB_THREADS", "20", "DATABASE_POOL_MAX"),
        ("WEB_THREADS", "10", "less than DATABASE_POOL_MAX"),  # which is 10: journal rows need one more
        ("WEB_QUEUE_MAX", "0", "between 1 and"),
        ("HTTP_HEADER_TIMEOUT_S", "nan", "between"),
        ("METRICS_TOKEN", "short", "32 characters"),
        ("METRICS_HOST", "here", "IPv4"),
    ],
)
def test_a_wrong_value_is_named_with_its_reason(name: str, value: str, reason: str) -> None:
    last = start(**{name: value}).strip().splitlines()[-1]
    assert f"SettingError: {name}: " in last
    assert reason in last


def test_an_old_connection_can_not_be_told_to_drain_for_longer_than_it_may() -> None:
    last = start(TAKEOVER_DRAIN_S="61", TAKEOVER_GRACE_S="60").strip().splitlines()[-1]

    assert "SettingError: TAKEOVER_DRAIN_S: must not exceed TAKEOVER_GRACE_S" in last


def test_right_values_are_taken() -> None:
    shown = start(
        TRADING_RESULT_CODES="APPLIED=DONE:terminal",
        TRADING_PLANT_ID_FIELDS="externalPlantId",
        TAKEOVER_GRACE_S="60",  # shorter than the usual least time, which follows it
    )
    assert "name='DONE', terminal=True" in shown
    assert "('externalPlantId',)" in shown
