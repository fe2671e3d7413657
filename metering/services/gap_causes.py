"""Why readings are missing: each gap is judged when it is found, and once more when it has ended.

The evidence is the journal of link states (`plants.services.link_spans`) and whether other plants of the connection
were heard meanwhile. Gaps that begin and end within the same minutes share the second question.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from metering.gap_rules import Evidence, Stretch, Verdict, link_verdict, verdict
from metering.models import Gap, MeterSeen, Stream
from plants.models import Connection, LinkHealth, LinkSpan, MeterReading, Plant, PlantState, TelemetryReading

PAGE = 1000
SPANS_READ = 20_000
PLANTS_ASKED = 20
_LATE = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


def judge_gaps(*, at: datetime, spent: Callable[[], bool]) -> int:
    """Say why of gaps that were not judged yet, oldest rows first, at least a page; answers how many."""
    judged = 0
    unjudged = Gap.objects.filter(cause_detail="").select_related("plant").order_by("pk")
    while page := list(unjudged[:PAGE]):
        verdicts = _verdicts(page, at=at)
        for gap, found in zip(page, verdicts, strict=True):
            gap.cause, gap.cause_detail = found.cause, found.detail[:400]
        for found in set(verdicts):
            ids = [gap.pk for gap, one in zip(page, verdicts, strict=True) if one == found]
            Gap.objects.filter(pk__in=ids).update(cause=found.cause, cause_detail=found.detail[:400])
        judged += len(page)
        if spent():
            break
    return judged


def _verdicts(gaps: Sequence[Gap], *, at: datetime) -> list[Verdict]:
    journal = _Journal.of(gaps, at=at)
    others = _Others()
    found = []
    for gap in gaps:
        link = gap.plant.connection_id
        if link is None:
            detail = "The plant belongs to no connection now."
            found.append(Verdict(cause=Gap.Cause.UNKNOWN, detail=detail))
            continue
        evidence = journal.evidence(link, gap, at=at)
        ours = link_verdict(evidence)
        found.append(ours or verdict(others.added_to(evidence, link, gap)))
    return found


@dataclass(kw_only=True)
class _Journal:
    """The journal of the connections of some gaps: their own spans and those of the connections they took over from."""

    spans: dict[int, list[Stretch]]
    begins: dict[int, datetime | None]

    @classmethod
    def of(cls, gaps: Sequence[Gap], *, at: datetime) -> "_Journal":
        links = {gap.plant.connection_id for gap in gaps if gap.plant.connection_id is not None}
        low, high = min(gap.from_at for gap in gaps), max(gap.to_at or at for gap in gaps)
        heirs = {link: [link] for link in links}
        taken_over = Connection.objects.filter(succeeded_by__in=links).values_list("pk", "succeeded_by_id")
        for pk, heir in taken_over:
            heirs.setdefault(pk, []).append(heir)
        told = LinkSpan.objects.filter(role=LinkHealth.Role.CONSUME, connection_id__in=heirs)
        journal = cls(spans={}, begins={})
        within = told.filter(until_at__gte=low, from_at__lte=high).order_by("-until_at")
        rows = list(within.values_list("connection_id", "state", "from_at", "until_at")[:SPANS_READ])
        # Of what lies before the oldest one that was read we know nothing: silence there would be no evidence.
        known_from = rows[-1][3] if len(rows) == SPANS_READ else None
        for pk, state, from_at, until_at in rows:
            for link in heirs[pk]:
                journal.spans.setdefault(link, []).append(
                    Stretch(state=state, from_at=from_at, until_at=until_at)
                )
        for pk, owners in heirs.items():
            first = (
                told.filter(connection_id=pk).order_by("until_at").values_list("from_at", flat=True).first()
            )
            if first is not None and known_from is not None:
                first = max(first, known_from)
            for link in owners:
                known = [moment for moment in (journal.begins.get(link), first) if moment is not None]
                journal.begins[link] = min(known, default=None)
        return journal

    def evidence(self, link: int, gap: Gap, *, at: datetime) -> Evidence:
        """What the journal tells of a gap's time."""
        return Evidence(
            from_at=gap.from_at,
            to_at=gap.to_at or max(at, gap.from_at + timedelta(seconds=1)),
            journal_from=self.begins.get(link),
            stretches=self.spans.get(link, ()),
            others=0,
            heard=False,
        )


@dataclass(kw_only=True)
class _Others:
    """Whether other plants of a connection were heard in a time; the same question is asked once."""

    _heard: dict[tuple[int, str, datetime, datetime], bool] = field(default_factory=dict)
    _plants: dict[int, int] = field(default_factory=dict)

    def added_to(self, evidence: Evidence, link: int, gap: Gap) -> Evidence:
        """The evidence with what is known of the other plants."""
        low = gap.from_at + timedelta(seconds=gap.expected_period_s)
        window = _minutes(low, evidence.to_at)
        key = (link, gap.stream, *window)
        if key not in self._heard:
            self._heard[key] = _was_heard(link, Stream(gap.stream), *window)
        if link not in self._plants:
            self._plants[link] = Plant.objects.filter(connection_id=link).count()
        return Evidence(
            from_at=evidence.from_at,
            to_at=evidence.to_at,
            journal_from=evidence.journal_from,
            stretches=evidence.stretches,
            others=max(0, self._plants[link] - 1),
            heard=self._heard[key],
        )


def _minutes(low: datetime, high: datetime) -> tuple[datetime, datetime]:
    """The whole minutes within, so that many gaps share them; the time itself where there are none."""
    first = low.replace(second=0, microsecond=0) + _MINUTE
    last = high.replace(second=0, microsecond=0)
    return (first, last) if first < last else (low, high)


def _was_heard(link: int, stream: Stream, low: datetime, high: datetime) -> bool:
    """Whether a reading of any plant of the connection arrived then; at most `PLANTS_ASKED` are asked."""
    silent = Gap.objects.filter(
        Q(to_at__isnull=True) | Q(to_at__gte=high), plant=OuterRef("plant"), stream=stream, from_at__lte=low
    )
    asked = {"plant__connection_id": link}
    if stream == Stream.REALTIME:
        states = PlantState.objects.filter(~Exists(silent), measured_at__gt=low, **asked)
        plants = list(states.order_by("plant_id").values_list("plant_id", flat=True)[:PLANTS_ASKED])
        rows = TelemetryReading.objects.filter(measured_at__gte=low - _LATE, measured_at__lte=high + _LATE)
        return rows.filter(plant_id__in=plants, received_at__gt=low, received_at__lte=high).exists()
    meters = MeterSeen.objects.filter(~Exists(silent), reading_at__gt=low, **asked)
    plants = list(meters.order_by("plant_id").values_list("plant_id", flat=True).distinct()[:PLANTS_ASKED])
    readings = MeterReading.objects.filter(reading_at__gte=low - _LATE, reading_at__lte=high + _LATE)
    return readings.filter(plant_id__in=plants, received_at__gt=low, received_at__lte=high).exists()
