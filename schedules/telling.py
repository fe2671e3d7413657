"""What screens are told of day plans and overrides, after the commit that changed them (`live`)."""

from collections.abc import Iterable
from datetime import datetime

from live import Announcement, Topic, announce, announce_many
from schedules.models import DayPlan, Override, PlanVersion


def tell_plan(plan: DayPlan, version: PlanVersion | None, word: str, *, at: datetime) -> None:
    """Something happened to a plan: PUBLISHED, REPLACED, CANCELLED …"""
    announce(
        organisation_id=plan.organisation_id,
        topic=Topic.PLAN,
        key=str(plan.pk),
        data={
            "plan": plan.pk,
            "plant": plan.plant_id,
            "day": plan.day.isoformat(),
            "version": None if version is None else version.number,
            "state": None if version is None else str(version.state),
            "word": word,
        },
        at=at,
        plant_id=plan.plant_id,
    )


def tell_override(override: Override, *, at: datetime) -> None:
    """An override began or ended."""
    tell_overrides(
        [(override.pk, override.plant_id, override.organisation_id, str(override.end_cause))],
        until_at=override.until_at,
        at=at,
    )


def tell_overrides(
    rows: Iterable[tuple[int, int, int, str]], *, at: datetime, until_at: datetime | None = None
) -> None:
    """`rows`: override, plant, organisation, why it ended ("" = it is in force)."""
    until = None if until_at is None else until_at.isoformat()
    announce_many(
        [
            Announcement(
                organisation_id,
                Topic.OVERRIDE,
                str(pk),
                {"id": pk, "plant": plant_id, "ended": cause, "until": until},
                at,
                plant_id,
            )
            for pk, plant_id, organisation_id, cause in rows
        ]
    )
