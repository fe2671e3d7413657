"""Roles, invitations, links: who may change whom, and what is left at the end."""

from datetime import timedelta

import pytest

from people.errors import LinkDead
from people.models import AuditEntry, OneTimeLink, PersonSession
from people.rights import Right, Role, may
from people.services.acts import Doer
from people.services.links import (
    Newcomer,
    invite,
    join,
    offer_new_password,
    set_password_by_link,
    withdraw_link,
)
from people.services.members import change_role, deactivate, reactivate, reset_factor
from plants.errors import Conflict, DomainError, Invalid, NotFound
from plants.models import User
from tests import factories
from tests.console.account.conftest import enrolled
from tests.factories import AT

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture
def home():
    return factories.organisation()


@pytest.fixture
def admin(home):
    return User.objects.create_user("admin", organisation=home, role=Role.ADMIN)


@pytest.fixture
def doer(admin):
    return Doer(user=admin, organisation_id=admin.organisation_id, address="192.0.2.1")


@pytest.fixture
def petr(home):
    return User.objects.create_user("petr", password=PASSWORD, organisation=home, role=Role.OPERATOR)


def session_of(user):
    return PersonSession.objects.create(
        session_key=f"key-{user.pk}", session_data="", expire_date=AT + timedelta(days=1), user=user,
        signed_in_at=AT, seen_at=AT,
    )  # fmt: skip


def newcomer(**changes):
    return Newcomer(
        **({"username": "ota", "first_name": "Ota", "last_name": "Nový", "password": PASSWORD} | changes)
    )


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.VIEWER, {Right.SEE}),
        (Role.OPERATOR, {Right.SEE, Right.ACT}),
        (Role.ENGINEER, {Right.SEE, Right.ACT, Right.CONNECT}),
        (Role.ADMIN, set(Right)),
    ],
)
def test_each_role_has_its_rights_and_a_deactivated_person_none(home, role, rights):
    user = User(username="x", organisation=home, role=role)

    assert {right for right in Right if may(user, right)} == rights
    user.is_active = False
    assert not any(may(user, right) for right in Right)


def test_a_role_is_changed_and_written_down(doer, petr):
    change_role(doer=doer, user_id=petr.pk, role=Role.ENGINEER, at=AT)

    petr.refresh_from_db()
    entry = AuditEntry.objects.get()
    assert petr.role == Role.ENGINEER
    assert (entry.action, entry.before, entry.after) == (
        "person.role_changed", {"role": "OPERATOR"}, {"role": "ENGINEER"},
    )  # fmt: skip


@pytest.mark.parametrize("act", [change_role, deactivate, reset_factor])
def test_nobody_does_it_to_themselves(doer, admin, act):
    facts = {"role": Role.VIEWER} if act is change_role else {"reason": "x"}

    with pytest.raises(Conflict) as raised:
        act(doer=doer, user_id=admin.pk, at=AT, **facts)

    assert raised.value.code == "ONESELF"


def test_the_last_admin_stays_even_for_staff(home, admin):
    staff = Doer(user=User.objects.create_superuser("eva"), organisation_id=home.pk)

    with pytest.raises(Conflict, match="last admin"):
        change_role(doer=staff, user_id=admin.pk, role=Role.VIEWER, at=AT)
    with pytest.raises(Conflict, match="last admin"):
        deactivate(doer=staff, user_id=admin.pk, reason="", at=AT)

    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("act", [change_role, deactivate, reactivate, reset_factor])
def test_people_of_another_organisation_do_not_exist(doer, act):
    other = User.objects.create_user("other", organisation=factories.organisation())
    facts = {change_role: {"role": Role.ADMIN}, reactivate: {}}.get(act, {"reason": "x"})

    with pytest.raises(NotFound):
        act(doer=doer, user_id=other.pk, at=AT, **facts)


def test_a_deactivated_person_is_signed_out_at_once_and_comes_back_as_before(doer, petr):
    session_of(petr)

    deactivate(doer=doer, user_id=petr.pk, reason="left", at=AT)
    gone = (User.objects.get(pk=petr.pk).is_active, PersonSession.objects.exists())
    reactivate(doer=doer, user_id=petr.pk, at=AT)

    back = User.objects.get(pk=petr.pk)
    assert gone == (False, False)
    assert (back.is_active, back.role, back.check_password(PASSWORD)) == (True, Role.OPERATOR, True)


