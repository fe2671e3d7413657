"""`manage.py backup`."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from esm import clock
from esm.backup import make_backup
from esm.postgres_tools import ToolFailed, configured_database


class Command(BaseCommand):
    """Everything may run meanwhile: the dump is one consistent look."""

    help = "Write a dump of the database and its manifest into a directory; the keys are not in it (backup_keys)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and how thoroughly."""
        parser.add_argument("--output", type=Path, default=Path("."), help="directory; default this one")
        parser.add_argument(
            "--no-digests", action="store_true", help="count rows only: faster on a large history"
        )
        parser.add_argument("--timeout-s", type=float, default=4 * 3600.0, help="of pg_dump; default 4 hours")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write both files; exit code 1 and the reason when it does not work."""
        try:
            dump, manifest = make_backup(
                directory=options["output"],
                at=clock.now(),
                database=configured_database(),
                digests=not options["no_digests"],
                timeout_s=options["timeout_s"],
            )
        except ToolFailed as error:
            raise CommandError(str(error)) from error
        rows = sum(facts.rows for facts in manifest.tables.values())
        self.stdout.write(f"{dump}: {manifest.bytes} bytes, {len(manifest.tables)} tables, {rows} rows")
        self.stdout.write("the keys are not in it: manage.py backup_keys, to another place")
