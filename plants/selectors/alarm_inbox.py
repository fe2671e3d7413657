"""Reading the alarm inbox: cases of one organisation, the worst that stands first; every list is paged and bounded.

Order of what is open: what is still raised before what is over, then by severity, then the newest; of what is closed:
the last closed first. A page is asked for by the last row of the page before it, so that rows that come meanwhile
neither repeat nor hide another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.db.models import Count, Q, QuerySet

from plants.errors import Invalid, NotFound
from plants.models import AlarmCase, AlarmNote, AlarmOccurrence, AlarmOrigin, Plant, User
from plants.severity import KNOWN
from plants.texts import numbers_of
from vcp.said import said

PAGE = 50
COUNTED = 1000
CHOICES_MAX = 200
CHOSEN_AMONG = 5000
OCCURRENCES_SHOWN = 50
NOTES_SHOWN = 200
OTHER_SEVERITIES = "OTHER"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tab(StrEnum):
    """Parts of the inbox."""

    OPEN = "open"
    MINE = "mine"
    UNOWNED = "unowned"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """Whose alarms are looked at: one organisation's, for staff also those of the installation."""

    organisation_id: int
    user_id: int
    with_installation: bool = False

    def cases(self) -> "QuerySet[AlarmCase]":
        """All of them, whatever their state."""
        mine = Q(organisation_id=self.organisation_id)
        return AlarmCase.objects.filter(
            mine | Q(organisation__isnull=True) if self.with_installation else mine
        )


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a list is narrowed to; empty = everything. `severity` OTHER = words that the sheet does not name."""

    severity: str = ""
    plant_id: int | None = None
    origin: str = ""
    code: str = ""

    def __bool__(self) -> bool:
        return bool(self.severity or self.plant_id is not None or self.origin or self.code)


@dataclass(frozen=True, kw_only=True)
class CasePage:
    """Rows of a list and where the next ones begin; '' = there are none."""

    rows: Sequence[AlarmCase]
    next: str


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the filters offer: what occurs among the newest of the tab, each list bounded."""

    plants: Sequence[tuple[int, str]]
    codes: Sequence[str]


def count_needing_work(organisation_id: int, limit: int = 100) -> int:
    """How many alarms of an organisation are still raised and acknowledged by nobody, counted up to the limit."""
    rows = AlarmCase.objects.filter(
        organisation_id=organisation_id, closed_at__isnull=True, is_raised=True, acknowledged_at__isnull=True
    )
    return rows.order_by()[:limit].count()


def tab_of(cases: "QuerySet[AlarmCase]", tab: Tab, *, user_id: int) -> "QuerySet[AlarmCase]":
    """The cases of a part of the inbox."""
    if tab is Tab.CLOSED:
        return cases.filter(closed_at__isnull=False)
    opened = cases.filter(closed_at__isnull=True)
    match tab:
        case Tab.MINE:
            return opened.filter(owner_id=user_id)
        case Tab.UNOWNED:
            return opened.filter(owner__isnull=True)
        case _:
            return opened


def counts_of(inbox: Inbox) -> dict[Tab, int]:
    """How many are open, mine, unowned: each counted up to `COUNTED`, in one statement. Closed ones are not counted."""
    newest = inbox.cases().filter(closed_at__isnull=True).order_by()[:COUNTED]
    found = AlarmCase.objects.filter(pk__in=newest.values("pk")).aggregate(
        open=Count("pk"),
        mine=Count("pk", filter=Q(owner_id=inbox.user_id)),
        unowned=Count("pk", filter=Q(owner__isnull=True)),
    )
    return {tab: found[tab.value] for tab in (Tab.OPEN, Tab.MINE, Tab.UNOWNED)}


def narrowed(cases: "QuerySet[AlarmCase]", filters: Filters) -> "QuerySet[AlarmCase]":
    """Only what passes the filters."""
    if filters.severity == OTHER_SEVERITIES:
        cases = cases.exclude(severity__in=KNOWN)
    elif filters.severity:
        cases = cases.filter(severity=filters.severity)
    if filters.plant_id is not None:
        cases = cases.filter(plant_id=filters.plant_id)
    if filters.origin in AlarmOrigin.values:
        cases = cases.filter(origin=filters.origin)
    return cases.filter(code=filters.code) if filters.code else cases


def page_of(inbox: Inbox, *, tab: Tab, filters: Filters, after: str = "", limit: int = PAGE) -> CasePage:
    """A page of a tab; two statements at most. Raises Invalid for a wrong `after`."""
    cases = narrowed(tab_of(inbox.cases(), tab, user_id=inbox.user_id), filters)
    closed = tab is Tab.CLOSED
    if after:
        cases = cases.filter(_after_closed(after) if closed else _after_open(after))
    order = ("-closed_at", "-id") if closed else ("-is_raised", "-rank", "-first_raised_at", "-id")
    rows = list(_with_names(cases).order_by(*order)[: limit + 1])
    more = len(rows) > limit
    rows = rows[:limit]
    return CasePage(rows=rows, next=cursor_of(rows[-1]) if more else "")


