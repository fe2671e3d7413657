"""Reads one-time links: those that are open, and the one that a secret opens."""

from datetime import datetime

from django.utils.translation import gettext as _

from people.digests import digests
from people.errors import LinkDead
from people.models import OneTimeLink

PURPOSE = "link"


def open_invitations(*, organisation_id: int, at: datetime) -> list[OneTimeLink]:
    """Invitations that nobody used yet; their number is bounded where they are made."""
    return list(
        OneTimeLink.objects.filter(
            organisation_id=organisation_id, user=None, used_at=None, revoked_at=None, expires_at__gt=at
        ).order_by("expires_at")
    )


def living_link(secret: str, *, at: datetime, lock: bool = False) -> OneTimeLink:
    """The link of this secret; raises LinkDead in the same words whatever is wrong with it."""
    rows = OneTimeLink.objects.select_related("organisation", "user")
    if lock:
        rows = rows.select_for_update(of=("self",))
    link = rows.filter(
        digest__in=digests(purpose=PURPOSE, text=secret), used_at=None, revoked_at=None, expires_at__gt=at
    ).first()
    if link is None or (link.user is not None and not link.user.is_active):
        raise LinkDead(_("This link was used, withdrawn, or is too old. Ask for a new one."))
    return link
