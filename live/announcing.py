"""How services tell screens that something changed.

Call within the transaction that changes it: screens are told after the commit and only then. Telling costs neither a
query nor a wait, and no failure of it is ever the caller's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from live import feed
from live.events import Announcement, Json, Topic


def announce(
    *,
    organisation_id: int,
    topic: Topic,
    key: str,
    data: Mapping[str, Json],
    at: datetime,
    plant_id: int | None = None,
    part: str = "",
    version: float = 0.0,
) -> None:
    """Tell the screens of an organisation, once the present transaction is committed; see `Announcement`."""
    announce_many([Announcement(organisation_id, topic, key, data, at, plant_id, part, version)])


def announce_many(told: Sequence[Announcement]) -> None:
    """`announce` for what changed together."""
    if told:
        # Robust: what it raises is logged, and neither the caller nor what else waits for the commit hears of it.
        transaction.on_commit(lambda: feed.publish(told), robust=True)
