"""Reading plants as lists and pages show them: each query answers for a whole page of rows, every list is bounded."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from plants.models import Alarm, DeadLetter, Plant, TimeConfigBlock, TimeConfigVersion
from plants.words import RECENT_WITHIN

IS_OPEN = Q(cleared_at=None) & (Q(case=None) | Q(case__closed_at=None))
"""Of alarms: raised, and nobody has closed its case; what is still to be cared for, wherever it is counted.

`console.fleet.facts_sql` says the same as SQL. One that is raised anew after its case was closed is open again.
"""


def with_open_alarms(plants: "QuerySet[Plant]") -> "QuerySet[Plant]":
    """Annotates `open_alarms`, the number of alarms that are open."""
    counted = (
        Alarm.objects.filter(IS_OPEN, plant=OuterRef("pk"))
        .order_by()
        .values("plant")
        .annotate(number=Count("pk"))
        .values("number")
    )
    return plants.annotate(open_alarms=Coalesce(Subquery(counted, output_field=IntegerField()), 0))


def silent(plants: "QuerySet[Plant]", *, at: datetime) -> "QuerySet[Plant]":
    """Plants that have sent before and have sent nothing for a minute."""
    return plants.filter(state__measured_at__lt=at - RECENT_WITHIN)


def open_alarms_of(*, plant_id: int, limit: int = 20) -> Sequence[Alarm]:
    """A plant's alarms that are open, newest first: what its marks and those of its devices go by."""
    return list(Alarm.objects.filter(IS_OPEN, plant_id=plant_id).order_by("-raised_at")[:limit])


def count_open_alarms_of_plant(*, plant_id: int, limit: int) -> int:
    """How many alarms of a plant are open, counted no further than the limit."""
    return Alarm.objects.filter(IS_OPEN, plant_id=plant_id).order_by()[:limit].count()


def alarms_of_plant(*, plant_id: int, limit: int = 50) -> Sequence[Alarm]:
    """A plant's alarms: those that are still raised, then the newest others."""
    rows = Alarm.objects.filter(plant_id=plant_id).select_related("case")
    return list(rows.order_by(F("cleared_at").desc(nulls_first=True), "-raised_at")[:limit])


def versions_of(*, plant_id: int, limit: int = 20) -> Sequence[TimeConfigVersion]:
    """A plant's time-config versions with who and what changed, newest first."""
    return list(TimeConfigVersion.objects.filter(plant_id=plant_id).order_by("-number")[:limit])


def current_blocks(blocks: "QuerySet[TimeConfigBlock]") -> "QuerySet[TimeConfigBlock]":
    """Only the blocks that are in force; versions keep the older ones."""
    return blocks.filter(
        version=Subquery(Plant.objects.filter(pk=OuterRef("plant")).values("time_config")[:1])
    )


def count_open_alarms(*, limit: int = 1000) -> int:
    """How many alarms are open, counted no further than the limit."""
    return Alarm.objects.filter(IS_OPEN).order_by()[:limit].count()


def count_dead_letters(*, since: datetime, limit: int = 1000) -> int:
    """How many different deliveries could not be used since then, counted no further than the limit."""
    return DeadLetter.objects.filter(last_at__gte=since).order_by()[:limit].count()


def count_silent_plants(*, at: datetime, limit: int = 1000) -> int:
    """How many connected plants have gone silent, counted no further than the limit."""
    connected = Plant.objects.filter(Q(connection__isnull=False))
    return silent(connected, at=at).order_by()[:limit].count()
