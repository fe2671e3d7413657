"""What is known of a plant's site config: its versions and how they differ, what Voke was sent, what it reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from dispatch.models import PublishedSiteConfig, SiteConfigVersion, SiteReport
from dispatch.site_config import FAMILIES, LOOKS, Difference, differences
from vcp import Family

VERSIONS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class VersionLine:
    """One version and what it changed against the one before it; the first one known changed everything."""

    number: int
    made_at: datetime
    payload: Mapping[str, Any]
    changes: Sequence[Difference]


@dataclass(frozen=True, kw_only=True)
class FamilyState:
    """One family of a plant. `published` None = nothing was sent; `is_current` False = a newer one waits to be sent."""

    family: Family
    published: PublishedSiteConfig | None
    is_current: bool
    versions: Sequence[VersionLine]


@dataclass(frozen=True, kw_only=True)
class SiteState:
    """All families, and the last report. `drift`: rows that count, `suspected`: those that one look alone has shown."""

    families: Sequence[FamilyState]
    report: SiteReport | None
    drift: Sequence[Mapping[str, Any]]
    suspected: Sequence[Mapping[str, Any]]


def site_state(*, plant_id: int, site_revision: int) -> SiteState:
    """What the page and the command show of a plant; five statements."""
    published = {
        row.family: row
        for row in PublishedSiteConfig.objects.filter(plant_id=plant_id)
        .select_related("message", "version")
        .defer("message__body")
    }
    report = SiteReport.objects.filter(plant_id=plant_id).first()
    rows = [] if report is None else list(report.drift)
    return SiteState(
        families=[
            FamilyState(
                family=family,
                published=published.get(family.value),
                is_current=_is_current(published.get(family.value), site_revision),
                versions=version_lines(plant_id=plant_id, family=family),
            )
            for family in FAMILIES
        ],
        report=report,
        drift=[row for row in rows if row["looks"] >= LOOKS],
        suspected=[row for row in rows if row["looks"] < LOOKS],
    )


def _is_current(row: PublishedSiteConfig | None, site_revision: int) -> bool:
    return row is not None and row.message_id is not None and row.site_revision == site_revision


def version_lines(*, plant_id: int, family: Family, limit: int = VERSIONS_SHOWN) -> list[VersionLine]:
    """The newest versions of a family, the newest first."""
    rows = list(
        SiteConfigVersion.objects.filter(plant_id=plant_id, family=family.value).order_by("-number")[
            : limit + 1
        ]
    )
    before: list[Mapping[str, Any]] = [*(row.payload for row in rows[1:]), {}] if rows else []
    return [
        VersionLine(
            number=row.number,
            made_at=row.made_at,
            payload=row.payload,
            changes=differences(old, row.payload),
        )
        for row, old in zip(rows, before, strict=True)
    ][:limit]


def drifted_reports() -> "QuerySet[SiteReport]":
    """Reports of plants whose drift counts, the longest first."""
    return (
        SiteReport.objects.filter(drifted_since__isnull=False)
        .select_related("plant")
        .order_by("drifted_since")
    )
