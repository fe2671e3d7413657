"""Reading the list of commands: keyset pages, and a bound on how much of the past one page looks through.

A filter that few commands match would read an organisation's whole past to fill a page. So one page looks through at
most LOOKED_THROUGH commands, and where it did not find enough it says how far it came and leads further back.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from console.commands.filters import SINCE, Filters, Group, Origin
from dispatch.diagnosis import Cause
from dispatch.models import Command, CommandEvent, OutboundMessage, Proof
from metering.days import local_day
from plants.models import Plant
from plants.selectors.plants import zone_of_organisation
from plants.texts import number_of
from schedules.models import Override

PAGE_SIZE: Final = 50
LOOKED_THROUGH: Final = 20_000
MOST_PLANTS: Final = 200
NEW_COUNTED: Final = 100
_OVERRIDE, _PLAN = "override:", "plan:"
_CLOCKS_APART = timedelta(minutes=10)
"""Commands are numbered in the order in which they are asked for, but for the clocks of several processes."""


@dataclass(frozen=True, kw_only=True)
class CommandPage:
    """One page, newest first.

    `older`: the id below which the next page begins; None = there is none. `cut`: it ended because it had looked
    through LOOKED_THROUGH commands, not because it was full.
    """

    rows: Sequence[Command]
    older: int | None
    cut: bool


def commands_page(
    *, organisation_id: int, filters: Filters, at: datetime, size: int = PAGE_SIZE
) -> CommandPage:
    """A page of the organisation's commands with their plants and proofs: two queries, a few more where it searches."""
    scope = _scope(organisation_id, filters)
    if filters.before is not None:
        scope = scope.filter(pk__lt=filters.before)
    if filters.day is not None:
        scope = _of_day(scope, organisation_id, filters)
    rows = matching(scope, filters, at=at)
    if not _is_sparse(filters):
        found = list(rows[: size + 1])
        return CommandPage(
            rows=found[:size], older=found[size - 1].pk if len(found) > size else None, cut=False
        )
    floor = scope.order_by("-pk").values_list("pk", flat=True)[LOOKED_THROUGH : LOOKED_THROUGH + 1].first()
    if floor is not None:
        rows = rows.filter(pk__gt=floor)
    found = list(rows[: size + 1])
    if len(found) > size:
        return CommandPage(rows=found[:size], older=found[size - 1].pk, cut=False)
    return CommandPage(rows=found, older=None if floor is None else floor + 1, cut=floor is not None)


def rows_among(*, organisation_id: int, ids: Collection[int]) -> Sequence[Command]:
    """Rows that a page shows already, as they are now; one query."""
    return list(_with_row(Command.objects.filter(organisation_id=organisation_id, pk__in=list(ids)[:200])))


def count_newer(*, organisation_id: int, filters: Filters, than: int, at: datetime) -> int:
    """How many commands came after one that would be in the list, counted no further than NEW_COUNTED."""
    rows = _scope(organisation_id, filters).filter(pk__gt=than)
    return matching(rows, filters, at=at).order_by()[:NEW_COUNTED].count()


def plants_named(*, organisation_id: int) -> list[tuple[int, str]]:
    """(id, name) of plants to choose from, in order of their names; at most MOST_PLANTS."""
    rows = Plant.objects.filter(organisation_id=organisation_id).order_by("name", "pk")
    return list(rows.values_list("pk", "name")[:MOST_PLANTS])


def matching(rows: "QuerySet[Command]", filters: Filters, *, at: datetime) -> "QuerySet[Command]":
    """The commands of a scope that the filters let through, newest first, with what a row shows."""
    if filters.states:
        wanted = Q(state__in=[state.value for state in filters.states])
        if filters.state == Group.DOUBT:
            wanted |= Q(verification__verdict=Proof.OFF_TARGET) | Q(execution_overdue=True)
        rows = rows.filter(wanted)
    if filters.kind:
        rows = rows.filter(kind=filters.kind)
    if filters.cause in Cause.__members__:
        rows = rows.filter(diagnosis__cause=filters.cause)
    elif filters.cause:
        rows = rows.filter(cause=filters.cause)
    if filters.origin:
        rows = rows.filter(_of_origin(Origin(filters.origin)))
    if filters.since:
        rows = rows.filter(requested_at__gte=at - SINCE[filters.since][1])
    return _with_row(rows)


