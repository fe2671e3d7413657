"""`manage.py virtual_day --day 2026-10-25 --seed 7`: a whole day of platform and modelled Voke, in under a minute."""

import json
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from esm.virtual_day.database import own_database
from esm.virtual_day.run import DayOptions, run_day
from plants.errors import DomainError
from voke_sim.notes import Action, Note

_TOLD = frozenset({Action.MODE, Action.ALARM, Action.SCHEDULE, Action.TRANSPORT})


class Command(BaseCommand):
    help = "Run a whole day with its published plan on a virtual clock, in a database of its own."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, required=True, help="a date, as 2026-10-25")
        parser.add_argument("--seed", type=int, default=1, help="of every id, of weather and load")
        parser.add_argument(
            "--plan", type=Path, help="CSV of the day's plan; without, a forecast is the plan"
        )
        parser.add_argument("--until", default="24:00", help="a wall clock time at which the day ends early")
        parser.add_argument("--period-s", type=float, default=60.0, help="between two telemetry messages")
        parser.add_argument("--json", action="store_true", help="one line of JSON and nothing else")

    def handle(self, *_args: Any, **options: Any) -> None:
        quiet = options["json"]
        asked = DayOptions(
            day=options["day"],
            seed=options["seed"],
            period_s=options["period_s"],
            plan=options["plan"],
            until=options["until"],
        )
        try:
            with own_database():
                result = run_day(asked, on_note=None if quiet else self._note)
        except (DomainError, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(result, ensure_ascii=False, indent=None if quiet else 2))

    def _note(self, note: Note) -> None:
        if note.action in _TOLD:
            self.stdout.write(f"{note.at:%H:%M:%S}Z {note.text}")
