"""Reads what people did: the newest first, by pages that stay put while new entries come."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from people.models import AuditEntry
from plants.models import User

PAGE = 50
EXPORT_MOST = 10_000


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """Which entries. `user_id`: of one person. `action`: a word (`plan.published`) or a group of them (`plan`)."""

    organisation_id: int | None
    user_id: int | None = None
    action: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


def entries(
    *, of: AuditFilter, before: int | None = None, limit: int = PAGE
) -> tuple[list[AuditEntry], int | None]:
    """Entries older than the one with the key `before`, and the key that the next page begins before."""
    rows = _matching(of)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-id")[: limit + 1])
    shown = found[:limit]
    return shown, shown[-1].pk if len(found) > limit else None


def entries_at(*, organisation_id: int, path: str, limit: int = PAGE) -> list[AuditEntry]:
    """The newest acts on what has its page at or below `path`."""
    rows = AuditEntry.objects.filter(organisation_id=organisation_id, subject_path__startswith=path)
    rows = rows.exclude(subject_path="")
    return list(rows.order_by("-id")[:limit])


def export(*, of: AuditFilter) -> Iterator[AuditEntry]:
    """The newest entries, EXPORT_MOST at most, read in pieces."""
    return _matching(of).order_by("-id")[:EXPORT_MOST].iterator(chunk_size=500)


def people_in(*, organisation_id: int, limit: int = 200) -> list[User]:
    """Whom the list can be filtered by: people of the organisation."""
    return list(User.objects.filter(organisation_id=organisation_id).order_by("username")[:limit])


def _matching(of: AuditFilter) -> "QuerySet[AuditEntry]":
    rows = AuditEntry.objects.all()
    if of.organisation_id is not None:
        rows = rows.filter(organisation_id=of.organisation_id)
    if of.user_id is not None:
        rows = rows.filter(user_id=of.user_id)
    if of.action:
        rows = rows.filter(Q(action=of.action) | Q(action__startswith=f"{of.action}."))
    if of.text:
        rows = rows.filter(
            Q(subject__icontains=of.text) | Q(reason__icontains=of.text) | Q(user_name__icontains=of.text)
        )
    if of.since is not None:
        rows = rows.filter(at__gte=of.since)
    if of.until is not None:
        rows = rows.filter(at__lt=of.until)
    return rows
