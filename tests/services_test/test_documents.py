"""The documents name settings, ticks, commands and tests: each of them is as the code has it."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands

from esm.ticks import TICKS
from scripts.production_env import production_environment

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
COMPOSE_ONLY = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "WEB_BIND", "ESM_TAG"}
# Settings whose default is a path of the machine, or only stands where another one is given.
BY_MACHINE = {"STATIC_ROOT", "PULSE_DIR", "DATABASE_URL", "DATABASE_PASSWORD"}

RECORDER = """
import json
from esm.env import Env

seen = {}

def recorded(name):
    read = getattr(Env, name)
    def reader(self, key, *args, **bounds):
        default = args[0] if args else None
        seen.setdefault(key, {"default": default, "low": bounds.get("low"), "high": bounds.get("high")})
        return read(self, key, *args, **bounds)
    setattr(Env, name, reader)

for name in ("text", "integer", "number", "boolean", "choice", "words", "versioned_keys", "database"):
    recorded(name)
import esm.settings
print(json.dumps(seen, default=list))
"""


@pytest.fixture(scope="module")
def read() -> dict[str, dict[str, Any]]:
    """Every setting that a full installation reads, with its default and its bounds."""
    done = subprocess.run(
        [sys.executable, "-c", RECORDER],
        env=production_environment(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def cells(text: str, first: str) -> list[list[str]]:
    """Rows of the tables whose first column is so headed."""
    rows, within = [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            within = False
            continue
        columns = [cell.strip() for cell in line.strip("|").split("|")]
        within = within or columns[0] == first
        if within and columns[0] != first and not columns[0].startswith("---"):
            rows.append(columns)
    return rows


def spelt(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list():
            return ",".join(map(str, value))
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def test_the_example_has_every_setting_that_is_read_with_its_default_and_no_other(read):
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    example = dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    defaults = {name: spelt(one["default"]) for name, one in read.items() if one["default"] is not None}

    assert set(example) - COMPOSE_ONLY == set(read)
    assert {name: example[name] for name in defaults if name not in BY_MACHINE} == {
        name: value for name, value in defaults.items() if name not in BY_MACHINE
    }


def test_the_page_of_settings_has_every_setting_with_its_default_and_its_bounds(read):
    rows = {row[0]: row for row in cells((DOCS / "settings.md").read_text(encoding="utf-8"), "setting")}
    bounds = {
        name: f"{spelt(one['low'])} to {spelt(one['high'])}"
        for name, one in read.items()
        if one["low"] is not None
    }

    assert set(rows) == set(read)
    assert {name: rows[name][2] for name in bounds} == bounds
    assert {name: rows[name][1] for name in bounds} == {name: spelt(read[name]["default"]) for name in bounds}


def test_the_runbook_has_every_tick_with_its_period_and_its_worker():
    rows = cells((DOCS / "runbook.md").read_text(encoding="utf-8"), "tick")

    assert {tuple(row[:3]) for row in rows} == {
        (tick.name, f"{tick.period_s:g} s", "slow-worker" if tick.slow else "worker") for tick in TICKS
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page):
    named = set(re.findall(r"manage\.py ([a-z_]+)", page.read_text(encoding="utf-8")))

    assert named <= set(get_commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page):
    named = set(re.findall(r"`(?:tests/)?((?:\w+/)*test_[\w*]+\.py)`", page.read_text(encoding="utf-8")))

    assert [path for path in named if not any((ROOT / "tests").rglob(path))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_that_a_page_links_to_exists(page):
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [target for target in linked if not (page.parent / target).exists()] == []


def test_the_words_of_the_glossary_stand_in_their_order():
    words = [row[0] for row in cells((DOCS / "glossary.md").read_text(encoding="utf-8"), "word")]

    assert len(words) >= 60
    assert words == sorted(words, key=str.casefold)


@pytest.mark.parametrize("room", ["dispatch", "schedules"])
def test_every_service_of_a_room_is_named_at_its_door(room):
    folder = ROOT / room / "services"
    door = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""

    assert set(re.findall(r"`([a-z_]+)`", door)) - {"at"} == {
        path.stem for path in folder.glob("*.py") if path.stem != "__init__"
    }
