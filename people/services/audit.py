"""Writing down what people did; call it in the transaction of the act."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from people.models import AuditEntry
from plants.models import User


def record(
    *,
    user: User,
    organisation_id: int | None,
    action: str,
    at: datetime,
    subject: str = "",
    subject_path: str = "",
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    address: str = "",
) -> AuditEntry:
    """Append one entry. `before` and `after` hold JSON values and never a secret."""
    return AuditEntry.objects.create(
        organisation_id=organisation_id,
        user=user,
        user_name=(user.get_full_name() or user.get_username())[:150],
        as_staff=user.organisation_id is None,
        action=action,
        subject=subject[:200],
        subject_path=subject_path[:200],
        reason=reason[:500],
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
        address=address[:45],
        at=at,
    )
