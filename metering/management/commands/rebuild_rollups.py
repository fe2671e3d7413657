"""`manage.py rebuild_rollups --plants ID ... --from DAY --to DAY`: rollups from the readings, from scratch."""

from argparse import ArgumentParser
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


class Command(BaseCommand):
    help = (
        "Compute quarter-hours, hours and local days of telemetry and meters again, from readings that are still kept."
        " Needed after a plant's time zone or a period in the past was changed by hand; nothing else needs it."
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
        wanted: dict[str, Any] = {
            "plant_ids": self._plants(options["plants"]),
            "from_at": _midnight(options["first"]),
            "to_at": _midnight(options["last"] + timedelta(days=1)),
            "at": clock.now(),
            "rules": current_rules(),
        }
        try:
            telemetry = rebuild(**wanted)
            meters = rebuild_meters(**wanted, limits=current_meter_limits())
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


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
