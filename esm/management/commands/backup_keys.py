"""`manage.py backup_keys`."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from esm.backup import keys_as_env, write_private
from esm.postgres_tools import ToolFailed


class Command(BaseCommand):
    """To standard output only into a pipe: keys do not belong on a screen."""

    help = "Write the installation's keys as lines of .env; keep them apart from the dumps."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to."""
        parser.add_argument(
            "--output",
            required=True,
            help="a new file (mode 0600), or - for a pipe: | gpg --symmetric > keys.gpg",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write them; exit code 1 and the reason when it does not work."""
        try:
            text = keys_as_env(os.environ)
            if options["output"] != "-":
                return self._write(Path(options["output"]), text)
        except ToolFailed as error:
            raise CommandError(str(error)) from error
        if self.stdout.isatty():
            raise CommandError("this is a terminal: pipe the keys into a program that encrypts them")
        self.stdout.write(text, ending="")
        return None

    def _write(self, file: Path, text: str) -> None:
        if any(file.absolute().parent.glob("*.dump")):
            raise ToolFailed(f"{file.parent} holds dumps: the keys belong elsewhere")
        write_private(file, text)
        self.stdout.write(f"{file}: written. Keep it apart from the dumps.")
