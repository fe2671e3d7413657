"""The fleet as CSV: one row a plant, signed values under names that say their direction, no cell that is a formula."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime

from console.fleet.reading import PlantFacts

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    "plant_id",
    "name",
    "mode",
    "measured_at",
    "live",
    "grid_import_kw",
    "pv_production_kw",
    "battery_charge_kw",
    "load_kw",
    "soc_pct",
    "planned_grid_import_kw",
    "over_plan_kw",
    "emergency",
    "override_until",
    "open_alarms",
    "unanswered_command",
)


def csv_of(rows: Sequence[PlantFacts]) -> str:
    """With a mark that makes spreadsheets read it as UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_cells(row))
    return "\ufeff" + out.getvalue()


def _cells(row: PlantFacts) -> list[str]:
    return [
        _text(row.external_plant_id),
        _text(row.name),
        _text(row.mode),
        _moment(row.measured_at),
        "yes" if row.live else "no",
        _number(row.grid_power_kw),
        _number(row.fve_power_kw),
        _number(row.battery_power_kw),
        _number(row.consumption_power_kw),
        _number(row.soc_pct),
        _number(row.planned_kw),
        _number(row.over_kw),
        row.latch or "",
        _moment(row.override_until),
        str(row.open_alarms),
        "" if row.command_id is None else str(row.command_id),
    ]


def _text(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _number(value: float | None) -> str:
    """Plain digits; a number is no formula, whatever its sign."""
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
