"""Gaps of every kind in the measurements of the seeded plants."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from metering.models import Gap, Stream
from plants.models import Plant


def make_gaps(plants: Sequence[Plant], at: datetime) -> None:
    """Two of each plant: one that has ended, filled or not, and one of a meter that is still open or given up."""
    for number, plant in enumerate(plants):
        began = at - timedelta(hours=number + 1)
        filled: dict[str, Any] = {"missing_s": 585.0}
        if number % 2:
            filled = {"missing_s": 0.0, "filled_at": at, "filled_from": Gap.FilledFrom.QUEUE}
        Gap.objects.create(
            plant=plant,
            stream=Stream.REALTIME,
            from_at=began,
            to_at=began + timedelta(minutes=10),
            expected_period_s=10,
            found_at=at,
            cause=Gap.Cause.LINK_DOWN,
            cause_detail="Our link to Voke was DOWN for 9 min of 10 min.",
            **filled,
        )
        Gap.objects.create(
            plant=plant,
            stream=Stream.METER,
            device_id="M1",
            from_at=began,
            expected_period_s=60,
            found_at=at,
            missing_s=3600,
            cause=Gap.Cause.PLANT_OFFLINE,
            cause_detail="The link was up and other plants were heard, this one was not.",
            given_up_at=at if number % 3 == 0 else None,
        )
