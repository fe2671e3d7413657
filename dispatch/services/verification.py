"""Verified by measurement: each site setpoint has a row that is judged when its time and a grace have passed.

The row stands with the command. A command that ends without having reached the site (taken back, pre-empted, expired,
rejected) is NOT_IN_FORCE in the same transaction; what the broker returned or refused waits, because Voke's word may
still correct it. A command without any answer is judged like others: the measurement may be the only word there is.

Late data. A verdict that more measurements could change (NO_DATA, OFF_TARGET) is looked at again some minutes and hours
later, at growing distances (`LOOKS_AGAIN`) until VERIFY_LATE_H is over. Only when there are more measurements than at
the verdict before it is judged anew; what it was first stays told. This asks neither the gap ledger nor ingest: a
backfill may come by whichever way, in parts, and the question costs no more than the first judgement.

Edge cases (the concurrency policy):
- Rows are written as `dispatch.services.grading` says: two ticks at once write each verdict once.
- A command is pre-empted while it is judged: whoever comes second finds the row changed and leaves it. A verdict that
  was written first stays; it can only be of the time before.
- A tick that dies in between has written whole batches; the rest is still due.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import QuerySet

from dispatch.models import CommandEvent, Proof, Verification
from dispatch.policy import Policy
from dispatch.services.bulk import Among, insert_rows
from dispatch.services.grading import (
    Before,
    Case,
    MeasuringRules,
    judge_cases,
    not_in_force,
    settle,
)
from dispatch.states import NEVER_SENT, State
from dispatch.targets import WITHOUT_EFFECT, reached_at, taken_back_at, targets_of
from dispatch.telling import About, tell_proof
from dispatch.verification import Aim, ProofRules, Target, Window, aim_of, in_force, rank_of, window_of
from vcp import SiteSetpoint

BATCH = 1000
"""Verdicts that are made together, in a constant number of statements."""
ENDS_PROOF = NEVER_SENT | {State.REJECTED}
"""States after which there is nothing to measure."""
_LONG = timedelta(hours=2)
"""Targets that hold longer are judged apart, and so are those that were looked at more often, being older.

What is read around a batch reaches from its earliest to its latest.
"""
_EXECUTION = (State.EXECUTING, State.COMPLETED, State.DEVIATED, State.FAILED)
_COLUMNS = (
    "command_id", "plant_id", "begins_at", "ends_at", "rank", "due_at", "verdict", "unit", "source", "samples",
    "hint", "looks", "first_verdict",
)  # fmt: skip
_NOTHING_YET = (Proof.PENDING.value, "", "", 0, "", 0, "")


class ToProve(NamedTuple):
    """A stored command that asks for a site setpoint. `due_at`: the command's own."""

    command_id: int
    plant_id: int
    payload: SiteSetpoint
    due_at: datetime


def open_verifications(*, setpoints: Sequence[ToProve], policy: Policy) -> None:
    """Note that these will be judged; call within the transaction that stores the commands. One statement."""
    rows = []
    for one in setpoints:
        begins_at = max(one.payload.valid_from, one.due_at)
        ends_at = one.payload.valid_until or begins_at + policy.setpoint_deliver_by
        rank = int(rank_of(one.payload.priority))
        due_at = ends_at + policy.proof.grace
        rows.append((one.command_id, one.plant_id, begins_at, ends_at, rank, due_at, *_NOTHING_YET))
    if rows:
        insert_rows(Verification, _COLUMNS, rows)


def end_unproven(*, command_ids: Collection[int], at: datetime) -> None:
    """These commands ended without having reached the site: nothing will be measured. Call with them locked."""
    Verification.objects.filter(Among(command_ids), verdict=Proof.PENDING).update(
        verdict=Proof.NOT_IN_FORCE, judged_at=at
    )


def verify_due(*, at: datetime, rules: MeasuringRules, limit: int = BATCH) -> int:
    """Tick: judge a batch of what is due, then one of what late measurements may have changed.

    Answers how many rows the larger of the two had; call again while it answers `limit`.
    """
    rows = Verification.objects.select_related(None)
    due = _read(rows.filter(verdict=Proof.PENDING, due_at__lte=at).order_by("due_at", "pk")[:limit])
    again = _read(rows.filter(again_at__lte=at).order_by("again_at", "pk")[:limit])
    for some in (due, again):
        for part in _alike(some):
            _judge(part, at=at, rules=rules)
    return max(len(due), len(again))


