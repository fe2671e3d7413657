"""The organisation's connections a page at a time: those that need somebody first, those that are retired last."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from console.frame import rank_of
from dispatch.selectors import with_outbox
from esm import clock
from plants.models import Connection, Organisation
from plants.selectors.connections import SECRET_FIELDS
from plants.selectors.link_health import (
    CONNECTIONS_WATCHED,
    ConnectionHealth,
    connection_health,
    connections_of,
)

PER_PAGE = 25


@dataclass(frozen=True, kw_only=True)
class Line:
    """One connection with its health; None = it is retired."""

    connection: Connection
    health: ConnectionHealth | None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A page of them, counted from 1. `first` and `last` are places among all `total`; 0 where there is none."""

    lines: Sequence[Line]
    number: int
    pages: int
    first: int
    last: int
    total: int

    @property
    def before(self) -> int | None:
        """The number of the page before, None on the first."""
        return self.number - 1 if self.number > 1 else None

    @property
    def following(self) -> int | None:
        """The number of the page after, None on the last."""
        return self.number + 1 if self.number < self.pages else None


def listed(organisation: Organisation, *, number: int) -> Listed:
    """Page `number`, the last one where there are fewer; a fixed number of statements."""
    live = list(connections_of(organisation_id=organisation.pk, limit=CONNECTIONS_WATCHED))
    healths = connection_health(connections=live, at=clock.now())
    order = sorted(healths, key=lambda pk: (rank_of(healths[pk].state), pk))
    retired = Connection.objects.filter(organisation=organisation, retired_at__isnull=False)
    total = len(order) + retired.count()
    pages = max(1, -(-total // PER_PAGE))
    number = min(max(number, 1), pages)
    begin, end = (number - 1) * PER_PAGE, min(number * PER_PAGE, total)
    shown = order[begin:end]
    late = retired.order_by("-retired_at", "pk").values_list("pk", flat=True)
    shown += late[max(begin - len(order), 0) : max(end - len(order), 0)]
    return Listed(
        lines=_lines(shown, healths),
        number=number,
        pages=pages,
        first=min(begin + 1, total),
        last=end,
        total=total,
    )


def _lines(ids: Sequence[int], healths: dict[int, ConnectionHealth]) -> list[Line]:
    rows = Connection.objects.filter(pk__in=ids).defer(*SECRET_FIELDS)
    found = {row.pk: row for row in with_outbox(rows.annotate(plant_count=Count("plants")))}
    return [Line(connection=found[pk], health=healths.get(pk)) for pk in ids if pk in found]
