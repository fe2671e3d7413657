"""Ends sessions: one, all others, or all of a person."""

from datetime import datetime, timedelta

from django.db.models import Q

from people.models import PersonSession
from people.selectors.sessions import public_id
from plants.models import User


def end_session(*, user: User, public: str) -> bool:
    """End one session of the person by the id that pages show; answers whether there was one."""
    for key in PersonSession.objects.filter(user=user).values_list("session_key", flat=True):
        if public_id(key) == public:
            return bool(PersonSession.objects.filter(user=user, session_key=key).delete()[0])
    return False


def end_sessions(*, user: User, keep: str | None = None) -> int:
    """End all sessions of the person but the one with the key `keep`; answers how many."""
    return PersonSession.objects.filter(user=user).exclude(session_key=keep or "").delete()[0]


def prune_sessions(*, at: datetime, idle: timedelta) -> int:
    """Drop sessions that are over; answers how many. Browsers without a person are kept until they expire."""
    over = Q(expire_date__lt=at) | Q(user__isnull=False, seen_at__lt=at - idle)
    return PersonSession.objects.filter(over).delete()[0]
