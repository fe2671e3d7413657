"""The schedules' list: plants x days, read for one page at a time in a number of statements that does not grow.

A cell tells of the version in force on that day, of the draft beside it, of what the last check found, and of what
became of the slots that have begun. A slot with several turns counts once for each thing that became of it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.urls import reverse

from console.plans.page import found_in
from dispatch.models import Proof
from dispatch.services.bulk import Among
from plants.models import Organisation, Plant
from schedules.models import IN_FORCE, OPEN, PlanSlot, PlanState, PlanVersion, RunState, SlotProof, SlotRun

PAGE = 50
COUNTED = 100
DAYS = 5
_OFF = (Proof.OFF_TARGET, Proof.NO_DATA)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the address asks for. `first`: the leftmost day; `after`: the last plant of the page before."""

    words: str = ""
    show: str = "all"
    first: date
    after: int | None = None


@dataclass(kw_only=True)
class Cell:
    """One plant's day."""

    day: date
    url: str = ""
    in_force: PlanVersion | None = None
    draft: PlanVersion | None = None
    slots: int = 0
    ended: dict[str, int] = field(default_factory=dict)

    @property
    def conflicts(self) -> int:
        """Errors that the last check of the draft found."""
        return 0 if self.draft is None else found_in(self.draft)[0]

    @property
    def warnings(self) -> int:
        """Warnings that the last check of the draft found."""
        return 0 if self.draft is None else found_in(self.draft)[1]

    def bar(self) -> list[tuple[str, float, float]]:
        """(family, from, width) in percent of the day's slots: well done, in doubt, failed."""
        families = (("ok", "verified"), ("doubt", "doubt"), ("fail", "missed"), ("move", "sent"))
        whole = max(self.slots, sum(self.ended.values()))
        parts, x = [], 0.0
        for family, word in families:
            share = 100 * self.ended.get(word, 0) / whole if whole else 0.0
            if share:
                parts.append((family, round(x, 2), round(share, 2)))
                x += share
        return parts


