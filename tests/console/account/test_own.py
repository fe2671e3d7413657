"""A person's own page: theme, password, sessions, second factor; and installations that require one."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from esm import clock
from people.models import AuditEntry, PersonSession, RecoveryCode, TotpDevice
from people.rights import Role
from people.services.factors import begin_enrolment
from plants.models import User
from tests.admin.pages import text_of
from tests.console.account.conftest import code_of, enrolled
from tests.console.conftest import PASSWORD, signed_in
from tests.factories import AT

pytestmark = pytest.mark.django_db
NEW = "a quite different horse"


def url(name, *args):
    return reverse(f"console:account:{name}", args=args)


@pytest.fixture
def jana(person):
    return person(Role.OPERATOR, username="jana")


@pytest.fixture
def here(jana):
    return signed_in(jana)


def test_the_theme_is_kept_and_set_by_the_server(here, jana):
    answer = here.post(url("theme"), {"theme": "dark"})

    assert answer.status_code == 204
    assert 'data-theme="dark"' in here.get(url("own")).content.decode()
    assert here.post(url("theme"), {"theme": "pink"}).status_code == 422
    assert User.objects.get(pk=jana.pk).theme == "dark"


def test_a_new_password_ends_every_other_session_and_not_this_one(here, jana):
    elsewhere = signed_in(jana)

    answer = here.post(url("password"), {"old": PASSWORD, "new": NEW, "again": NEW})

    assert "1 other session was ended" in text_of(answer)
    assert (here.get(url("own")).status_code, elsewhere.get(url("own")).status_code) == (200, 302)
    assert User.objects.get(pk=jana.pk).check_password(NEW)
    assert AuditEntry.objects.get().action == "account.password_changed"


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"old": "wrong", "new": NEW, "again": NEW}, "old"),
        ({"old": PASSWORD, "new": "short", "again": "short"}, "new"),
        ({"old": PASSWORD, "new": NEW, "again": "typo"}, "again"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_password_that_does_not_fit_is_refused_at_its_field(here, jana, typed, field, headers):
    answer = here.post(url("password"), typed, headers=headers)

    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.content.decode()
    assert User.objects.get(pk=jana.pk).check_password(PASSWORD)


def test_sessions_are_shown_without_their_keys_and_one_is_ended(here, jana):
    elsewhere = signed_in(jana)
    shown = here.get(url("own"))
    other = next(one for one in shown.context["sessions"] if not one.is_this)

    answer = here.post(url("end_session"), {"session": other.public}, headers={"HX-Request": "true"})

    keys = [here.session.session_key, elsewhere.cookies["sessionid"].value]
    assert not [key for key in keys if key in shown.content.decode()]
    assert "1 session was ended" in text_of(answer)
    assert elsewhere.get(url("own")).status_code == 302


def test_a_session_without_an_address_tells_only_when_it_was_seen(here, jana):
    PersonSession.objects.filter(user=jana).update(address="", seen_at=clock.now())

    told = text_of(here.get(url("own")))

    assert "· seen" not in told and "seen" in told


def test_ending_the_others_keeps_this_one_and_leaves_other_people_alone(here, jana, person):
    elsewhere, petr = signed_in(jana), signed_in(person(username="petr"))

    here.post(url("end_session"))

    assert [client.get(url("own")).status_code for client in (here, elsewhere, petr)] == [200, 302, 200]


def test_somebody_elses_session_can_not_be_ended(here, person):
    petr = signed_in(person(username="petr"))
    public = petr.get(url("own")).context["sessions"][0].public

    here.post(url("end_session"), {"session": public})

    assert petr.get(url("own")).status_code == 200


def test_a_second_factor_is_set_up_by_its_picture_and_its_first_code(here, jana):
    elsewhere = signed_in(jana)
    picture = here.post(url("factor_start"), headers={"HX-Request": "true"})

    answer = here.post(url("factor_confirm"), {"code": code_of(jana, confirmed=False)})

    device = TotpDevice.objects.get()
    assert "<svg" in picture.content.decode()
    assert len(answer.context["codes"]) == RecoveryCode.objects.count() == 10
    assert device.confirmed
    assert (here.get(url("own")).status_code, elsewhere.get(url("own")).status_code) == (200, 302)
    assert AuditEntry.objects.get().action == "account.factor_set"


def test_the_key_and_the_recovery_codes_are_not_stored_in_clear_text(here, jana):
    from django.db import connection

    codes = enrolled(jana, at=AT)
    key = str(TotpDevice.objects.get().key)

    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM people_totpdevice")
        stored = str(cursor.fetchall())
    assert key not in stored
    assert not [code for code in codes if code in str(list(RecoveryCode.objects.values()))]


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_wrong_first_code_sets_nothing_up_and_does_not_show_the_secret_again(here, jana, headers):
    secret = here.post(url("factor_start")).context["secret"]
    key = str(TotpDevice.objects.get().key)

    answer = here.post(url("factor_confirm"), {"code": "000000"}, headers=headers)

    body = answer.content.decode()
    assert (answer.status_code, "qr" in answer.context, secret in body) == (422, False, False)
    assert (url("factor_confirm") in body, url("factor_start") in body) == (True, True)
    assert (TotpDevice.objects.get().confirmed, str(TotpDevice.objects.get().key)) == (False, key)


def test_a_set_up_that_is_begun_again_has_another_secret_and_the_first_is_dead(here, jana):
    first = here.post(url("factor_start")).context["secret"]
    code = code_of(jana, confirmed=False)

    second = here.post(url("factor_start")).context["secret"]

    assert first != second
    assert here.post(url("factor_confirm"), {"code": code}).status_code == 422
    assert here.post(url("factor_confirm"), {"code": code_of(jana, confirmed=False)}).status_code == 200


@pytest.mark.parametrize("name", ["factor_start", "factor_remove", "factor_codes"])
def test_what_touches_a_second_factor_takes_a_code_of_it(here, jana, name):
    enrolled(jana, at=AT - timedelta(hours=1))
    before = set(RecoveryCode.objects.values_list("digest", flat=True))

    answer = here.post(url(name), {"code": "000000"})

    assert answer.status_code == 422
    assert "qr" not in answer.context
    assert TotpDevice.objects.get().confirmed
    assert set(RecoveryCode.objects.values_list("digest", flat=True)) == before


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
@pytest.mark.parametrize("name", ["factor_confirm", "factor_start", "factor_remove", "factor_codes"])
def test_codes_are_guessed_slowly_wherever_they_are_asked_for(settings, here, jana, name, headers):
    settings.SIGN_IN_FREE_ATTEMPTS = 2
    enrolled(jana, at=AT - timedelta(hours=1))
    if name == "factor_confirm":
        begin_enrolment(user=jana, at=AT)
    right = code_of(jana, confirmed=name != "factor_confirm")

    answers = [here.post(url(name), {"code": code}, headers=headers) for code in ("000000", "000000", right)]

    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert answers[-1]["Retry-After"] == "30"
    assert "Too many wrong codes. Wait 30 s." in text_of(answers[-1])
    assert TotpDevice.objects.filter(confirmed=True).count() == 1
    with clock.frozen(AT + timedelta(seconds=31)):
        later = code_of(jana, at=AT + timedelta(seconds=31), confirmed=name != "factor_confirm")
        assert here.post(url(name), {"code": later}, headers=headers).status_code == 200


def test_a_browser_that_was_left_open_is_no_place_to_guess_the_password(settings, here):
    settings.SIGN_IN_FREE_ATTEMPTS = 1
    typed = {"old": "wrong", "new": NEW, "again": NEW}

    answers = [here.post(url("password"), typed) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [422, 429]
    assert "Too many wrong passwords. Wait 30 s." in text_of(answers[-1])


def test_a_second_factor_is_moved_to_another_phone_and_the_old_one_is_dead(here, jana):
    enrolled(jana, at=AT - timedelta(hours=1))
    old = TotpDevice.objects.get()

    here.post(url("factor_start"), {"code": code_of(jana)})
    here.post(url("factor_confirm"), {"code": code_of(jana, confirmed=False)})

    new = TotpDevice.objects.get()
    assert (new.pk != old.pk, str(new.key) != str(old.key)) == (True, True)


def test_a_second_factor_is_removed_for_its_code_but_not_where_one_is_required(settings, here, jana):
    enrolled(jana, at=AT - timedelta(hours=1))
    settings.TWO_FACTOR = "required"
    session = here.session
    session["otp_device_id"] = TotpDevice.objects.get().persistent_id
    session.save()
    refused = here.post(url("factor_remove"), {"code": code_of(jana)})
    settings.TWO_FACTOR = "optional"

    here.post(url("factor_remove"), {"code": code_of(jana)})

    assert (refused.status_code, TotpDevice.objects.exists(), RecoveryCode.objects.exists()) == (
        422,
        False,
        False,
    )


@pytest.mark.parametrize(
    "path", ["/console/fleet/", "/console/people/", "/console/account/", "/console/choose/", "/admin/"]
)
def test_where_a_second_factor_is_required_it_comes_before_everything_else(settings, path):
    settings.TWO_FACTOR = "required"
    client = signed_in(User.objects.create_superuser("eva"))

    answer = client.get(path)
    by_script = client.get(path, headers={"HX-Request": "true"})

    assert (answer.status_code, answer["Location"]) == (302, url("second_factor"))
    assert by_script["HX-Redirect"] == url("second_factor")
    assert client.get(url("second_factor")).status_code == 200


def test_the_set_up_opens_the_rest(settings):
    settings.TWO_FACTOR = "required"
    eva = User.objects.create_superuser("eva")
    client = signed_in(eva)
    client.post(url("factor_start"))

    client.post(url("factor_confirm"), {"code": code_of(eva, confirmed=False)})

    assert client.get("/admin/").status_code == 200
    assert client.get(url("own")).status_code == 302 or client.get(url("own")).status_code == 200


def test_staff_choose_an_organisation_once_and_it_is_written_down(organisation):
    from tests.factories import organisation as another

    another()
    client = signed_in(User.objects.create_superuser("eva"))
    asked = client.get(reverse("console:account:people"))

    client.post(url("choose"), {"organisation": organisation.pk})

    entry = AuditEntry.objects.get()
    assert asked["Location"] == url("choose")
    assert organisation.name in text_of(client.get(reverse("console:account:people")))
    assert (entry.action, entry.as_staff, entry.organisation) == ("organisation.entered", True, organisation)


def test_a_person_of_no_organisation_is_told_so(db):
    client = signed_in(User.objects.create_user("nobody"))

    answer = client.get("/console/people/", follow=True)

    assert answer.status_code == 403
    assert "belongs to no organisation" in text_of(answer)


@pytest.mark.parametrize("name", ["own", "acts", "second_factor", "theme", "password", "end_session"])
def test_nobody_sees_an_own_page_without_signing_in(name, db):
    answer = Client().generic("GET" if name in {"own", "acts"} else "POST", url(name))

    assert answer.status_code in {302, 405}
    assert PersonSession.objects.count() == 0


def test_the_page_costs_a_fixed_number_of_queries(here, jana, django_assert_max_num_queries):
    for _ in range(4):
        signed_in(jana)

    with django_assert_max_num_queries(14):
        here.get(url("own"))
