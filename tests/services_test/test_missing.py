"""What is not installed is named as the Debian package to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import missing


def test_every_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(missing.FINDERS, "redis-server", lambda: None)
    monkeypatch.setitem(missing.FINDERS, "postgresql", lambda: None)

    assert missing.missing_packages() == ["postgresql", "redis-server"]


def test_the_advice_is_a_command_to_type() -> None:
    assert missing.advice(["postgresql", "redis-server"]).endswith(
        "sudo apt-get install postgresql redis-server"
    )


def test_requiring_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(missing.FINDERS, "rabbitmq-server", lambda: None)

    with pytest.raises(missing.MissingPackages, match="apt-get install rabbitmq-server"):
        missing.require("rabbitmq-server")


def test_it_runs_before_anything_is_installed() -> None:
    """No site-packages: only the standard library is there when `make` asks."""
    script = Path(missing.__file__)

    done = subprocess.run([sys.executable, "-I", "-S", script], check=False, capture_output=True, text=True)

    assert done.stdout.split() == missing.missing_packages()
    assert done.returncode == (1 if done.stdout else 0)
    assert done.stderr == ""
