"""What a virtual day came to, counted from the tables of both sides."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from dispatch.models import OutboundMessage, Outcome, Proof
from schedules.models import IN_FORCE, PlanSlot, RunState, SlotRun, VokeSchedule
from schedules.selectors.proof import verdicts_of


@dataclass(frozen=True, kw_only=True)
class SlotTally:
    """The slots of a day's published plans by what became of them, whoever carried them.

    `commanded`: a target reached Voke for it. `verified`, `off_target`, `no_data`, `not_in_force`: what the measurement
    said of its targets; one that was off makes the slot off. `preempted`, `missed`: it ended without a target.
    """

    slots: int
    commanded: int
    verified: int
    off_target: int
    no_data: int
    not_in_force: int
    preempted: int
    missed: int


def tally_slots(*, organisation_id: int, day: date, plants: Iterable[str] = ()) -> SlotTally:
    """Count the slots of the plans of one local day; `plants`: external ids, none = all."""
    slots = PlanSlot.objects.filter(
        version__plan__organisation_id=organisation_id,
        version__plan__day=day,
        version__state__in=IN_FORCE,
    )
    names = list(plants)
    if names:
        slots = slots.filter(version__plan__plant__external_plant_id__in=names)
    version_of = dict(slots.order_by("pk").values_list("pk", "version_id"))
    states, sent = _by_us(version_of)
    verdicts = verdicts_of(version_ids=set(version_of.values()))
    accepted = VokeSchedule.objects.filter(version__in=set(version_of.values()), accepted_at__isnull=False)
    at_voke = set(accepted.values_list("version_id", flat=True))
    commanded = {slot_id for slot_id, version_id in version_of.items() if version_id in at_voke} | sent
    proofs = Counter(verdicts.values())
    ended = Counter(states[slot_id] for slot_id in version_of if slot_id not in sent and slot_id in states)
    return SlotTally(
        slots=len(version_of),
        commanded=len(commanded),
        verified=proofs[Proof.VERIFIED],
        off_target=proofs[Proof.OFF_TARGET],
        no_data=proofs[Proof.NO_DATA],
        not_in_force=proofs[Proof.NOT_IN_FORCE],
        preempted=ended[RunState.PREEMPTED],
        missed=ended[RunState.MISSED],
    )


def _by_us(slots: Mapping[int, int]) -> tuple[dict[int, str], set[int]]:
    """Of the slots that we carried: the state of the last turn, and those for which something was sent."""
    states: dict[int, str] = {}
    sent: set[int] = set()
    version_ids = set(slots.values())
    runs = SlotRun.objects.filter(slot__version__in=version_ids).order_by("slot_id", "turn")
    delivered = OutboundMessage.objects.filter(
        command__in=runs.filter(command__isnull=False).values("command"), outcome=Outcome.CONFIRMED
    ).order_by()
    reached = set(delivered.values_list("command_id", flat=True))
    for slot_id, state, command_id in runs.values_list("slot_id", "state", "command_id"):
        states[slot_id] = state
        if command_id in reached:
            sent.add(slot_id)
    return states, sent
