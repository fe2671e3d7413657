"""The empty database that virtual days on SQLite begin with: of this code's migrations, private, one of its kind."""

import sqlite3
import stat
from contextlib import closing

import pytest

from esm.virtual_day import database
from esm.virtual_day.database import begun_with, kept_name


def in_memory():
    return closing(sqlite3.connect("file:memorydb_default?mode=memory&cache=shared", uri=True))


@pytest.fixture
def kept(tmp_path):
    """After a first day has migrated."""
    (tmp_path / "empty-of-other-code.sqlite3").touch()
    file = tmp_path / "empty-1.sqlite3"
    with begun_with(file), in_memory() as memory:
        memory.execute("CREATE TABLE plant (name text)")
    return file


def test_what_the_first_day_migrated_is_there_for_the_next_one_and_rows_of_a_day_are_not(kept):
    with begun_with(kept), in_memory() as memory:
        memory.execute("INSERT INTO plant VALUES ('BREWERY')")
        memory.commit()
    with begun_with(kept), in_memory() as memory:
        found = memory.execute("SELECT count(*) FROM plant").fetchall()

    assert found == [(0,)]


def test_it_is_its_owners_alone_and_those_of_other_code_are_gone(kept):
    assert [file.name for file in kept.parent.iterdir()] == [kept.name]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_its_name_changes_with_the_text_of_any_migration(tmp_path, monkeypatch):
    before = kept_name()
    module = database.sys.modules["watch.migrations.0001_first"]
    changed = tmp_path / "changed.py"
    changed.write_text("another text")
    monkeypatch.setattr(module, "__file__", str(changed))

    assert kept_name() != before


def test_a_day_that_could_not_be_migrated_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), begun_with(tmp_path / "empty-1.sqlite3"):
        raise RuntimeError("a migration failed")

    assert list(tmp_path.iterdir()) == []
