"""Changes people of an organisation: role, whether they may sign in, their second factor."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from people.rights import Right, Role, may
from people.services.acts import Doer, write_down
from people.services.factors import remove_factor
from people.services.links import revoke_links_of
from people.services.sessions import end_sessions
from plants.errors import Conflict, Invalid, NotFound
from plants.models import Organisation, User


def _member(doer: Doer, user_id: int) -> User:
    """The person, locked together with the organisation: two admins can't take each other's role at once."""
    Organisation.objects.select_for_update().get(pk=doer.home)
    user = User.objects.select_for_update().filter(pk=user_id, organisation_id=doer.home).first()
    if user is None:
        raise NotFound(_("There is no such person in this organisation."))
    return user


@transaction.atomic
def change_role(*, doer: Doer, user_id: int, role: str, at: datetime) -> User:
    """Another role, from the person's next request on. Raises NotFound, Invalid, Conflict (own, last admin)."""
    user = _member(doer, user_id)
    if role not in Role.values:
        raise Invalid(_("Choose a role."), path="role")
    if user.role == role:
        return user
    _not_oneself(doer, user, _("Nobody changes their own role: ask another admin."))
    _not_the_last_admin(user)
    before, user.role = user.role, role
    user.save(update_fields=["role"])
    if not may(user, Right.MANAGE):
        revoke_links_of(user, at=at)
    write_down(
        doer,
        "person.role_changed",
        at=at,
        subject=user.get_username(),
        before={"role": before},
        after={"role": role},
    )
    return user


@transaction.atomic
def deactivate(*, doer: Doer, user_id: int, reason: str, at: datetime) -> User:
    """The person is signed out everywhere and can't sign in. Raises NotFound, Conflict (oneself, last admin)."""
    user = _member(doer, user_id)
    if not user.is_active:
        return user
    _not_oneself(doer, user, _("Nobody shuts themselves out: ask another admin."))
    _not_the_last_admin(user)
    user.is_active = False
    user.save(update_fields=["is_active"])
    ended = end_sessions(user=user)
    revoke_links_of(user, at=at)
    write_down(
        doer,
        "person.deactivated",
        at=at,
        subject=user.get_username(),
        reason=reason,
        before={"active": True},
        after={"active": False, "sessions_ended": ended},
    )
    return user


@transaction.atomic
def reactivate(*, doer: Doer, user_id: int, at: datetime) -> User:
    """The person may sign in again, with the password and the role from before. Raises NotFound."""
    user = _member(doer, user_id)
    if user.is_active:
        return user
    user.is_active = True
    user.save(update_fields=["is_active"])
    write_down(
        doer,
        "person.reactivated",
        at=at,
        subject=user.get_username(),
        before={"active": False},
        after={"active": True, "role": user.role},
    )
    return user


@transaction.atomic
def reset_factor(*, doer: Doer, user_id: int, reason: str, at: datetime) -> User:
    """Take a lost second factor away; the person is signed out. Raises NotFound, Conflict (own, none there)."""
    user = _member(doer, user_id)
    _not_oneself(doer, user, _("Your own second factor is changed on your account page, with a code."))
    if not remove_factor(user=user):
        raise Conflict(_("This person has no second factor."), code="NO_FACTOR")
    ended = end_sessions(user=user)
    write_down(
        doer,
        "person.factor_reset",
        at=at,
        subject=user.get_username(),
        reason=reason,
        after={"sessions_ended": ended},
    )
    return user


def _not_oneself(doer: Doer, user: User, text: str) -> None:
    if doer.user.pk == user.pk:
        raise Conflict(text, code="ONESELF")


def _not_the_last_admin(user: User) -> None:
    if user.role != Role.ADMIN or not user.is_active:
        return
    others = User.objects.filter(organisation=user.organisation, role=Role.ADMIN, is_active=True).exclude(
        pk=user.pk
    )
    if not others.exists():
        raise Conflict(
            _("This is the organisation's last admin. Make somebody else admin first."), code="LAST_ADMIN"
        )
