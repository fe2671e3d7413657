"""The people of an organisation as its admin sees them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q

from people.models import TotpDevice
from people.rights import Role
from plants.models import User

PAGE = 50


@dataclass(frozen=True, kw_only=True)
class Person:
    """One row of the list. `seen_at`: the last request of a session that lives; else the last sign-in."""

    id: int
    username: str
    name: str
    email: str
    role: Role
    is_active: bool
    has_factor: bool
    sessions: int
    seen_at: datetime | None


def people_of(
    *, organisation_id: int, text: str = "", after: str = "", limit: int = PAGE
) -> tuple[list[Person], str]:
    """People by user name from `after` on, and where the next page begins ("" = there is none)."""
    rows = User.objects.filter(organisation_id=organisation_id)
    if text:
        rows = rows.filter(
            Q(username__icontains=text)
            | Q(first_name__icontains=text)
            | Q(last_name__icontains=text)
            | Q(email__icontains=text)
        )
    if after:
        rows = rows.filter(username__gt=after)
    found = list(_with_facts(rows).order_by("username")[: limit + 1])
    shown = [_person(row) for row in found[:limit]]
    return shown, shown[-1].username if len(found) > limit else ""


def person_of(*, organisation_id: int, user_id: int) -> Person | None:
    """One person of the organisation."""
    row = _with_facts(User.objects.filter(organisation_id=organisation_id, pk=user_id)).first()
    return None if row is None else _person(row)


def counts_of(organisation_id: int) -> dict[str, int]:
    """How many people may sign in, and how many of them have a second factor."""
    return User.objects.filter(organisation_id=organisation_id, is_active=True).aggregate(
        active=Count("pk"), with_factor=Count("pk", filter=Q(Exists(_factors("pk"))))
    )


def has_factor(user: User) -> bool:
    """Whether the person signs in with a second factor."""
    return TotpDevice.objects.filter(user=user, confirmed=True).exists()


def _factors(user_ref: str) -> Any:
    return TotpDevice.objects.filter(user=OuterRef(user_ref), confirmed=True)


def _with_facts(rows: Any) -> Any:
    return rows.annotate(
        factor=Exists(_factors("pk")),
        session_count=Count("sessions"),
        session_seen=Max("sessions__seen_at"),
    )


def _person(row: Any) -> Person:
    return Person(
        id=row.pk,
        username=row.username,
        name=row.get_full_name() or row.username,
        email=row.email,
        role=Role(row.role),
        is_active=row.is_active,
        has_factor=row.factor,
        sessions=row.session_count,
        seen_at=row.session_seen or row.last_login,
    )
