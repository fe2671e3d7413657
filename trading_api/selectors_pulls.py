"""What Voke pulled, as people look at it: the journal by pages, a day as a picture, which versions Voke holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    F,
    Func,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from plants.models import Plant
from trading_api.models import ConfigUpdateRequest, PullJournal, ServedVersion, UpdateState
from trading_api.paths import Endpoint

PAGE = 50
CELL = timedelta(minutes=10)
"""The picture of a day counts pulls in cells of this length."""
REFUSED_FROM = 400
_ANSWERS: Mapping[str, tuple[int, int]] = {"ok": (200, 399), "refused": (400, 499), "failed": (500, 599)}
ANSWERS = tuple(_ANSWERS)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which rows of the journal: '' and None = any. `before` is the id that the page starts below."""

    endpoint: str = ""
    answer: str = ""
    plant_ref: str = ""
    before: int | None = None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Pulls of one endpoint within CELL from `start_at`; `refused` of `count` were not answered as asked."""

    endpoint: str
    start_at: datetime
    count: int
    refused: int


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Of how many plants Voke was given the config in force, an older one, and none at all."""

    current: int
    older: int
    never: int

    @property
    def plants(self) -> int:
        """All plants that have a config to be given."""
        return self.current + self.older + self.never


class _CellOf(Func):
    """The beginning of the CELL that holds a moment."""

    output_field = DateTimeField()
    _LENGTH_S = int(CELL.total_seconds())

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        """Two thirds of the time that truncating an hour and its minutes takes."""
        template = f"date_bin('{self._LENGTH_S} seconds', %(expressions)s, '2000-01-01 00:00:00+00')"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        """Seconds since 1970, cut."""
        seconds = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)"
        template = f"datetime({seconds} / {self._LENGTH_S} * {self._LENGTH_S}, 'unixepoch')"
        return self.as_sql(compiler, connection, template=template, **extra)


def pulls(*, organisation_id: int, wanted: Wanted) -> tuple[Sequence[PullJournal], int | None]:
    """A page of the journal, newest first, and the id that the next page starts below; None = there is none."""
    rows = PullJournal.objects.filter(organisation_id=organisation_id).select_related("plant", "credential")
    if wanted.endpoint in set(Endpoint):
        rows = rows.filter(endpoint=wanted.endpoint)
    if wanted.answer in _ANSWERS:
        rows = rows.filter(status__range=_ANSWERS[wanted.answer])
    if wanted.plant_ref:
        rows = rows.filter(plant_ref=wanted.plant_ref)
    if wanted.before is not None:
        rows = rows.filter(pk__lt=wanted.before)
    found = list(rows.defer("body").order_by("-pk")[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else None


def pull_of(*, organisation_id: int, pull_id: int) -> PullJournal | None:
    """One row with everything that was kept of it."""
    rows = PullJournal.objects.filter(organisation_id=organisation_id, pk=pull_id)
    return rows.select_related("plant", "credential").first()


def last_pull(*, organisation_id: int) -> PullJournal | None:
    """The newest request of the organisation's Voke."""
    rows = PullJournal.objects.filter(organisation_id=organisation_id).defer("body")
    return rows.order_by("-pk").first()


def cells_of_day(*, organisation_id: int, at: datetime) -> Sequence[Cell]:
    """The last 24 hours, counted by the database in cells; at most 145 for each endpoint."""
    rows = (
        PullJournal.objects.filter(organisation_id=organisation_id, at__gt=at - timedelta(days=1), at__lte=at)
        .order_by()
        .annotate(cell=_CellOf("at"))
        .values_list("endpoint", "cell")
        .annotate(made=Count("*"), refused=Count("status", filter=Q(status__gte=REFUSED_FROM)))
    )
    return [
        Cell(endpoint=endpoint, start_at=start_at, count=made, refused=refused)
        for endpoint, start_at, made, refused in rows
    ]


def _with_served(organisation_id: int) -> "QuerySet[Plant]":
    """Plants that have a config, with `in_force` and the newest number that was served of it (-1 = none was)."""
    newest = (
        ServedVersion.objects.filter(plant=OuterRef("pk"), credential__enabled=True)
        .order_by()
        .values("plant")
        .annotate(newest=Max("number"))
        .values("newest")
    )
    return Plant.objects.filter(organisation_id=organisation_id, time_config__isnull=False).annotate(
        in_force=F("time_config__number"),
        served=Coalesce(Subquery(newest, output_field=IntegerField()), Value(-1)),
    )


def holding(*, organisation_id: int) -> Holding:
    """Counted in one statement."""
    counts = (
        _with_served(organisation_id)
        .annotate(
            word=Case(
                When(served=-1, then=Value(2)),
                When(served__lt=F("in_force"), then=Value(1)),
                default=Value(0),
                output_field=IntegerField(),
            )
        )
        .order_by()
        .aggregate(
            current=Count("pk", filter=Q(word=0)),
            older=Count("pk", filter=Q(word=1)),
            never=Count("pk", filter=Q(word=2)),
        )
    )
    return Holding(**counts)


def plants_behind(*, organisation_id: int, after: int = 0, limit: int = 20) -> Sequence[Plant]:
    """Plants of which Voke does not hold the config in force, by id; `after` is the last id of the page before."""
    rows = _with_served(organisation_id).filter(Q(served__lt=F("in_force")), pk__gt=after)
    return list(rows.order_by("pk")[:limit])


def waiting_updates(*, organisation_id: int, limit: int = PAGE) -> Sequence[ConfigUpdateRequest]:
    """Updates of Voke that wait for a person, the oldest first."""
    rows = ConfigUpdateRequest.objects.filter(plant__organisation_id=organisation_id, state=UpdateState.OPEN)
    return list(rows.select_related("plant__time_config", "credential").order_by("pk")[:limit])


def decided_updates(*, organisation_id: int, limit: int = 20) -> Sequence[ConfigUpdateRequest]:
    """The newest that wait no more."""
    rows = ConfigUpdateRequest.objects.filter(plant__organisation_id=organisation_id)
    rows = rows.exclude(state=UpdateState.OPEN).select_related("plant", "version")
    return list(rows.order_by("-pk")[:limit])


def update_of(*, organisation_id: int, update_id: int) -> ConfigUpdateRequest | None:
    """One update with its plant."""
    rows = ConfigUpdateRequest.objects.filter(plant__organisation_id=organisation_id, pk=update_id)
    return rows.select_related("plant__time_config", "credential").first()
