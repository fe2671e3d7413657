"""Starts the platform's own processes against the test run's private servers."""

import sys
from pathlib import Path

from django.conf import settings
from django.db import connection

from tests.services.proc import ManagedProcess, child_environment

ROOT = Path(__file__).resolve().parent.parent.parent


def manage(name: str, *words: str, directory: Path, **changes: str) -> ManagedProcess:
    """`manage.py WORDS` as a process of its own on the test database."""
    environment = child_environment(
        DATABASE_URL=settings.DATABASE_SERVER.database_url(str(connection.settings_dict["NAME"])),
        DJANGO_SETTINGS_MODULE="esm.settings",
        LOG_LEVEL="INFO",
        PULSE_DIR=str(directory / "pulse"),
        PYTHONUNBUFFERED="1",
        **changes,
    )
    return ManagedProcess(
        name,
        [sys.executable, "manage.py", *words],
        log_file=directory / f"{name}.log",
        env=environment,
        cwd=ROOT,
    )
