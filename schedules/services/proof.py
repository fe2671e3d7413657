"""The slots of plans that Voke carries, proven by measurement with the rules of `dispatch.verification`.

A slot that we carry has the proof of its command. One that Voke's own schedule carries has a row of its own, made when
the schedules are created. It was in force from its start, or from when its schedule reached Voke, until its end or
until something beat it: an override, an emergency, a mode, the schedule of the version that took its place, a
cancellation. A schedule that was made anew goes on for the one that came to nothing.

Edge cases (the concurrency policy): those of `dispatch.services.grading`. Opening is repeatable: a slot that has its
row keeps it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet

from dispatch.models import Proof
from dispatch.policy import Policy
from dispatch.services.bulk import Among
from dispatch.services.grading import Before, Case, MeasuringRules, judge_cases, not_in_force, settle
from dispatch.targets import targets_of
from dispatch.verification import Aim, ProofRules, Target, Window, in_force, rank_of, window_of
from schedules.models import PlanSlot, PlanVersion, SlotProof, VokeSchedule
from vcp import Direction, SetpointType

BATCH = 1000


def open_slot_proofs(version: PlanVersion, *, at: datetime, policy: Policy) -> None:
    """Note that the slots of a version that are not over will be judged; call when its schedules are created."""
    slots = PlanSlot.objects.filter(version=version, end_at__gt=at).order_by("start_at")
    SlotProof.objects.bulk_create(
        (
            SlotProof(slot_id=pk, due_at=end_at + policy.proof.grace)
            for pk, end_at in slots.values_list("pk", "end_at")
        ),
        ignore_conflicts=True,
        batch_size=BATCH,
    )


def prove_slots_due(*, at: datetime, rules: MeasuringRules, limit: int = BATCH) -> int:
    """Tick: judge a batch of slots that are due, then one of those that late measurements may have changed.

    Answers how many rows the larger of the two had; call again while it answers `limit`.
    """
    rows = SlotProof.objects.all()
    due = _read(rows.filter(verdict=Proof.PENDING, due_at__lte=at).order_by("due_at", "pk")[:limit])
    again = _read(rows.filter(again_at__lte=at).order_by("again_at", "pk")[:limit])
    for part in (due, *_by_age(again)):
        _judge(part, at=at, rules=rules)
    return max(len(due), len(again))


class _Row(NamedTuple):
    """In the order of `_READ`."""

    key: int
    verdict: str
    looks: int
    samples: int
    first_verdict: str
    plant_id: int
    version_id: int
    start_at: datetime
    end_at: datetime
    type: str
    value: float
    direction: str
    include_consumption: bool
    priority: str

    @property
    def before(self) -> Before:
        return Before(self.key, self.verdict, self.looks, self.samples, self.first_verdict)

    @property
    def aim(self) -> Aim:
        sign = 1.0 if self.direction == Direction.IMPORT.value else -1.0
        whole = self.end_at - self.start_at
        return Aim(
            value=sign * self.value,
            interval=whole if self.type == SetpointType.ENERGY.value else None,
            own=not self.include_consumption,
        )


_READ = (
    "slot_id", "verdict", "looks", "samples", "first_verdict", "slot__version__plan__plant_id", "slot__version_id",
    "slot__start_at", "slot__end_at", "slot__type", "slot__value", "slot__direction", "slot__include_consumption",
    "slot__priority",
)  # fmt: skip


def _read(rows: "QuerySet[SlotProof]") -> list[_Row]:
    return [_Row(*row) for row in rows.values_list(*_READ)]


def _by_age(rows: Sequence[_Row]) -> Iterable[list[_Row]]:
    """What was looked at as often is about as old: what is read around a part reaches no farther than it must."""
    parts: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        parts[row.looks].append(row)
    return parts.values()


def _judge(rows: Sequence[_Row], *, at: datetime, rules: MeasuringRules) -> None:
    if not rows:
        return
    windows = _windows(rows, rules.proof)
    cases = [Case(row.key, row.plant_id, row.aim, windows[row.key]) for row in rows if row.key in windows]
    judged = {outcome.key: outcome for outcome in judge_cases(cases=cases, rules=rules)}
    outcomes = [(row.before, judged.get(row.key, not_in_force(row.key))) for row in rows]
    settle(SlotProof, outcomes=outcomes, at=at, rules=rules.proof)


def _windows(rows: Sequence[_Row], rules: ProofRules) -> dict[int, Window]:
    """What is judged of each slot that was in force for long enough."""
    creating = _creating({row.version_id for row in rows})
    targets = targets_of(
        plant_ids={row.plant_id for row in rows},
        low=min(row.start_at for row in rows),
        high=max(row.end_at for row in rows),
    )
    found = {}
    for row in rows:
        own = creating.get(row.version_id, frozenset())
        around = targets.get(row.plant_id, [])
        mine = _as_target(row, [one for one in around if one.order in own])
        if mine is None:
            continue
        force = in_force(mine, (one for one in around if one.order not in own))
        window = window_of(row.aim, row.start_at, force, rules)
        if window is not None:
            found[row.key] = window
    return found


def _creating(version_ids: set[int]) -> Mapping[int, frozenset[int]]:
    """By version the commands that created its schedules, those that were made anew too."""
    found: dict[int, set[int]] = defaultdict(set)
    rows = VokeSchedule.objects.filter(Among(version_ids, of="version_id"), create_command__isnull=False)
    for version_id, command_id in rows.values_list("version_id", "create_command_id"):
        if command_id is not None:
            found[version_id].add(command_id)
    return {version_id: frozenset(ids) for version_id, ids in found.items()}


def _as_target(row: _Row, own: Sequence[Target]) -> Target | None:
    """The slot as its schedules had it; None = none of them reached Voke with it."""
    parts = [one for one in own if row.start_at <= one.begins_at < row.end_at]
    if not parts:
        return None
    return Target(
        order=max(one.order for one in parts),
        rank=rank_of(row.priority),
        asked_at=row.start_at,
        begins_at=min(one.begins_at for one in parts),
        ends_at=max(one.ends_at or row.end_at for one in parts),
    )
