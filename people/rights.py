"""Who may do what: four roles of an organisation, each with the rights of those before it, and the staff.

Staff of the installation have every right in the organisation that they chose to look at; what they do there is
written down as theirs.
"""

from collections.abc import Mapping
from enum import StrEnum

from plants.models import Role, User

__all__ = ["Right", "Role", "may"]


class Right(StrEnum):
    """What a page or an action asks for."""

    SEE = "SEE"
    """Look at everything of the organisation."""
    ACT = "ACT"
    """Send, publish, override, stop; work on alarms."""
    CONNECT = "CONNECT"
    """Connections, credentials, updates from Voke, dead letters."""
    MANAGE = "MANAGE"
    """People, their roles, everybody's audit."""


_RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.SEE}),
    Role.OPERATOR: frozenset({Right.SEE, Right.ACT}),
    Role.ENGINEER: frozenset({Right.SEE, Right.ACT, Right.CONNECT}),
    Role.ADMIN: frozenset(Right),
}


def may(user: User, right: Right) -> bool:
    """Whether a person has a right in the organisation that they look at."""
    if not user.is_active:
        return False
    if user.organisation_id is None:
        return user.is_staff
    return right in _RIGHTS[Role(user.role)]


def least_role(right: Right) -> Role:
    """The first role that has a right: what a refusal names."""
    return next(role for role in Role if right in _RIGHTS[role])
