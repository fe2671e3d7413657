"""What the list of plans tells about each of a page's rows, read in a handful of statements for all of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dispatch.services.bulk import Among
from schedules.models import IN_FORCE, OPEN, DayPlan, PlanSlot, PlanVersion
from vcp import Direction, SetpointType


@dataclass(frozen=True, kw_only=True)
class PlanFacts:
    """One plan's row: what is in force (or was), what is edited, and the energy of what speaks for the day."""

    in_force: PlanVersion | None = None
    edited: PlanVersion | None = None
    slots: int = 0
    import_kwh: float = 0.0
    export_kwh: float = 0.0

    @property
    def shown(self) -> PlanVersion | None:
        """The version whose slots are counted."""
        return self.in_force or self.edited


def facts_of_plans(plans: Iterable[DayPlan]) -> dict[int, PlanFacts]:
    """By plan id; two statements."""
    ids = [plan.pk for plan in plans]
    edited: dict[int, PlanVersion] = {}
    in_force: dict[int, PlanVersion] = {}
    rows = PlanVersion.objects.filter(Among(ids, of="plan_id"), state__in=[*OPEN, *IN_FORCE])
    for version in rows.order_by("number"):
        (edited if version.state in OPEN else in_force)[version.plan_id] = version
    shown = {plan_id: in_force.get(plan_id) or edited.get(plan_id) for plan_id in ids}
    sums = _sums([version.pk for version in shown.values() if version is not None])
    found = {}
    for plan_id in ids:
        speaks = shown[plan_id]
        slots, taken, given = (0, 0.0, 0.0) if speaks is None else sums.get(speaks.pk, (0, 0.0, 0.0))
        found[plan_id] = PlanFacts(
            in_force=in_force.get(plan_id),
            edited=edited.get(plan_id),
            slots=slots,
            import_kwh=taken,
            export_kwh=given,
        )
    return found


def _sums(version_ids: Sequence[int]) -> dict[int, tuple[int, float, float]]:
    """(slots, kWh of import, kWh of export) of each version."""
    counts: dict[int, int] = defaultdict(int)
    energy: dict[tuple[int, str], float] = defaultdict(float)
    rows = PlanSlot.objects.filter(Among(version_ids, of="version_id")).order_by()
    for version_id, kind, value, direction, start_at, end_at in rows.values_list(
        "version_id", "type", "value", "direction", "start_at", "end_at"
    ):
        counts[version_id] += 1
        hours = (end_at - start_at).total_seconds() / 3600 if kind == SetpointType.POWER else 1.0
        energy[version_id, direction] += value * hours
    return {
        version_id: (count, energy[version_id, Direction.IMPORT], energy[version_id, Direction.EXPORT])
        for version_id, count in counts.items()
    }
