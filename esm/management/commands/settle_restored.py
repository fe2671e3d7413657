"""`manage.py settle_restored`: the last step of a restore that was made by hand (pg_restore in a container)."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import connection

from esm import clock
from esm.restore import Settled, settle


def tell(settled: Settled, out: OutputWrapper) -> None:
    """What was settled and what a person does next."""
    told = settled.dispatch
    out.write(
        f"settled: {told.messages} waiting messages given up, {told.queued} queued and {told.due} due commands"
        " UNCONFIRMED (RESTORED): they may have been sent after the backup"
    )
    out.write(
        f"still planned: {told.later} commands for later; {told.latched} plants are held by an emergency"
    )
    out.write(
        f"{settled.sessions} sessions ended, tokens of {settled.credentials} credentials revoked, ETags of"
        f" {settled.organisations} organisations renewed, updates held until Voke pulled again"
    )
    out.write(
        "dispatch is OFF for the whole installation. Read docs/runbook.md, Restore, before switching it on"
    )


class Command(BaseCommand):
    """Stop every process of the platform first: what is on its way now would be given up too."""

    help = "Settle a restored database: dispatch off, nothing of the past is sent, told or allowed again unasked."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Which database, so that it is not done to the wrong one."""
        parser.add_argument(
            "--database", required=True, help="name of the restored database, as a confirmation"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Settle and tell; refuses when the name is another."""
        name = str(connection.settings_dict["NAME"])
        if options["database"] != name:
            raise CommandError(f"the settings name the database {name}, not {options['database']}")
        tell(settle(at=clock.now()), self.stdout)
