"""`manage.py support_bundle`."""

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from esm import clock
from watch.support import make_bundle


class Command(BaseCommand):
    """One zip (mode 0600) for whoever helps; it holds no secret. Works with the database away."""

    help = "Write versions, settings without secrets, health, last errors and commands in doubt into one zip."
    # A check that fails is one more reason to make a bundle.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to."""
        parser.add_argument(
            "--output",
            help="Path of the zip, never overwritten; default support-TIME.zip here; - = standard output.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write the file; exit code 0 also when parts are missing, which are named."""
        at = clock.now()
        output = str(options["output"] or f"support-{at:%Y%m%dT%H%M%SZ}.zip")
        bundle = make_bundle(at=at)
        if output == "-":
            sys.stdout.buffer.write(bundle.content)
        else:
            self._write(Path(output), bundle.content)
        for name, reason in sorted(bundle.problems.items()):
            self.stderr.write(f"{name}: {reason}")
        self.stderr.write(f"{output}: {len(bundle.members)} files, {len(bundle.content)} bytes")

    def _write(self, path: Path, content: bytes) -> None:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"can't write {path}: {error.strerror}") from error
        with os.fdopen(handle, "wb") as file:
            file.write(content)
