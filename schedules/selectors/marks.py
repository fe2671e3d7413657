"""The mark of a plan: what an editor saw, so that nobody overwrites what somebody else changed meanwhile."""

from collections.abc import Sequence
from datetime import date

from django.db.models import Max

from dispatch.services.bulk import Among
from schedules.models import DayPlan, PlanEvent

_CHANGES = ("MADE", "CHANGED", "DISCARDED", "PUBLISHED", "CANCELLED")
"""Events that change what an editor works on; Voke's words and the rules' findings do not."""
_REVIEWED = (*_CHANGES, "CHECKED", "NOT_PASSED")
"""Events that change what a person sees who is about to publish: the slots, and what was found against them."""


def marks_of(*, plan_ids: Sequence[int]) -> dict[int, int]:
    """The newest change of each plan, as its event's id; a plan without any is not in it."""
    return _newest(plan_ids, _CHANGES)


def review_marks_of(*, plan_ids: Sequence[int]) -> dict[int, int]:
    """As `marks_of`, and checks count too: what `publish` takes as `seen`."""
    return _newest(plan_ids, _REVIEWED)


def _newest(plan_ids: Sequence[int], words: Sequence[str]) -> dict[int, int]:
    rows = PlanEvent.objects.filter(Among(plan_ids, of="plan_id"), word__in=words)
    return dict(rows.order_by().values_list("plan_id").annotate(Max("pk")))


def mark_of(*, organisation_id: int, external_plant_id: str, day: date) -> int:
    """The mark of one day's plan, 0 = there is none: what `save_draft` takes as `seen`."""
    plans = DayPlan.objects.filter(
        organisation_id=organisation_id, plant__external_plant_id=external_plant_id, day=day
    )
    found = plans.values_list("pk", flat=True).first()
    return 0 if found is None else marks_of(plan_ids=[found]).get(found, 0)
