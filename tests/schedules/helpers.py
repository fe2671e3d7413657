"""Making plans in tests: a draft, a checked and a published one of a plant's day."""

from typing import Any

from plants.models import Plant
from schedules.models import PlanVersion
from schedules.selectors.marks import mark_of
from schedules.services.drafts import check_version, save_draft
from schedules.slots import PlannedSlot
from tests.factories import OPERATOR
from tests.schedules.plans import DAY, EVE


def draft(plant: Plant, *slots: PlannedSlot, **changes: Any) -> PlanVersion:
    facts: dict[str, Any] = {"day": DAY, "slots": slots, "actor": OPERATOR, "at": EVE} | changes
    return save_draft(
        organisation_id=plant.organisation_id, external_plant_id=plant.external_plant_id, **facts
    )


def check(version: PlanVersion, at: Any = EVE) -> Any:
    return check_version(
        organisation_id=version.plan.organisation_id, version_id=version.pk, actor=OPERATOR, at=at
    )


def checked(plant: Plant, *slots: PlannedSlot, **changes: Any) -> PlanVersion:
    version = draft(plant, *slots, **changes)
    check(version, changes.get("at", EVE))
    version.refresh_from_db()
    return version


def seen_of(plant: Plant, day: Any = DAY) -> int:
    return mark_of(organisation_id=plant.organisation_id, external_plant_id=plant.external_plant_id, day=day)


def words(plan: Any) -> list[tuple[str, str]]:
    return list(plan.events.values_list("word", "actor"))


def values(version: PlanVersion) -> list[float]:
    return list(version.slots.order_by("start_at").values_list("value", flat=True))
