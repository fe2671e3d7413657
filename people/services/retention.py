"""Drops what is no longer needed: old audit entries, ended sessions, old links and counts."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from people.models import AuditEntry
from people.services.links import prune_links
from people.services.sessions import prune_sessions
from people.services.throttle import prune_attempts

CHUNK = 5_000


def prune_audit(*, at: datetime, keep_days: int) -> int:
    """Delete entries older than that, oldest first, CHUNK at a time; answers how many.

    On PostgreSQL a trigger refuses every change of an entry; only this transaction may delete.
    """
    before = at - timedelta(days=keep_days)
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL esm.audit_retention = 'on'")
        old = list(
            AuditEntry.objects.filter(at__lt=before).order_by("id").values_list("pk", flat=True)[:CHUNK]
        )
        deleted = AuditEntry.objects.filter(pk__in=old).delete()[0]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL esm.audit_retention = ''")
    return deleted


def prune_people(*, at: datetime) -> int:
    """Everything of this room that has a last day; answers how many rows went."""
    return (
        prune_audit(at=at, keep_days=settings.AUDIT_RETENTION_DAYS)
        + prune_sessions(at=at, idle=timedelta(minutes=settings.SESSION_IDLE_MIN))
        + prune_links(at=at)
        + prune_attempts(at=at)
    )