def case_of(inbox: Inbox, *, case_id: int) -> AlarmCase:
    """One case with the names that it shows. Raises NotFound, for another organisation's too."""
    case = (
        _with_names(inbox.cases()).select_related("acknowledged_by", "closed_by").filter(pk=case_id).first()
    )
    if case is None:
        raise NotFound(said("no such alarm"))
    return case


def shown_of(
    inbox: Inbox, *, tab: Tab, filters: Filters, ids: Sequence[int]
) -> Sequence[tuple[AlarmCase, bool]]:
    """These cases as they are now (at most a page of them), and whether the list would hold them; two statements."""
    ids = list(ids)[:PAGE]
    listed = narrowed(tab_of(inbox.cases(), tab, user_id=inbox.user_id), filters)
    within = set(listed.filter(pk__in=ids).order_by().values_list("pk", flat=True))
    return [(case, case.pk in within) for case in _with_names(inbox.cases()).filter(pk__in=ids)]


def choices_of(inbox: Inbox, *, tab: Tab) -> Choices:
    """What the filters of a tab can be set to; two statements."""
    newest = tab_of(inbox.cases(), tab, user_id=inbox.user_id).order_by("-pk")[:CHOSEN_AMONG]
    cases = AlarmCase.objects.filter(pk__in=newest.values("pk")).order_by()
    ids = cases.filter(plant__isnull=False).values("plant_id").distinct()
    plants = Plant.objects.filter(pk__in=ids).order_by("name", "pk").values_list("pk", "name")
    codes = cases.values_list("code", flat=True).distinct().order_by("code")
    return Choices(plants=list(plants[:CHOICES_MAX]), codes=list(codes[:CHOICES_MAX]))


def occurrences_of(*, case_id: int, limit: int = OCCURRENCES_SHOWN) -> Sequence[AlarmOccurrence]:
    """Raises of a case with their clears, the newest first."""
    rows = AlarmOccurrence.objects.filter(case_id=case_id).select_related("alarm")
    return list(rows.order_by("-raised_at", "-pk")[:limit])


def notes_of(*, case_id: int, limit: int = NOTES_SHOWN) -> Sequence[AlarmNote]:
    """What people did and said about a case, oldest first; of too many the newest."""
    rows = AlarmNote.objects.filter(case_id=case_id).order_by("-pk")
    return list(rows[:limit])[::-1]


def possible_owners(*, organisation_id: int | None, but: int, limit: int = CHOICES_MAX) -> Sequence[User]:
    """Who else can own an alarm of an organisation: its active people; of the installation, its staff."""
    people = User.objects.filter(is_active=True).exclude(pk=but)
    if organisation_id is None:
        people = people.filter(organisation__isnull=True, is_staff=True)
    else:
        people = people.filter(organisation_id=organisation_id)
    return list(people.order_by("last_name", "first_name", "username")[:limit])


def _with_names(cases: "QuerySet[AlarmCase]") -> "QuerySet[AlarmCase]":
    """With what a row shows and no more: each further table doubles what PostgreSQL spends on planning, which for
    eight of them was fifty times the reading."""
    rows = cases.select_related("plant", "connection", "latest", "owner")
    return rows.defer("connection__amqps_uri", "connection__api_key", "connection__signing_key")


# --- where a page begins ----------------------------------------------------------------------------------------------


def cursor_of(case: AlarmCase) -> str:
    """The row's place in the order of its tab."""
    if case.closed_at is not None:
        return f"{_micros(case.closed_at)}.{case.pk}"
    return f"{int(case.is_raised)}.{case.rank}.{_micros(case.first_raised_at)}.{case.pk}"


def _after_open(cursor: str) -> Q:
    is_raised, rank, micros, pk = _numbers(cursor, 4)
    at = _moment(micros)
    same_rank = Q(first_raised_at__lt=at) | Q(first_raised_at=at, pk__lt=pk)
    same_state = Q(is_raised=bool(is_raised)) & (Q(rank__lt=rank) | Q(rank=rank) & same_rank)
    return same_state | Q(is_raised=False) if is_raised else same_state


def _after_closed(cursor: str) -> Q:
    micros, pk = _numbers(cursor, 2)
    at = _moment(micros)
    return Q(closed_at__lt=at) | Q(closed_at=at, pk__lt=pk)


def _numbers(cursor: str, count: int) -> list[int]:
    parts = cursor.split(".")
    numbers = numbers_of(parts)
    if not len(parts) == len(numbers) == count:
        raise Invalid(said("not a place in this list"), path="after", code="INVALID_CURSOR")
    return numbers


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError as error:
        raise Invalid(said("not a place in this list"), path="after", code="INVALID_CURSOR") from error
