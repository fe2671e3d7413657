"""What Voke's REST says it has of each plant: whom to ask next, what was answered, and where it drifts from ours.

Compared is what was last published and confirmed by the broker, once it had time to arrive. A difference counts when
two looks in a row show it; then an alarm is raised, once, and cleared when a look shows no difference any more.
Interpretation: Voke's pipeline from the broker to its REST has no documented delay; the time to arrive is a setting.

Edge cases (the concurrency policy):
- A question is committed before it is put: two runs at once ask each plant once, and a run that is killed leaves its
  plants to the end of the line, with the answers that they had.
- An answer is kept only while its question is the newest one of the plant: a slow answer never overwrites a later one,
  and the same look never counts twice.
- Reports are locked in order of their plants. An alarm is raised or cleared in the transaction that notes the drift.
- While a newer publication is on its way (or none is confirmed) nothing is compared: what was known stays.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from dispatch.models import Outcome, PublishedSiteConfig, SiteReport
from dispatch.services.bulk import Among
from dispatch.site_config import LOOKS, Wire, drift, words
from plants.errors import Conflict
from plants.models import Alarm, AlarmOrigin, Plant
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from plants.sql import insert_new
from vcp import Family
from vcp.said import Said, joined, said

ALARM_CODE = "SITE_CONFIG_DRIFT"
_NAMED_IN_ALARM = 3


@dataclass(frozen=True, kw_only=True)
class Question:
    """One plant to ask for. `before_at`: when it was asked before; None = never."""

    plant_id: int
    site_id: str
    asked_at: datetime
    before_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a question: the answer in Voke's names, or a code. `config`: as told, None = none."""

    question: Question
    payload: Mapping[str, Any] | None = None
    config: Mapping[Family, Wire | None] | None = None
    error_code: str = ""


def ask_next(
    *,
    connection_id: int,
    at: datetime,
    every: timedelta,
    limit: int,
    among: Collection[int] | None = None,
) -> list[Question]:
    """Questions about the connection's plants that were asked longest ago (at least `every`); they count as asked.

    `among`: only these plants; None = all.
    """
    chosen = Q() if among is None else Q(Among(among))
    plants = (
        Plant.objects.filter(connection_id=connection_id, voke_uuid__isnull=False)
        .filter(chosen, Q(site_report__isnull=True) | Q(site_report__asked_at__lte=at - every))
        .order_by(F("site_report__asked_at").asc(nulls_first=True), "pk")
    )
    with transaction.atomic():
        due = list(plants.values_list("pk", "voke_uuid", "site_report__asked_at")[:limit])
        mine = _take([pk for pk, _, asked_at in due if asked_at is None], at)
        mine |= _retake([pk for pk, _, asked_at in due if asked_at is not None], at, every)
    return [
        Question(plant_id=pk, site_id=str(site_id), asked_at=at, before_at=before_at)
        for pk, site_id, before_at in due
        if pk in mine
    ]


def _take(plant_ids: Sequence[int], at: datetime) -> set[int]:
    if not plant_ids:
        return set()
    rows = [{"plant_id": pk, "asked_at": at, "error_code": "", "drift": []} for pk in sorted(plant_ids)]
    return {pk for (pk,) in insert_new(SiteReport, rows, key=("plant_id",), returning=("plant_id",))}


def _retake(plant_ids: Sequence[int], at: datetime, every: timedelta) -> set[int]:
    if not plant_ids:
        return set()
    rows = SiteReport.objects.select_for_update(skip_locked=True).order_by("plant_id")
    rows = rows.filter(plant_id__in=plant_ids, asked_at__lte=at - every)
    mine = set(rows.values_list("plant_id", flat=True))
    SiteReport.objects.filter(plant_id__in=mine).update(asked_at=at)
    return mine


def ask_now(*, plant: Plant, at: datetime) -> Question:
    """A question about one plant, whenever it was asked before. Raises `Conflict` without its UUID at Voke."""
    if plant.voke_uuid is None:
        raise Conflict(
            said("its UUID at Voke is not known: map the sites first"), path="voke_uuid", code="NOT_MAPPED"
        )
    with transaction.atomic():
        before_at = SiteReport.objects.filter(plant=plant).values_list("asked_at", flat=True).first()
        SiteReport.objects.update_or_create(plant=plant, defaults={"asked_at": at})
    return Question(plant_id=plant.pk, site_id=str(plant.voke_uuid), asked_at=at, before_at=before_at)


def give_back(*, questions: Sequence[Question]) -> None:
    """Questions that were not put after all: their plants keep their place in the line."""
    with transaction.atomic():
        for question in sorted(questions, key=lambda one: one.plant_id):
            rows = SiteReport.objects.filter(plant_id=question.plant_id, asked_at=question.asked_at)
            if question.before_at is None:
                rows.delete()
            else:
                rows.update(asked_at=question.before_at)


