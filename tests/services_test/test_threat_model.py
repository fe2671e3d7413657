"""THREAT_MODEL.md names modules, tests and settings: each of them exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "THREAT_MODEL.md").read_text(encoding="utf-8")
PATHS = sorted(
    set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:py|yml))`", TEXT)) | {"Makefile", "Dockerfile"}
)
TESTS = sorted(set(re.findall(r"`(test_\w+)`", TEXT)))
SETTINGS = sorted(set(re.findall(r"\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)\b", TEXT)) - {"THREAT_MODEL"})
PERMISSIONS = sorted(set(re.findall(r"`((?:send|view|publish)_\w+)`", TEXT)))


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", TESTS)
def test_a_test_that_is_named_exists(name: str) -> None:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert any(f"def {name}(" in source for source in sources)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_named_exists(name: str) -> None:
    sources = [*(ROOT / "esm").glob("settings*.py"), ROOT / ".env.example", ROOT / "esm" / "clock.py"]

    assert any(re.search(rf"\b{name}\b", source.read_text(encoding="utf-8")) for source in sources)


@pytest.mark.parametrize("name", PERMISSIONS)
def test_a_permission_that_is_named_exists(name: str) -> None:
    folders = [ROOT / app / "models" for app in ("plants", "dispatch")]
    models = [*(path for folder in folders for path in folder.glob("*.py")), ROOT / "schedules" / "models.py"]

    assert any(f'"{name}"' in path.read_text(encoding="utf-8") for path in models)


def test_the_names_are_found_at_all() -> None:
    assert min(len(PATHS), len(TESTS), len(SETTINGS)) >= 10