class _Row(NamedTuple):
    """In the order of `_READ`."""

    key: int
    plant_id: int
    begins_at: datetime
    ends_at: datetime
    rank: int
    verdict: str
    looks: int
    samples: int
    first_verdict: str
    state: str
    payload: Mapping[str, Any]
    organisation_id: int
    kind: str

    @property
    def before(self) -> Before:
        return Before(self.key, self.verdict, self.looks, self.samples, self.first_verdict)


_READ = (
    "command_id", "plant_id", "begins_at", "ends_at", "rank", "verdict", "looks", "samples", "first_verdict",
    "command__state", "command__payload", "command__organisation_id", "command__kind",
)  # fmt: skip


def _read(rows: "QuerySet[Verification]") -> list[_Row]:
    return [_Row(*row) for row in rows.values_list(*_READ)]


def _alike(rows: Sequence[_Row]) -> Iterable[list[_Row]]:
    """In parts of one length and about one age: a few, however many rows there are."""
    parts: dict[tuple[bool, int], list[_Row]] = defaultdict(list)
    for row in rows:
        parts[(row.ends_at - row.begins_at > _LONG, row.looks)].append(row)
    return parts.values()


def _judge(rows: Sequence[_Row], *, at: datetime, rules: MeasuringRules) -> None:
    windows = _windows(rows, rules.proof)
    cases = [Case(row.key, row.plant_id, *windows[row.key]) for row in rows if row.key in windows]
    judged = {outcome.key: outcome for outcome in judge_cases(cases=cases, rules=rules)}
    outcomes = [(row.before, judged.get(row.key, not_in_force(row.key))) for row in rows]
    if settle(Verification, outcomes=outcomes, at=at, rules=rules.proof):
        whose = {row.key: About(row.plant_id, row.organisation_id, row.kind) for row in rows}
        graded = [
            one for before, one in outcomes if one.grade is not None and one.grade.verdict != before.verdict
        ]
        tell_proof(
            [
                (one.key, whose[one.key], one.grade.verdict, one.grade.off_by)
                for one in graded
                if one.grade is not None
            ],
            at=at,
        )


def _windows(rows: Sequence[_Row], rules: ProofRules) -> dict[int, tuple[Aim, Window]]:
    """What is judged of each that was in force for long enough, by its key."""
    able = [row for row in rows if State(row.state) not in WITHOUT_EFFECT]
    if not able:
        return {}
    ids = [row.key for row in able]
    reached, taken_back, began = reached_at(ids), taken_back_at(ids), _began_at(ids)
    others = targets_of(
        plant_ids={row.plant_id for row in able},
        low=min(row.begins_at for row in able),
        high=max(row.ends_at for row in able),
    )
    found = {}
    for row in able:
        if row.key not in reached:
            continue
        mine = Target(
            order=row.key,
            rank=row.rank,
            asked_at=row.begins_at,
            begins_at=max(row.begins_at, began.get(row.key, reached[row.key])),
            ends_at=min(row.ends_at, taken_back.get(row.key, row.ends_at)),
        )
        aim = aim_of(row.payload)
        force = in_force(mine, (one for one in others.get(row.plant_id, ()) if one.order != row.key))
        window = window_of(aim, row.begins_at, force, rules)
        if window is not None:
            found[row.key] = (aim, window)
    return found


def _began_at(command_ids: Collection[int]) -> dict[int, datetime]:
    """When Voke told of the execution of those that it had kept waiting. One query."""
    words = [State.QUEUED_BY_VOKE, *_EXECUTION]
    rows = CommandEvent.objects.filter(
        Among(command_ids, of="command_id"), word__in=words, verdict="APPLIED", told_at__isnull=False
    ).order_by("pk")
    waited: set[int] = set()
    began: dict[int, datetime] = {}
    for pk, word, told_at in rows.values_list("command_id", "word", "told_at"):
        if word == State.QUEUED_BY_VOKE:
            waited.add(pk)
        elif pk in waited and told_at is not None:
            began.setdefault(pk, told_at)
    return began
