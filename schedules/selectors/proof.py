"""The verdicts on the slots of plans, whoever carried them: our commands' proofs, or those of Voke's slots."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import TypeVar

from dispatch.models import Proof
from dispatch.models.proof import Graded
from dispatch.services.bulk import Among
from schedules.models import SlotProof, SlotRun

_STRONGEST_FIRST = (Proof.PENDING, Proof.OFF_TARGET, Proof.NO_DATA, Proof.VERIFIED, Proof.NOT_IN_FORCE)
"""What is said of a slot that had several turns: VERIFIED only where nothing speaks against it."""
_Proof = TypeVar("_Proof", bound=Graded)


def strongest(proofs: Iterable[_Proof]) -> _Proof | None:
    """The proof that is told of a slot with several targets; the last of those that say the same."""
    told = list(proofs)
    told.reverse()
    return min(told, key=lambda one: _STRONGEST_FIRST.index(Proof(one.verdict)), default=None)


def verdicts_of(*, version_ids: Collection[int]) -> dict[int, Proof]:
    """By slot id, for each slot of these versions that was sent or will be judged: two queries.

    A slot has several verdicts when an override or an emergency came between: then the strongest is told.
    """
    told: dict[int, set[str]] = defaultdict(set)
    ours = SlotRun.objects.filter(
        Among(version_ids, of="slot__version_id"), command__verification__isnull=False
    ).order_by()
    theirs = SlotProof.objects.filter(Among(version_ids, of="slot__version_id")).order_by()
    for slot_id, verdict in (
        *ours.values_list("slot_id", "command__verification__verdict"),
        *theirs.values_list("slot_id", "verdict"),
    ):
        told[slot_id].add(verdict)
    return {
        slot_id: next(one for one in _STRONGEST_FIRST if one in verdicts)
        for slot_id, verdicts in told.items()
    }