def store_answers(*, answers: Sequence[Answer], at: datetime, grace: timedelta) -> list[SiteReport]:
    """Keep answers and what they drift from ours; the reports as they are now, without those that came too late.

    The number of statements does not grow with that of answers, alarms that are raised or cleared apart.
    """
    by_plant = {one.question.plant_id: one for one in answers}
    with transaction.atomic():
        rows = (
            SiteReport.objects.select_for_update(of=("self",))
            .filter(plant_id__in=by_plant)
            .order_by("plant_id")
        )
        reports = [row for row in rows if row.asked_at == by_plant[row.plant_id].question.asked_at]
        ours = _confirmed([row.plant_id for row in reports])
        for report in reports:
            _take_in(report, by_plant[report.plant_id], ours.get(report.plant_id, {}), at=at, grace=grace)
        SiteReport.objects.bulk_update(
            reports, ["answered_at", "error_code", "payload", "drift", "drifted_since"], batch_size=100
        )
        _tell(reports, at)
    return reports


@dataclass(frozen=True, kw_only=True)
class _Published:
    payload: Wire
    confirmed_at: datetime


def _confirmed(plant_ids: Sequence[int]) -> dict[int, dict[Family, _Published | None]]:
    """What Voke's broker took of each plant's current config; None = it has not taken it (yet)."""
    rows = PublishedSiteConfig.objects.filter(plant_id__in=plant_ids, connection=F("plant__connection"))
    found: dict[int, dict[Family, _Published | None]] = {}
    for plant_id, family, payload, outcome, confirmed_at in rows.values_list(
        "plant_id", "family", "version__payload", "message__outcome", "message__outcome_at"
    ):
        published = None
        if payload is not None and outcome == Outcome.CONFIRMED and confirmed_at is not None:
            published = _Published(payload=payload, confirmed_at=confirmed_at)
        found.setdefault(plant_id, {})[Family(family)] = published
    return found


def _take_in(
    report: SiteReport,
    answer: Answer,
    ours: Mapping[Family, _Published | None],
    *,
    at: datetime,
    grace: timedelta,
) -> None:
    report.error_code = answer.error_code[:64]
    if answer.error_code or answer.payload is None:
        return
    report.answered_at, report.payload = at, dict(answer.payload)
    arrived = {
        family: published.payload
        for family, published in ours.items()
        if published is not None and published.confirmed_at <= answer.question.asked_at - grace
    }
    report.drift = _drift_now(report.drift, answer.config or {}, arrived, at=at)
    if not confirmed_drift(report):
        report.drifted_since = None
    elif report.drifted_since is None:
        report.drifted_since = at


def _drift_now(
    known: Sequence[Mapping[str, Any]],
    told: Mapping[Family, Wire | None],
    arrived: Mapping[Family, Wire],
    *,
    at: datetime,
) -> list[dict[str, Any]]:
    """The rows after this look; of families that could not be compared they stay as they were."""
    compared = sorted(arrived.keys() & told.keys())
    rows = [dict(row) for row in known if row.get("family") not in compared]
    before = {(row.get("family"), row.get("field"), row.get("ours")): row for row in known}
    for family in compared:
        for one in drift(family, ours=arrived[family], theirs=told[family]):
            earlier = before.get((family.value, one.field, one.before))
            rows.append(
                {
                    "family": family.value,
                    "field": one.field,
                    "ours": one.before,
                    "theirs": one.after,
                    "since": earlier["since"] if earlier else at.isoformat(),
                    "looks": earlier["looks"] + 1 if earlier else 1,
                }
            )
    return rows


def confirmed_drift(report: SiteReport) -> list[dict[str, Any]]:
    """The differences that enough looks in a row have shown."""
    return [row for row in report.drift if row["looks"] >= LOOKS]


def _tell(reports: Sequence[SiteReport], at: datetime) -> None:
    """The alarms of these plants as their drift is now."""
    drifted = [report for report in reports if report.drifted_since is not None and not report.error_code]
    plants = Plant.objects.in_bulk([report.plant_id for report in drifted])
    for report in drifted:
        raise_platform_alarm(
            connection_id=None,
            plant_id=report.plant_id,
            alarm_id=_alarm_id(report.plant_id),
            severity="WARNING",
            code=ALARM_CODE,
            message=_message(plants[report.plant_id], confirmed_drift(report)),
            at=at,
        )
    raised = Alarm.objects.filter(
        alarm_id__in=[_alarm_id(report.plant_id) for report in reports if report.drifted_since is None],
        connection__isnull=True,
        origin=AlarmOrigin.PLATFORM,
        cleared_at__isnull=True,
    )
    for alarm_id in sorted(raised.values_list("alarm_id", flat=True)):
        clear_platform_alarm(connection_id=None, alarm_id=alarm_id, at=at)


def _alarm_id(plant_id: int) -> str:
    return f"{ALARM_CODE}-{plant_id}"


def _message(plant: Plant, rows: Sequence[Mapping[str, Any]]) -> Said:
    named = joined(
        "; ",
        [
            said(
                "%(field)s ours %(ours)s, Voke's %(theirs)s",
                field=row["field"],
                ours=words(row["ours"]),
                theirs=words(row["theirs"]),
            )
            for row in rows[:_NAMED_IN_ALARM]
        ],
    )
    more = len(rows) - _NAMED_IN_ALARM
    if more > 0:
        named = said("%(names)s and %(count)s more", names=named, count=more)
    return said(
        "Voke has another site config of %(plant)s than was published: %(named)s.",
        plant=str(plant),
        named=named,
    )
