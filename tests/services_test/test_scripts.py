"""The operating scripts: settings are complete, secrets are fresh, locks are checked, nothing installs unasked."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import lock_check
from scripts.new_env import filled
from scripts.production_env import fresh_secrets, production_environment

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = (ROOT / ".env.example").read_text()
# Read by the settings' helpers from the name that they are given.
READERS = {"text", "integer", "number", "boolean", "choice", "words", "versioned_keys", "database"}


def _settings_read() -> set[str]:
    """Every name that esm/settings*.py and esm/env.py read from the environment."""
    names = set()
    for source in (*(ROOT / "esm").glob("settings*.py"), ROOT / "esm" / "env.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in READERS
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                names.add(str(node.args[0].value))
    return names


def _assigned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_the_example_names_every_setting() -> None:
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.MULTILINE))

    assert _settings_read() - named == set()


def test_the_example_holds_no_value_for_a_secret() -> None:
    assert set(fresh_secrets()) <= set(_assigned(EXAMPLE))
    assert not any(_assigned(EXAMPLE).values())


def test_a_new_env_has_every_required_value_and_its_own_secrets() -> None:
    first, second = (_assigned(filled(EXAMPLE, "esm.example.com")) for _ in range(2))

    assert all(first.values())
    assert all(first[name] != second[name] for name in fresh_secrets())


def test_the_settings_accept_a_new_env() -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgres://esm@127.0.0.1:9/esm",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        **_assigned(filled(EXAMPLE, "esm.example.com")),
    }

    done = subprocess.run(
        [sys.executable, "-c", "import esm.settings; print(esm.settings.ALLOWED_HOSTS)"],
        check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.stdout == "['esm.example.com']\n", done.stderr


def test_a_given_value_wins_over_the_made_one_also_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file")
    given = {
        **os.environ,
        "ALLOWED_HOSTS": "given.example.com",
        "DJANGO_SECRET_KEY_FILE": str(tmp_path / "key"),
    }
    given.pop("DJANGO_SECRET_KEY", None)

    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "production_env.py", "env"],
        check=True, env=given, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "ALLOWED_HOSTS=given.example.com\n" in done.stdout
    assert "\nDJANGO_SECRET_KEY=" not in done.stdout


def test_an_empty_change_removes_a_value() -> None:
    assert "REDIS_URL" not in production_environment(REDIS_URL="")


@pytest.mark.parametrize(
    ("wanted", "pinned", "fault"),
    [
        ("six>=2", "six==1.16.0 \\\n    --hash=sha256:00\n", "does not satisfy"),
        ("six", "seven==1.0 \\\n    --hash=sha256:00\n", "is not pinned"),
        ("six", "six==1.16.0\n", "has no hash"),
    ],
)
def test_a_stale_lock_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, pinned: str, fault: str
) -> None:
    (tmp_path / "requirements.in").write_text(wanted)
    (tmp_path / "requirements.txt").write_text(pinned)
    monkeypatch.setattr(lock_check, "ROOT", tmp_path)

    (found,) = lock_check.faults("requirements")

    assert fault in found


def test_the_locks_of_this_tree_are_fresh() -> None:
    assert lock_check.faults("requirements") + lock_check.faults("requirements-dev") == []


def test_where_nothing_may_be_installed_the_command_to_type_is_named() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "apt_install", "rabbitmq-server", "redis-server"],
        check=False, env={**os.environ, "APT": "no"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 1
    assert "sudo apt-get install rabbitmq-server redis-server" in done.stderr
