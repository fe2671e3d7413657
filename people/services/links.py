"""One-time links: an invitation into an organisation, or a new password. The link's secret is shown once."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from people.digests import current_pepper, digest
from people.models import OneTimeLink
from people.rights import Role
from people.selectors.links import PURPOSE, living_link
from people.services.acts import Doer, write_down
from people.services.passwords import check_new_password
from people.services.sessions import end_sessions
from plants.encryption import Secret
from plants.errors import Conflict, Invalid, NotFound
from plants.models import Organisation, User

MOST_OPEN = 100
_ALREADY_MADE = gettext_lazy("This invitation was made already; its link was shown then.")


@dataclass(frozen=True, kw_only=True)
class IssuedLink:
    """A link that was just made; `secret` is its last path segment and stands nowhere else."""

    link: OneTimeLink
    secret: Secret = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """What an invited person chose."""

    username: str
    first_name: str
    last_name: str
    password: str = field(repr=False)


@transaction.atomic
def invite(
    *, doer: Doer, name: str, email: str, role: str, at: datetime, request_key: str | None = None
) -> IssuedLink:
    """An invitation into the organisation. Raises Invalid, Conflict when too many are open or this one was made."""
    name, email, request_key = name.strip(), email.strip(), (request_key or "")[:40] or None
    if not 1 <= len(name) <= 150:
        raise Invalid(_("Say who is invited, with at most 150 characters."), path="name")
    if role not in Role.values:
        raise Invalid(_("Choose a role."), path="role")
    _check_email(email)
    open_links = OneTimeLink.objects.filter(
        organisation_id=doer.home, user=None, used_at=None, revoked_at=None, expires_at__gt=at
    )
    if open_links.count() >= MOST_OPEN:
        raise Conflict(_("Too many invitations are open. Withdraw some first."))
    issued = _issue_once(doer=doer, name=name, email=email, role=role, at=at, request_key=request_key)
    write_down(doer, "person.invited", at=at, subject=name, after={"role": role, "email": email})
    return issued


@transaction.atomic
def offer_new_password(*, doer: Doer, user: User, at: datetime) -> IssuedLink:
    """A link with which the person sets a new password; earlier ones of the person are dead.

    Raises Conflict for oneself: whoever sits at a browser that was left open must not get around the old password.
    """
    if user.pk == doer.user.pk:
        raise Conflict(_("Your own password is changed on your account page, with the present one."))
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # of two at once one link is left
    OneTimeLink.objects.filter(user=user, used_at=None, revoked_at=None).update(revoked_at=at)
    issued = _issue(doer=doer, user=user, name=user.get_username(), email=user.email, role=user.role, at=at)
    write_down(doer, "person.password_link", at=at, subject=user.get_username())
    return issued


@transaction.atomic
def withdraw_link(*, doer: Doer, link_id: int, at: datetime) -> None:
    """Nobody gets in with it any more. Raises NotFound."""
    rows = OneTimeLink.objects.select_for_update(of=("self",))
    link = rows.filter(pk=link_id, organisation_id=doer.home, used_at=None, revoked_at=None).first()
    if link is None:
        raise NotFound(_("This invitation was used or withdrawn already."))
    link.revoked_at = at
    link.save(update_fields=["revoked_at"])
    write_down(doer, "person.invitation_withdrawn", at=at, subject=link.name)


@transaction.atomic
def join(*, secret: str, newcomer: Newcomer, address: str, at: datetime) -> User:
    """The invited person becomes one of the organisation. Raises LinkDead, Invalid (at the field)."""
    link = living_link(secret, at=at, lock=True)
    user = User(
        username=newcomer.username.strip(),
        first_name=newcomer.first_name.strip(),
        last_name=newcomer.last_name.strip(),
        email=link.email,
        organisation_id=link.organisation_id,
        role=link.role,
        date_joined=at,
    )
    check_new_password(newcomer.password, user=user)
    user.set_password(newcomer.password)
    _save_new(user)
    _use(link, at)
    doer = Doer(user=user, organisation_id=link.organisation_id, address=address)
    write_down(
        doer,
        "person.joined",
        at=at,
        subject=user.get_username(),
        after={"role": link.role, "invited_by": link.made_by_name},
    )
    return user


@transaction.atomic
def set_password_by_link(*, secret: str, password: str, address: str, at: datetime) -> User:
    """A new password, all sessions end. Raises LinkDead, Invalid (field `password`)."""
    link = living_link(secret, at=at, lock=True)
    if link.user is None:
        raise NotFound(_("This link is an invitation."))
    check_new_password(password, user=link.user)
    link.user.set_password(password)
    link.user.save(update_fields=["password"])
    _use(link, at)
    end_sessions(user=link.user)
    doer = Doer(user=link.user, organisation_id=link.organisation_id, address=address)
    write_down(
        doer,
        "person.password_set_by_link",
        at=at,
        subject=link.user.get_username(),
        after={"link_made_by": link.made_by_name},
    )
    return link.user


def revoke_links_of(user: User, *, at: datetime) -> int:
    """What a person made or was given opens nothing any more: they may no longer let anybody in; answers how many."""
    if user.organisation_id is None:  # staff make links in the organisation that they look at
        return 0
    name = Doer(user=user, organisation_id=user.organisation_id).name[:150]
    rows = OneTimeLink.objects.filter(organisation_id=user.organisation_id, used_at=None, revoked_at=None)
    return rows.filter(Q(made_by_name=name) | Q(user=user)).update(revoked_at=at)


def prune_links(*, at: datetime) -> int:
    """Drop links that were over a month ago; answers how many."""
    return OneTimeLink.objects.filter(expires_at__lt=at - timedelta(days=30)).delete()[0]


def _issue_once(*, doer: Doer, request_key: str | None, at: datetime, **facts: Any) -> IssuedLink:
    """An invitation under the key of its form; of two that come at once the later one waits here for the first."""
    try:
        with transaction.atomic():
            return _issue(doer=doer, user=None, request_key=request_key, at=at, **facts)
    except IntegrityError:
        if not OneTimeLink.objects.filter(request_key=request_key).exists():  # something else is wrong
            raise
        raise Conflict(str(_ALREADY_MADE), code="MADE_ALREADY") from None


def _issue(*, doer: Doer, at: datetime, **facts: Any) -> IssuedLink:
    secret, pepper = secrets.token_urlsafe(32), current_pepper()
    link = OneTimeLink.objects.create(
        organisation=Organisation.objects.get(pk=doer.home),
        **facts,
        digest=digest(purpose=PURPOSE, text=secret, version=pepper),
        pepper_version=pepper,
        made_by_name=doer.name[:150],
        created_at=at,
        expires_at=at + timedelta(hours=settings.INVITATION_H),
    )
    return IssuedLink(link=link, secret=Secret(secret))


def _use(link: OneTimeLink, at: datetime) -> None:
    link.used_at = at
    link.save(update_fields=["used_at"])


def _check_email(email: str) -> None:
    if not email:
        return
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), path="email") from None


def _save_new(user: User) -> None:
    try:
        user.full_clean(exclude=["password"])
        with transaction.atomic():
            user.save(force_insert=True)
    except ValidationError as error:
        field, texts = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(texts), path=field) from None
    except IntegrityError:  # somebody took the name in this very moment
        raise Invalid(_("A user with that username already exists."), path="username") from None