@dataclass(frozen=True, kw_only=True)
class Line:
    """One plant with its cells, in the order of the days."""

    plant: Plant
    cells: Sequence[Cell]


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page; `more`: the last plant when others follow."""

    lines: Sequence[Line]
    more: int | None


def days_of(first: date) -> list[date]:
    """The days of the list from the leftmost on."""
    return [first + timedelta(days=number) for number in range(DAYS)]


def page_of(organisation: Organisation, asked: Asked, *, today: date, at: datetime) -> Page:
    """The plants of a page and what is planned for them; eight statements at most."""
    rows = _shown(_named(organisation, asked), asked, today)
    last = None if asked.after is None else organisation.plants.filter(pk=asked.after).first()
    if last is not None:
        rows = rows.filter(Q(name__gt=last.name) | Q(name=last.name, pk__gt=last.pk))
    plants = list(rows.order_by("name", "pk")[: PAGE + 1])
    shown = plants[:PAGE]
    cells = _cells(shown, days_of(asked.first), at=at)
    return Page(
        lines=[Line(plant=plant, cells=cells[plant.pk]) for plant in shown],
        more=shown[-1].pk if len(plants) > PAGE else None,
    )


def _named(organisation: Organisation, asked: Asked) -> "QuerySet[Plant]":
    rows = organisation.plants.all()
    if asked.words:
        rows = rows.filter(Q(name__icontains=asked.words) | Q(external_plant_id__icontains=asked.words))
    return rows


def _versions(days: Sequence[date], **more: object) -> "QuerySet[PlanVersion]":
    return PlanVersion.objects.filter(
        plan__plant=OuterRef("pk"), plan__day__range=(days[0], days[-1]), **more
    ).order_by()


def _shown(rows: "QuerySet[Plant]", asked: Asked, today: date) -> "QuerySet[Plant]":
    return narrowed(rows, asked.show, days=days_of(asked.first), today=today)


def narrowed(rows: "QuerySet[Plant]", show: str, *, days: Sequence[date], today: date) -> "QuerySet[Plant]":
    """Plants that a view is about: `unplanned` tomorrow, `drafts`, `conflicts`, `off`; any other word = all."""
    tomorrow = [today + timedelta(days=1)]
    match show:
        case "unplanned":
            planned = _versions(tomorrow, state__in=[*OPEN, *IN_FORCE])
            return rows.filter(~Exists(planned), dispatch_enabled=True)
        case "drafts":
            return rows.filter(Exists(_versions(days, state__in=OPEN)))
        case "conflicts":
            open_ones = _versions(days, state=PlanState.DRAFT)
            return rows.filter(Exists(open_ones.exclude(problems=[])))
        case "off":
            runs = SlotRun.objects.filter(
                plant=OuterRef("pk"), slot__version__plan__day__range=(days[0], days[-1])
            ).order_by()
            bad = Q(state=RunState.MISSED) | Q(command__verification__verdict__in=_OFF)
            return rows.filter(Exists(runs.filter(bad)))
    return rows


def counts_of(organisation: Organisation, *, first: date, today: date) -> dict[str, int]:
    """How many plants each view is about, up to `COUNTED`; four statements."""
    days = days_of(first)
    found = {}
    for show in ("unplanned", "drafts", "conflicts", "off"):
        rows = narrowed(organisation.plants.all(), show, days=days, today=today)
        found[show] = rows.order_by()[:COUNTED].count()
    return found


def _cells(plants: Sequence[Plant], days: Sequence[date], *, at: datetime) -> dict[int, list[Cell]]:
    # One reversal for the page: fifty plants have 250 days.
    path = reverse("console:plans:day", args=[0, "day"])
    found = {plant.pk: {day: Cell(day=day, url=_url(path, plant, day)) for day in days} for plant in plants}
    versions = PlanVersion.objects.filter(
        Among(list(found), of="plan__plant_id"),
        plan__day__range=(days[0], days[-1]),
        state__in=[*OPEN, *IN_FORCE],
    ).select_related("plan")
    by_version: dict[int, Cell] = {}
    for version in versions.order_by("number"):
        cell = found[version.plan.plant_id][version.plan.day]
        if version.state in OPEN:
            cell.draft = version
        else:
            cell.in_force = version
    for cells in found.values():
        for cell in cells.values():
            speaks = cell.in_force or cell.draft
            if speaks is not None:
                by_version[speaks.pk] = cell
    _count_slots(by_version)
    _count_ended({pk: cell for pk, cell in by_version.items() if cell.in_force is not None}, at=at)
    return {pk: list(cells.values()) for pk, cells in found.items()}


def _url(path: str, plant: Plant, day: date) -> str:
    return path.replace("/0/", f"/{plant.pk}/").replace("/day/", f"/{day}/")


def _count_slots(cells: dict[int, Cell]) -> None:
    if not cells:
        return
    rows = PlanSlot.objects.filter(Among(list(cells), of="version_id")).order_by()
    for version_id, count in rows.values_list("version_id").annotate(Count("pk")):
        cells[version_id].slots = count


def _count_ended(cells: dict[int, Cell], *, at: datetime) -> None:
    """What became of the slots that have begun."""
    begun = {pk: cell for pk, cell in cells.items() if cell.day <= (at + timedelta(hours=14)).date()}
    if not begun:
        return
    runs = SlotRun.objects.filter(Among(list(begun), of="slot__version_id"), slot__start_at__lte=at)
    counted: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    ours = runs.order_by().values_list("slot__version_id", "state", "command__verification__verdict")
    for version_id, state, verdict, count in ours.annotate(n=Count("slot_id", distinct=True)):
        counted[version_id][_word(state, verdict)] += count
    proofs = SlotProof.objects.filter(Among(list(begun), of="slot__version_id"), slot__start_at__lte=at)
    theirs = proofs.order_by().values_list("slot__version_id", "verdict").annotate(n=Count("pk"))
    for version_id, verdict, count in theirs:
        counted[version_id][_word(RunState.COMMANDED, verdict)] += count
    for version_id, words in counted.items():
        begun[version_id].ended = {word: count for word, count in words.items() if word}


def _word(state: str, verdict: str | None) -> str:
    if verdict == Proof.VERIFIED:
        return "verified"
    if verdict in _OFF:
        return "doubt"
    if state == RunState.MISSED:
        return "missed"
    if state == RunState.PREEMPTED:
        return "pre-empted"
    return "sent" if state == RunState.COMMANDED else ""


def matching(organisation: Organisation, words: str, *, most: int = 20) -> Sequence[Plant]:
    """Plants by id or a part of the name, an exact id alone."""
    rows = organisation.plants.order_by("name", "pk")
    exact = list(rows.filter(external_plant_id=words)[:1])
    return exact or list(rows.filter(Q(name__icontains=words) | Q(external_plant_id__icontains=words))[:most])
