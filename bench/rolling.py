"""An hour of readings of many plants, stored in the order in which they come, and all its quarter-hours due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bench.world import START, World

if TYPE_CHECKING:
    from plants.models import Plant

QUARTERS = 4
SAMPLES_A_QUARTER = 90
END = START + QUARTERS * timedelta(minutes=15)
_TABLES = (
    "metering_telemetryquarter",
    "metering_telemetryhour",
    "metering_telemetryday",
    "metering_rollupdue",
    "metering_rollupmark",
)
_FILL = """
    INSERT INTO plants_telemetryreading (plant_id, measured_at, received_at, operating_mode, data_quality, quality_rank,
        grid_power_kw, fve_power_kw, battery_power_kw, consumption_power_kw, soc_pct, available_battery_energy_kwh,
        battery_temperature_c)
    SELECT plant_id, moment, moment, 'STANDARD', 'GOOD', 3, 20 * random() - 10, 10 * random(), 10 * random() - 5,
           8 * random(), 100 * random(), 50 * random(), 15 + 20 * random()
      FROM generate_series(%(low)s::timestamptz, %(high)s::timestamptz - interval '10 s', interval '10 s') AS moment
     CROSS JOIN unnest(%(plant_ids)s::bigint[]) AS plant_id
     ORDER BY moment, random()
"""
_DUE = """
    INSERT INTO metering_rollupdue (stream, plant_id, start_at)
    SELECT 'REALTIME', plant_id, start_at
      FROM generate_series(%(low)s::timestamptz, %(high)s::timestamptz - '15 min'::interval, '15 min') AS start_at
     CROSS JOIN unnest(%(plant_ids)s::bigint[]) AS plant_id ORDER BY start_at, plant_id
"""


@dataclass(kw_only=True)
class History:
    """`plants` with an hour of samples each, 10 s apart."""

    world: World
    count: int
    _plants: "Sequence[Plant] | None" = None

    @property
    def samples(self) -> int:
        return self.count * QUARTERS * SAMPLES_A_QUARTER

    def plants(self) -> "Sequence[Plant]":
        """The plants; made and filled when first asked for."""
        if self._plants is None:
            from metering.partitions import ROLLUPS  # noqa: PLC0415
            from plants.services.partitions import ensure_partitions  # noqa: PLC0415

            self._plants = self.world.plants(self.world.side().connection, self.count)
            ensure_partitions(days=[START.date()])
            ensure_partitions(days=[START.date()], tables=ROLLUPS)
            with self.world.database() as database:
                database.execute(_FILL, self._parameters())
                database.execute("ANALYZE plants_telemetryreading")
        return self._plants

    def make_due(self) -> None:
        """Empty the rollups; all quarter-hours are due."""
        self.plants()
        self.world.truncate(*_TABLES)
        with self.world.database() as database:
            database.execute(_DUE, self._parameters())
            database.execute("ANALYZE metering_rollupdue")

    def leave(self) -> None:
        """Nothing stays due: the worker of a later row would roll it up beside what is measured there."""
        self._plants = None
        self.world.truncate(*_TABLES, "plants_telemetryreading")

    def _parameters(self) -> dict[str, object]:
        return {"low": START, "high": END, "plant_ids": [plant.pk for plant in self._plants or ()]}
