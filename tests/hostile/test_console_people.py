"""People who try more than is theirs: at a browser that was left open, with old links, with cookies that they made."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.test import Client
from django.urls import reverse

from console.live_rights import still_allowed
from esm import clock
from live.grants import Grant
from live.wishes import wishes_of
from people.errors import LinkDead
from people.models import OneTimeLink, RecoveryCode, TotpDevice
from people.rights import Role
from people.selectors.links import living_link
from people.services.acts import Doer
from people.services.factors import Enrolment, begin_enrolment, make_recovery_codes
from people.services.links import invite, offer_new_password, withdraw_link
from people.services.members import change_role, deactivate
from plants.errors import Conflict, NotFound
from plants.models import Organisation, User
from tests import factories
from tests.factories import AT
from tests.hostile.console_things import signed_in
from tests.threads import together

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _still():
    with clock.frozen(AT):
        yield


@pytest.fixture
def home(db: None) -> Organisation:
    return factories.organisation(name="Acme Energy", slug="acme")


@pytest.fixture
def person(home: Organisation) -> Callable[..., User]:
    def make(name: str, role: Role = Role.ADMIN) -> User:
        return User.objects.create_user(name, password=PASSWORD, organisation=home, role=role)

    return make


def doer(user: AbstractBaseUser) -> Doer:
    return Doer(user=user, organisation_id=user.organisation_id)


def test_an_admin_gets_no_link_around_their_own_password(person: Callable[..., User]) -> None:
    anna = person("anna")

    answer = signed_in(anna).post(reverse("console:account:change", args=[anna.pk, "new-password"]))

    assert answer.status_code == 422
    assert not OneTimeLink.objects.exists()


def test_the_present_password_can_not_be_guessed_at_a_browser_that_was_left_open(
    person: Callable[..., User],
) -> None:
    client, new = signed_in(person("anna")), "a quite different horse"
    for number in range(20):
        client.post(reverse("console:account:password"), {"old": f"guess {number}", "new": new, "again": new})

    right = client.post(reverse("console:account:password"), {"old": PASSWORD, "new": new, "again": new})

    assert right.status_code == 429
    assert "TOO_MANY_ATTEMPTS" in right.content.decode()
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize("cookie", ['"abcdefgh\\000"', "x" * 5000, "ab'; DROP TABLE x", "\\u0000aaaaaaaaaaa"])
def test_a_cookie_that_is_no_session_is_as_good_as_none(db: None, cookie: str) -> None:
    client = Client(raise_request_exception=False, headers={"cookie": f"sessionid={cookie}"})

    answer = client.get(reverse("console:fleet:list"))

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/console/login/")


@pytest.mark.parametrize("how", ["deactivated", "lowered"])
def test_who_may_not_let_people_in_any_more_has_no_invitations_left(
    person: Callable[..., User], how: str
) -> None:
    boss, gone = person("boss"), person("gone")
    issued = invite(doer=doer(gone), name="A friend", email="", role=Role.ADMIN, at=AT)

    if how == "deactivated":
        deactivate(doer=doer(boss), user_id=gone.pk, reason="left", at=AT)
    else:
        change_role(doer=doer(boss), user_id=gone.pk, role=Role.VIEWER, at=AT)

    with pytest.raises(LinkDead):
        living_link(issued.secret.reveal(), at=AT)


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_make_one_invitation() -> None:
    home = factories.organisation(name="Acme Energy", slug="acme")
    boss = User.objects.create_user("boss", organisation=home, role=Role.ADMIN)

    def click() -> object:
        return invite(doer=doer(boss), name="Eva", email="", role=Role.VIEWER, at=AT, request_key="k" * 32)

    answers = together(click, click, click)

    assert OneTimeLink.objects.count() == 1
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Conflict", "IssuedLink"]
    assert all(answer.code == "MADE_ALREADY" for answer in answers if isinstance(answer, Conflict))


@pytest.mark.django_db(transaction=True)
def test_two_password_links_at_once_leave_one_that_opens() -> None:
    home = factories.organisation(name="Acme Energy", slug="acme")
    boss, gone = (User.objects.create_user(name, organisation=home, role=Role.ADMIN) for name in ("a", "b"))

    together(*[lambda: offer_new_password(doer=doer(boss), user=gone, at=AT)] * 3)

    assert OneTimeLink.objects.filter(revoked_at=None).count() == 1
    assert OneTimeLink.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_set_ups_and_recovery_codes_of_several_clicks_at_once_are_those_of_one() -> None:
    user = User.objects.create_user("anna", password=PASSWORD)

    begun = together(*[lambda: begin_enrolment(user=user, at=AT)] * 3)
    TotpDevice.objects.update(confirmed=True)
    made = together(*[lambda: make_recovery_codes(user=user, at=AT)] * 3)

    assert [type(answer) for answer in begun] == [Enrolment] * 3
    assert (TotpDevice.objects.count(), RecoveryCode.objects.count()) == (1, 10)
    assert [type(answer) for answer in made] == [list] * 3


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_withdraw_an_invitation_once() -> None:
    home = factories.organisation(name="Acme Energy", slug="acme")
    boss = User.objects.create_user("boss", organisation=home, role=Role.ADMIN)
    link = invite(doer=doer(boss), name="Eva", email="", role=Role.VIEWER, at=AT).link

    answers = together(*[lambda: withdraw_link(doer=doer(boss), link_id=link.pk, at=AT)] * 3)

    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "NotFound", "NotFound"]
    assert any(isinstance(answer, NotFound) for answer in answers)


def grant_of(user: User, client: Client) -> Grant:
    return Grant(
        organisation_id=user.organisation_id or 0,
        user_id=user.pk,
        session_key=client.session.session_key or "",
        wishes=wishes_of("plant"),
    )


@pytest.mark.parametrize("what", ["nothing", "password", "deactivated", "moved", "old"])
def test_an_open_stream_ends_with_what_it_was_granted_for(person: Callable[..., User], what: str) -> None:
    user = person("anna")
    grant = grant_of(user, signed_in(user))
    match what:
        case "password":  # as the admin sets it, past the services
            user.set_password("another one altogether")
            user.save()
        case "deactivated":
            User.objects.update(is_active=False)
        case "moved":
            User.objects.update(organisation=factories.organisation(name="Other", slug="other"))

    with clock.frozen(AT + timedelta(days=30 if what == "old" else 0)):
        kept = still_allowed([grant])

    assert kept == ([grant] if what == "nothing" else [])
