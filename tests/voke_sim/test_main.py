"""`python -m voke_sim` without a broker: help, example, refusals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.voke_sim.harness import config_document
from voke_sim.config_load import ENVIRONMENT

REPOSITORY = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voke_sim", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_the_options_and_the_environment() -> None:
    done = run("--help")

    assert done.returncode == 0
    for word in (
        "--config",
        "--set",
        "--factor",
        "--seed",
        "--journal",
        "--check",
        "--example",
        *ENVIRONMENT,
    ):
        assert word in done.stdout


def test_the_example_is_a_configuration_that_passes_the_check(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    path.write_text(run("--example").stdout)
    done = run("--config", str(path), "--check")

    assert (done.returncode, done.stdout) == (0, "configuration is fine\n")


def test_without_a_configuration_it_refuses_to_start() -> None:
    done = run()

    assert (done.returncode, done.stderr) == (2, "voke_sim: --config: required (see --example)\n")


def test_a_wrong_configuration_refuses_to_start_and_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    path.write_text(run("--example").stdout)
    done = run("--config", str(path), "--factor", "-1")

    assert done.returncode == 2
    assert done.stderr.startswith("voke_sim: factor: ")
    assert "Traceback" not in done.stderr


def test_alone_it_does_not_speak_memory(tmp_path: Path) -> None:
    path = tmp_path / "sim.json"
    path.write_text(json.dumps(config_document()))
    done = run("--config", str(path), "--check")

    assert (done.returncode, "transport.kind" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "module", ["django", "kombu", "amqp", "esm", "plants", "dispatch", "link", "trading_api"]
)
def test_the_stand_in_loads_nothing_of_the_platform_and_none_of_its_client_libraries(module: str) -> None:
    code = f"import sys, voke_sim.__main__; sys.exit({module!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, timeout=60, check=False)

    assert done.returncode == 0
