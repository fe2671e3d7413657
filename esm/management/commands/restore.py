"""`manage.py restore`."""

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from esm import clock
from esm.backup import manifest_of, read_manifest
from esm.management.commands.settle_restored import tell
from esm.postgres_tools import ToolFailed, configured_database
from esm.restore import check_dump, differences, has_digests, restore_dump, settle
from plants.selectors.connections import undecryptable


class Command(BaseCommand):
    """Into the database of the settings, which must be empty. No process of the platform may run meanwhile."""

    help = "Restore a dump into the empty database of the settings; dispatch stays off until a person switches it on."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Which dump."""
        parser.add_argument("dump", type=Path)
        parser.add_argument("--manifest", type=Path, help="default: the .json beside the dump")
        parser.add_argument(
            "--without-keys", action="store_true", help="go on although keys of the backup are missing"
        )
        parser.add_argument("--timeout-s", type=float, default=12 * 3600.0, help="default 12 hours")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Restore, compare, settle; exit code 1 and the reason when it does not work or something differs."""
        dump: Path = options["dump"]
        try:
            database = configured_database()
            manifest = read_manifest(options["manifest"] or manifest_of(dump))
            check_dump(dump=dump, manifest=manifest, without_keys=options["without_keys"])
            restore_dump(dump=dump, database=database, timeout_s=options["timeout_s"])
            differing = differences(manifest=manifest, database=database)
        except ToolFailed as error:
            raise CommandError(str(error)) from error
        # What the code has added since; its models are not the dump's before.
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write(f"restored what was backed up at {manifest.made_at}: {len(manifest.tables)} tables")
        tell(settle(at=clock.now()), self.stdout)
        broken = [f"connection {pk}: {field} {reason}" for pk, field, reason in undecryptable()]
        if differing or broken:
            raise CommandError("not as it was backed up:\n" + "\n".join([*differing, *broken]))
        same = (
            "every row is as it was backed up"
            if has_digests(manifest)
            else "every table has as many rows as were backed up (made with --no-digests: what is in them was not"
            " compared)"
        )
        self.stdout.write(f"{same}, and every secret can be read")
