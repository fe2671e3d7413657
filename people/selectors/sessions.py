"""Where people are signed in."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.db.models import Q, QuerySet
from django.utils.crypto import constant_time_compare

from people.models import PersonSession
from plants.models import User

MOST_SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """One session as its owner sees it; `public` stands for the key, which no page shows."""

    public: str
    address: str
    browser: str
    signed_in_at: datetime | None
    seen_at: datetime | None
    is_this: bool


def public_id(session_key: str) -> str:
    """A name for a session that opens nothing."""
    return hashlib.sha256(f"session {session_key}".encode()).hexdigest()[:16]


def sessions_of(user: User, *, this: str | None, at: datetime) -> list[SignedIn]:
    """The person's living sessions, this one first, then the last seen ones."""
    rows = _living(at).filter(user=user).order_by("-seen_at")[:MOST_SHOWN]
    found = [
        SignedIn(
            public=public_id(row.session_key),
            address=row.address,
            browser=row.browser,
            signed_in_at=row.signed_in_at,
            seen_at=row.seen_at,
            is_this=row.session_key == this,
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: not one.is_this)


def still_signed_in(keys: Collection[str], *, at: datetime) -> dict[str, User]:
    """Of these session keys the ones that live, each with its active person, in one query: for what stays open long.

    A session from before the person's password was changed, by whoever changed it, is over.
    """
    rows = _living(at).filter(session_key__in=keys, user__is_active=True).select_related("user")
    return {row.session_key: row.user for row in rows if row.user is not None and _is_bound(row, row.user)}


def _is_bound(row: PersonSession, user: User) -> bool:
    """Whether the session was begun with the password that the person has now."""
    bound = str(row.get_decoded().get(HASH_SESSION_KEY, ""))
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(bound, one) for one in hashes)


def is_over(*, signed_in_at: datetime | None, seen_at: datetime | None, at: datetime) -> bool:
    """Whether a session has lasted too long, or nobody has used it for too long."""
    longest, idle = timedelta(hours=settings.SESSION_MAX_H), timedelta(minutes=settings.SESSION_IDLE_MIN)
    return (signed_in_at is not None and at - signed_in_at > longest) or (
        seen_at is not None and at - seen_at > idle
    )


def _living(at: datetime) -> "QuerySet[PersonSession]":
    longest, idle = timedelta(hours=settings.SESSION_MAX_H), timedelta(minutes=settings.SESSION_IDLE_MIN)
    return PersonSession.objects.filter(
        Q(signed_in_at=None) | Q(signed_in_at__gte=at - longest), Q(seen_at=None) | Q(seen_at__gte=at - idle)
    )
