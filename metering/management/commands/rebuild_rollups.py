"""`manage.py rebuild_rollups --plants ID ... --from DAY --to DAY`: rollups from the readings, from scratch."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from esm import clock
from metering.rules import current_rules
from metering.selectors.meter_facts import current_meter_limits
from metering.services.meters import rebuild_meters
from metering.services.rollups import rebuild
from plants.errors import DomainError
from plants.models import Plant

PLANTS_AT_ONCE = 200
"""A day of so many is computed well within `metering.services.gaps.SETTLED_AFTER`: the ledger goes by when that was."""


class Command(BaseCommand):
    help = (
        "Compute quarter-hours, hours and local days of telemetry and meters again, from readings that are still kept."
        " Needed after a plant's time zone or a period in the past was changed by hand, and for readings that were"
        " stored before there were rollups; nothing else needs it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--plants", nargs="+", metavar="ID", help="externalPlantId of each; all where left out"
        )
        parser.add_argument(
            "--from", dest="first", required=True, type=date.fromisoformat, metavar="DAY", help="UTC"
        )
        parser.add_argument(
            "--to", dest="last", required=True, type=date.fromisoformat, metavar="DAY", help="UTC, included"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        first, last = options["first"], options["last"]
        if last < first:
            raise CommandError("--to: lies before --from")
        plant_ids, rules, limits = self._plants(options["plants"]), current_rules(), current_meter_limits()
        telemetry = meters = 0
        try:
            for day, portion in _steps(first, min(last, clock.now().date()), plant_ids):
                wanted: dict[str, Any] = {
                    "plant_ids": portion,
                    "from_at": _midnight(day),
                    "to_at": _midnight(day + timedelta(days=1)),
                    "rules": rules,
                }
                telemetry += rebuild(**wanted, at=clock.now())
                meters += rebuild_meters(**wanted, at=clock.now(), limits=limits)
        except DomainError as error:
            raise CommandError(f"{error.code} {error.path}: {error.message}") from error
        self.stdout.write(f"quarter-hours looked at: {telemetry} of telemetry, {meters} of meters")

    def _plants(self, names: list[str] | None) -> list[int]:
        plants = Plant.objects.all() if names is None else Plant.objects.filter(external_plant_id__in=names)
        found = dict(plants.values_list("pk", "external_plant_id"))
        unknown = sorted(set(names or ()) - set(found.values()))
        if unknown:
            raise CommandError(f"--plants: not known: {', '.join(unknown)}")
        return sorted(found)


def _steps(first: date, last: date, plant_ids: Sequence[int]) -> Iterator[tuple[date, Sequence[int]]]:
    """Each day with each portion of the plants."""
    for number in range((last - first).days + 1):
        for place in range(0, len(plant_ids), PLANTS_AT_ONCE):
            yield first + timedelta(days=number), plant_ids[place : place + PLANTS_AT_ONCE]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