def _scope(organisation_id: int, filters: Filters) -> "QuerySet[Command]":
    """What an index finds: the organisation's, a plant's, or what a search names."""
    rows = Command.objects.filter(organisation_id=organisation_id)
    if filters.plant is not None:
        rows = rows.filter(plant_id=filters.plant)
    return _searched(rows, organisation_id, filters.q) if filters.q else rows


def _with_row(rows: "QuerySet[Command]") -> "QuerySet[Command]":
    return rows.select_related("plant", "verification").order_by("-pk")


def _is_sparse(filters: Filters) -> bool:
    """Whether commands that the index finds may be left out."""
    return bool(filters.states or filters.kind or filters.cause or filters.origin or filters.since)


def _of_origin(origin: Origin) -> Q:
    override = Q(batch_ref__startswith=_OVERRIDE) | Q(Exists(Override.objects.filter(command=OuterRef("pk"))))
    plan = Q(batch_ref__startswith=_PLAN) | Q(automatic=True)
    match origin:
        case Origin.OVERRIDE:
            return override
        case Origin.PLAN:
            return plan & ~override
        case Origin.PERSON:
            return Q(requested_by__isnull=False) & ~override & ~plan
        case Origin.API:
            return Q(requested_by__isnull=True) & ~override & ~plan


# --- searching --------------------------------------------------------------------------------------------------------


def _searched(rows: "QuerySet[Command]", organisation_id: int, text: str) -> "QuerySet[Command]":
    """A number is a command's own, a UUID one of a message or a correlation, all else a plant's name or id."""
    number = number_of(text.removeprefix("#"))
    if number is not None:
        return rows.filter(pk=number)
    try:
        wanted = uuid.UUID(text)
    except ValueError:
        plants = Plant.objects.filter(organisation_id=organisation_id)
        named = plants.filter(Q(name__icontains=text) | Q(external_plant_id__icontains=text))
        return rows.filter(plant_id__in=list(named.order_by("pk").values_list("pk", flat=True)[:MOST_PLANTS]))
    return rows.filter(pk__in=_commands_of(wanted, organisation_id))


def _commands_of(wanted: uuid.UUID, organisation_id: int) -> list[int]:
    """The commands of which a message, sent or heard, has this id or correlation."""
    sent = OutboundMessage.objects.filter(
        Q(message_id=wanted) | Q(correlation_id=wanted), connection__organisation_id=organisation_id
    )
    found = [pk for pk in sent.order_by().values_list("command_id", flat=True)[:10] if pk is not None]
    if found:
        return found
    heard = CommandEvent.objects.filter(
        inbound__connection__organisation_id=organisation_id,
        inbound__message_id__in=[str(wanted), str(wanted).upper()],
    )
    return list(heard.order_by().values_list("command_id", flat=True)[:10])


# --- a day ------------------------------------------------------------------------------------------------------------


def _of_day(rows: "QuerySet[Command]", organisation_id: int, filters: Filters) -> "QuerySet[Command]":
    """Those asked for on a local day: found by the number of its last command, then by their time."""
    assert filters.day is not None
    bounds = local_day(filters.day, zone=_zone(organisation_id, filters.plant))
    last = _last_before(rows, bounds.end_at + _CLOCKS_APART)
    first = _last_before(rows, bounds.start_at - _CLOCKS_APART)
    return rows.filter(
        pk__gt=first, pk__lte=last, requested_at__gte=bounds.start_at, requested_at__lt=bounds.end_at
    )


def _zone(organisation_id: int, plant_id: int | None) -> str:
    plants = Plant.objects.filter(organisation_id=organisation_id, pk=plant_id or 0)
    return plants.values_list("time_zone", flat=True).first() or zone_of_organisation(organisation_id)


def _last_before(rows: "QuerySet[Command]", moment: datetime) -> int:
    """The number of the last command asked for before a moment, by halving: some twenty reads of an index; 0 = none."""
    numbers = rows.order_by("-pk").values_list("pk", "requested_at")
    newest = numbers.first()
    if newest is None:
        return 0
    if newest[1] < moment:
        return newest[0]
    low, high = 0, newest[0]  # up to `low` all were asked for before the moment, up to `high` not all
    while high - low > 1:
        middle = (low + high) // 2
        found = numbers.filter(pk__lte=middle).first()
        if found is None or found[1] < moment:
            low = middle
        else:
            high = found[0]
    return low
