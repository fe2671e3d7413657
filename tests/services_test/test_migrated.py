"""The kept database with every migration: what is put in is what was migrated, and it is made anew when needed."""

import re
import sqlite3
from contextlib import closing

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.conftest import TEMPLATE
from tests.services import migrated


def statements(dump):
    """Without the key that newer versions of pg_dump draw for each dump, and however a list of texts is cast."""
    return [
        re.sub(r"::character varying|::text(\[\])?|[()]", "", line)
        for line in dump.splitlines()
        if not line.startswith(("\\restrict", "\\unrestrict"))
    ]


@pytest.mark.django_db
def test_what_is_put_into_postgresql_is_what_was_dumped_after_all_migrations():
    [kept] = migrated.KEPT.glob(f"{migrated.state_on_postgres()}.sql")

    assert statements(migrated.dump(settings.DATABASE_SERVER, TEMPLATE)) == statements(kept.read_text())


@pytest.mark.django_db
def test_nothing_is_left_to_migrate():
    executor = MigrationExecutor(connection)

    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A room with one migration that imports a module of the room, and a module that no migration imports."""
    (tmp_path / "room" / "migrations").mkdir(parents=True)
    (tmp_path / "esm").mkdir()
    for name, text in (
        ("requirements.txt", "django==5.2"),
        ("esm/settings.py", "INSTALLED_APPS = []"),
        ("room/fields.py", "import os"),
        ("room/views.py", "import os"),
        ("room/migrations/0001_first.py", "import os\nfrom room.fields import Power"),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(migrated, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["requirements.txt", "esm/settings.py", "room/fields.py", "room/migrations/0001_first.py"]
)
def test_whatever_a_migration_is_made_of_changes_the_name_of_what_is_kept(checkout, name):
    before = migrated.state_on_sqlite()
    (checkout / name).write_text("changed = True")

    assert migrated.state_on_sqlite() != before


def test_a_further_migration_changes_the_name_and_other_code_does_not(checkout):
    first = migrated.state_on_sqlite()
    (checkout / "room" / "views.py").write_text("changed = True")
    second = migrated.state_on_sqlite()
    (checkout / "room" / "migrations" / "0002_second.py").write_text("")

    assert first == second != migrated.state_on_sqlite()


def test_one_is_made_once_and_copied_from_then_on_whatever_a_killed_run_left(checkout, tmp_path, monkeypatch):
    made = []

    def migrate(database_url, **_changes):
        made.append(database_url)
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as database:
            database.execute("CREATE TABLE plant (name text)")

    monkeypatch.setattr(migrated, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(migrated, "run_migrate", migrate)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "draft.sqlite3").write_bytes(b"half")

    for name in ("one", "two"):
        migrated.copy_migrated_sqlite(tmp_path / name)

    assert len(made) == 1
    for name in ("one", "two"):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("plant",)]
