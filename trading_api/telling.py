"""What screens are told of the reverse channel, after the commit that changed it (`live`)."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from live import Announcement, Topic, announce, announce_many

if TYPE_CHECKING:
    from trading_api.journal import JournalRow


def tell_pulls(rows: Iterable["JournalRow"]) -> None:
    """Requests that are in the journal now; those that nobody knows whose they are, nobody is told of."""
    announce_many(
        [
            Announcement(
                row.organisation_id,
                Topic.PULL,
                row.request_id,
                {
                    "endpoint": row.endpoint,
                    "status": row.status,
                    "ms": row.latency_ms,
                    "plant": row.plant_id,
                    "version": row.version,
                    "result": row.result,
                    "credential": row.credential_id,
                },
                row.at,
                row.plant_id,
            )
            for row in rows
            if row.organisation_id is not None
        ]
    )


def tell_update(*, update_id: int, plant_id: int, organisation_id: int, state: str, at: datetime) -> None:
    """A config update of Voke's came, was decided or replaced."""
    announce(
        organisation_id=organisation_id,
        topic=Topic.UPDATE,
        key=str(update_id),
        data={"id": update_id, "plant": plant_id, "state": state},
        at=at,
        plant_id=plant_id,
    )
