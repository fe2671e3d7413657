"""What screens are told of plants and links, after the commit that changed them (`live`)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from live import Announcement, Topic, announce_many
from live.events import Json


def tell_measured(states: Sequence[Sequence[Any]], *, organisation_id: int, at: datetime) -> None:
    """`states`: rows of plants' newest samples, in the order of `plants.services.readings` (its target of states)."""
    announce_many(
        [
            Announcement(
                organisation_id,
                Topic.PLANT,
                str(row[0]),
                {
                    "plant": row[0],
                    "grid_kw": row[3],
                    "pv_kw": row[4],
                    "battery_kw": row[5],
                    "load_kw": row[6],
                    "soc_pct": row[7],
                    "quality": row[11],
                    "measured_at": row[1].isoformat(),
                },
                at,
                row[0],
                "power",
                row[1].timestamp(),
            )
            for row in states
        ]
    )


def tell_modes(
    modes: Iterable[tuple[int, str, str, datetime, datetime | None]], *, organisation_id: int, at: datetime
) -> None:
    """`modes`: plant, mode, reason, since when, until when it is overridden."""
    announce_many(
        [
            Announcement(
                organisation_id,
                Topic.PLANT,
                str(plant_id),
                {
                    "plant": plant_id,
                    "mode": mode,
                    "mode_reason": reason,
                    "mode_since": since.isoformat(),
                    "mode_until": None if until is None else until.isoformat(),
                },
                at,
                plant_id,
                "mode",
                since.timestamp(),
            )
            for plant_id, mode, reason, since, until in modes
        ]
    )


def tell_link(
    *, organisation_id: int | None, connection_id: int, facts: Mapping[str, Json], at: datetime
) -> None:
    """A half of a link to Voke is in another state."""
    if organisation_id is None:
        return
    data: dict[str, Json] = {"connection": connection_id, **facts}
    announce_many([Announcement(organisation_id, Topic.LINK, str(connection_id), data, at)])
