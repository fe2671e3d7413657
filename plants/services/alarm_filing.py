"""Filing of alarms into cases: the same problem raised again within a while is one row of the inbox, not many.

- The same problem: same plant (or connection, where it is about no plant), origin, code and device.
- A raise joins the problem's current case while any alarm of it stands, or when no more than the window lies between
  them; a later one begins a new case. One that was closed by a person is not opened again: a new one begins.
- Each raise is an occurrence, known by its alarm and its instant: the order and number of the messages change nothing.
- What grows worse than it was when somebody acknowledged it is to be acknowledged again.

Edge cases (the concurrency policy): callers hold the locks of their alarms. New cases are inserted in order of their
keys (ON CONFLICT DO NOTHING) before any is locked, then all are locked in order of their ids; who waited and finds that
the case was closed or left behind meanwhile looks again. People lock one case and no alarm.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max, Q

from live import Announcement, Topic, announce_many
from plants.models import Alarm, AlarmCase, AlarmNote, AlarmOccurrence
from plants.severity import rank_of

_ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class Told:
    """One raise of an alarm as a message told it; `cleared_at` None = not cleared as far as the message knows.

    `alarm` is the stored row, after the message was applied.
    """

    alarm: Alarm
    organisation_id: int | None
    raised_at: datetime
    cleared_at: datetime | None


_Place = tuple[int, datetime]


def fold_key(*, organisation_id: int | None, alarm: Alarm) -> str:
    """What alarms of the same problem share."""
    place = f"plant:{alarm.plant_id}" if alarm.plant_id else f"connection:{alarm.connection_id or ''}"
    parts = (str(organisation_id or ""), place, str(alarm.origin), alarm.code, alarm.device_id)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def file_alarms(*, told: Sequence[Told], at: datetime) -> list[AlarmCase]:
    """Put what was told where it belongs; answers the cases as they are now. Call within the alarms' transaction.

    A constant number of statements for any number of messages.
    """
    if not told:
        return []
    known = _known(told)
    fresh = _fresh(told, known)
    keys = {one.alarm.pk: fold_key(organisation_id=one.organisation_id, alarm=one.alarm) for one in told}
    cases = _locked_cases(fresh, keys, {row.case_id for row in known.values()})
    filed = _file(fresh, keys, cases, at)
    _clear_known(told, known)
    touched = filed | {row.case_id for row in known.values()}
    return _bring_up_to_date([case for case in cases.values() if case.pk in touched], at)


def _known(told: Sequence[Told]) -> dict[_Place, AlarmOccurrence]:
    rows = AlarmOccurrence.objects.filter(
        alarm_id__in={one.alarm.pk for one in told}, raised_at__in={one.raised_at for one in told}
    )
    return {(row.alarm_id, row.raised_at): row for row in rows}


def _fresh(told: Sequence[Told], known: Mapping[_Place, AlarmOccurrence]) -> list[Told]:
    """Raises that were not heard of, each once with the latest clear that was told of it, in order of time."""
    best: dict[_Place, Told] = {}
    for one in told:
        place = (one.alarm.pk, one.raised_at)
        if place in known:
            continue
        other = best.get(place)
        if other is None or (one.cleared_at or one.raised_at) > (other.cleared_at or other.raised_at):
            best[place] = one
    return sorted(best.values(), key=lambda one: (one.raised_at, one.alarm.pk))


def _locked_cases(
    fresh: Sequence[Told], keys: Mapping[int, str], known_ids: Iterable[int]
) -> dict[int, AlarmCase]:
    """The cases concerned, by id: of what is known, and the current one of every key of something new."""
    first: dict[str, Told] = {}
    for one in fresh:
        first.setdefault(keys[one.alarm.pk], one)
    wanted = Q(pk__in=set(known_ids)) | Q(fold_key__in=set(first), is_current=True)
    current = AlarmCase.objects.filter(fold_key__in=set(first), is_current=True)
    missing = set(first) - set(current.values_list("fold_key", flat=True)) if first else set()
    for _ in range(_ROUNDS):
        if missing:
            rows = [_case(key, first[key]) for key in sorted(missing)]
            AlarmCase.objects.bulk_create(rows, ignore_conflicts=True)
        locked = AlarmCase.objects.select_for_update(of=("self",)).filter(wanted).order_by("pk")
        cases = {case.pk: case for case in locked}
        missing = set(first) - {case.fold_key for case in cases.values() if case.is_current}
        if not missing:
            return cases
    raise RuntimeError("cases of alarms are closed faster than they are made")


def _case(key: str, one: Told) -> AlarmCase:
    alarm = one.alarm
    return AlarmCase(
        organisation_id=one.organisation_id,
        plant_id=alarm.plant_id,
        connection_id=None if alarm.plant_id else alarm.connection_id,
        origin=alarm.origin,
        code=alarm.code,
        device_id=alarm.device_id,
        fold_key=key,
        severity=alarm.severity,
        rank=rank_of(alarm.severity),
        first_raised_at=one.raised_at,
        last_raised_at=one.raised_at,
    )


# --- where a raise belongs --------------------------------------------------------------------------------------------


def _file(
    fresh: Sequence[Told], keys: Mapping[int, str], cases: dict[int, AlarmCase], at: datetime
) -> set[int]:
    """Store new raises with their cases; answers the ids of the cases. `cases` gains those that begin."""
    current = {case.fold_key: case for case in cases.values() if case.is_current}
    stood = {case.pk: case.standing > 0 for case in cases.values()}
    rows: list[AlarmOccurrence] = []
    latest: dict[int, tuple[datetime, AlarmCase]] = {}
    for one in fresh:
        key = keys[one.alarm.pk]
        case = current[key]
        if not _joins(case, one, stood=stood[case.pk]):
            case = _begin_anew(case, key, one)
            current[key], cases[case.pk] = case, case
        stood[case.pk] = stood.get(case.pk, False) or one.cleared_at is None
        _count(case, one)
        latest[one.alarm.pk] = (one.raised_at, case)
        rows.append(
            AlarmOccurrence(
                case=case,
                alarm=one.alarm,
                raised_at=one.raised_at,
                cleared_at=one.cleared_at,
                severity=one.alarm.severity,
            )
        )
    if rows:
        AlarmOccurrence.objects.bulk_create(rows)
    _move_alarms(fresh, latest)
    return {row.case_id for row in rows}


def _joins(case: AlarmCase, one: Told, *, stood: bool) -> bool:
    """Whether a raise belongs to the current case. A word that comes late does not begin a newer one."""
    if case.occurrences == 0 or one.raised_at <= case.last_raised_at:
        return True
    until = max(case.last_raised_at, case.cleared_at or case.last_raised_at)
    return stood or one.raised_at <= until + timedelta(minutes=settings.ALARM_FLAP_MIN)


def _begin_anew(case: AlarmCase, key: str, one: Told) -> AlarmCase:
    """The old case is left behind as it is; whoever waits for its lock finds the new one."""
    case.is_current = False
    AlarmCase.objects.filter(pk=case.pk).update(is_current=False)
    anew = _case(key, one)
    anew.previous = case
    anew.save(force_insert=True)
    return anew


def _count(case: AlarmCase, one: Told) -> None:
    case.occurrences += 1
    case.first_raised_at = min(case.first_raised_at, one.raised_at)
    if one.raised_at >= case.last_raised_at or case.latest_id is None:
        case.last_raised_at, case.latest = max(case.last_raised_at, one.raised_at), one.alarm
    if one.cleared_at is not None:  # the next raise of the same batch is measured from it
        case.cleared_at = max(case.cleared_at or one.cleared_at, one.cleared_at)


def _move_alarms(fresh: Sequence[Told], latest: Mapping[int, tuple[datetime, AlarmCase]]) -> None:
    """An alarm belongs to the case of its newest raise."""
    moved: list[Alarm] = []
    for one in fresh:
        raised_at, case = latest[one.alarm.pk]
        if one.raised_at == raised_at == one.alarm.raised_at and one.alarm.case_id != case.pk:
            one.alarm.case = case
            moved.append(one.alarm)
    if moved:
        Alarm.objects.bulk_update(moved, ["case"])


def _clear_known(told: Sequence[Told], known: Mapping[_Place, AlarmOccurrence]) -> None:
    changed: dict[int, AlarmOccurrence] = {}
    for one in told:
        row = known.get((one.alarm.pk, one.raised_at))
        if row is None or one.cleared_at is None:
            continue
        if row.cleared_at is None or one.cleared_at > row.cleared_at:
            row.cleared_at = one.cleared_at
            changed[row.pk] = row
    if changed:
        AlarmOccurrence.objects.bulk_update([changed[pk] for pk in sorted(changed)], ["cleared_at"])


# --- what a case shows ------------------------------------------------------------------------------------------------

_WRITTEN = (
    "severity", "rank", "is_raised", "standing", "occurrences", "first_raised_at", "last_raised_at", "cleared_at",
    "latest", "acknowledged_at", "acknowledged_by", "acknowledged_rank",
)  # fmt: skip


def _bring_up_to_date(cases: Sequence[AlarmCase], at: datetime) -> list[AlarmCase]:
    rows = Alarm.objects.filter(case__in=cases).order_by().values_list("case_id", "severity")
    raised: dict[int, Counter[str]] = defaultdict(Counter)
    ended: dict[int, datetime] = {}
    counted = rows.annotate(
        standing=Count("pk", filter=Q(cleared_at__isnull=True)), ended_at=Max("cleared_at")
    )
    for case_id, severity, number, ended_at in counted:
        if number:
            raised[case_id][severity] += number
        if ended_at is not None:
            ended[case_id] = max(ended_at, ended.get(case_id, ended_at))
    stood = {case.pk: case.standing > 0 for case in cases}
    notes = [
        note for case in cases if (note := _judge(case, raised[case.pk], ended.get(case.pk), at)) is not None
    ]
    AlarmCase.objects.bulk_update(cases, _WRITTEN)
    if notes:
        AlarmNote.objects.bulk_create(notes)
    tell_screens(cases=[(case, _word(stood[case.pk], case)) for case in cases], at=at)
    return list(cases)


def _word(stood: bool, case: AlarmCase) -> str:
    if stood == case.is_raised:
        return "changed"
    return "raised" if case.is_raised else "cleared"


def tell_screens(*, cases: Sequence[tuple[AlarmCase, str]], at: datetime) -> None:
    """Tell open pages of an organisation what became of its cases; those of the installation are nobody's to hear."""
    announce_many(
        [
            Announcement(
                organisation_id=case.organisation_id,
                topic=Topic.ALARM,
                key=str(case.pk),
                data={
                    "id": case.pk,
                    "plant": case.plant_id,
                    "severity": case.severity,
                    "code": case.code,
                    "word": word,
                },
                at=at,
                plant_id=case.plant_id,
            )
            for case, word in cases
            if case.organisation_id is not None
        ]
    )


def _judge(
    case: AlarmCase, raised: Mapping[str, int], ended_at: datetime | None, at: datetime
) -> AlarmNote | None:
    """What stands decides how bad it is; where nothing does, it stays as it was last."""
    before = case.severity, case.rank
    case.standing = sum(raised.values())
    case.is_raised = case.standing > 0
    case.cleared_at = None if case.is_raised else ended_at
    if case.is_raised:
        case.severity = max(raised, key=lambda severity: (rank_of(severity), severity))
        case.rank = rank_of(case.severity)
    if case.acknowledged_rank is None or case.rank <= case.acknowledged_rank:
        return None
    case.acknowledged_at = case.acknowledged_by = case.acknowledged_rank = None
    return AlarmNote(
        case=case,
        word=AlarmNote.Word.WORSENED,
        data={"from": before[0], "to": case.severity},
        at=at,
    )