def test_a_lost_second_factor_is_taken_away_with_its_codes_and_sessions(doer, petr):
    enrolled(petr, at=AT)
    session_of(petr)

    reset_factor(doer=doer, user_id=petr.pk, reason="phone lost", at=AT)

    assert not petr.recovery_codes.exists()
    assert not PersonSession.objects.exists()
    assert AuditEntry.objects.get().reason == "phone lost"
    with pytest.raises(Conflict, match="no second factor"):
        reset_factor(doer=doer, user_id=petr.pk, reason="", at=AT)


def test_an_invited_person_joins_once_with_the_role_that_was_offered(doer, home):
    issued = invite(doer=doer, name="Ota Nový", email="ota@example.com", role=Role.ENGINEER, at=AT)

    user = join(secret=issued.secret.reveal(), newcomer=newcomer(), address="192.0.2.9", at=AT)

    assert (user.organisation, user.role, user.email, user.is_staff) == (
        home,
        Role.ENGINEER,
        "ota@example.com",
        False,
    )
    assert user.check_password(PASSWORD)
    with pytest.raises(LinkDead):
        join(secret=issued.secret.reveal(), newcomer=newcomer(username="ota2"), address="", at=AT)


def test_the_secret_of_a_link_is_not_stored(doer):
    issued = invite(doer=doer, name="Ota", email="", role=Role.VIEWER, at=AT)

    assert issued.secret.reveal() not in str(OneTimeLink.objects.values().get())
    assert issued.secret.reveal() not in repr(issued)


@pytest.mark.parametrize("how", ["late", "withdrawn", "guessed"])
def test_a_dead_link_opens_nothing_and_tells_the_same(settings, doer, how):
    issued = invite(doer=doer, name="Ota", email="", role=Role.VIEWER, at=AT)
    secret, at = issued.secret.reveal(), AT
    if how == "late":
        at = AT + timedelta(hours=settings.INVITATION_H)
    elif how == "withdrawn":
        withdraw_link(doer=doer, link_id=issued.link.pk, at=AT)
    else:
        secret = secret[:-1] + ("a" if secret[-1] != "a" else "b")

    with pytest.raises(LinkDead, match="used, withdrawn, or is too old"):
        join(secret=secret, newcomer=newcomer(), address="", at=at)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"password": "short"}, "password"),
        ({"username": "admin"}, "username"),
        ({"username": "a b"}, "username"),
    ],
)
def test_a_newcomer_who_does_not_fit_is_told_at_the_field_and_may_try_again(doer, changes, path):
    issued = invite(doer=doer, name="Ota", email="", role=Role.VIEWER, at=AT)

    with pytest.raises(Invalid) as raised:
        join(secret=issued.secret.reveal(), newcomer=newcomer(**changes), address="", at=AT)

    assert raised.value.path == path
    assert join(secret=issued.secret.reveal(), newcomer=newcomer(), address="", at=AT).pk


@pytest.mark.parametrize(
    ("facts", "path"),
    [({"name": " "}, "name"), ({"role": "OWNER"}, "role"), ({"email": "no address"}, "email")],
)
def test_an_invitation_that_does_not_fit_is_refused_at_its_field(doer, facts, path):
    with pytest.raises(DomainError) as raised:
        invite(doer=doer, **({"name": "Ota", "email": "", "role": Role.VIEWER, "at": AT} | facts))

    assert (raised.value.path, OneTimeLink.objects.count()) == (path, 0)


def test_a_double_click_makes_one_invitation(doer):
    facts = {"name": "Ota", "email": "", "role": Role.VIEWER, "request_key": "k1", "at": AT}
    invite(doer=doer, **facts)

    with pytest.raises(Conflict, match="made already"):
        invite(doer=doer, **facts)


def test_a_password_link_sets_it_once_ends_sessions_and_kills_earlier_links(doer, petr):
    first = offer_new_password(doer=doer, user=petr, at=AT)
    second = offer_new_password(doer=doer, user=petr, at=AT)
    session_of(petr)

    with pytest.raises(LinkDead):
        set_password_by_link(
            secret=first.secret.reveal(), password="another horse battery", address="", at=AT
        )
    set_password_by_link(secret=second.secret.reveal(), password="another horse battery", address="", at=AT)

    petr.refresh_from_db()
    assert petr.check_password("another horse battery")
    assert not PersonSession.objects.exists()
