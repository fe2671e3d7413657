"""Signing in: password, code, waiting, where one lands; what is told to whom."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from esm import clock
from people.models import AttemptCount, AuditEntry, PersonSession
from people.rights import Role
from plants.models import User
from tests.admin.pages import text_of
from tests.console.account.conftest import code_of, enrolled
from tests.console.conftest import PASSWORD, signed_in
from tests.factories import AT

pytestmark = pytest.mark.django_db
OWN = "/console/account/"


def is_in(client: Client) -> bool:
    return client.get(OWN).status_code == 200


def test_name_and_password_open_the_console_and_are_written_down(browser, person, sign_in):
    jana = person(Role.OPERATOR, username="jana")

    response = sign_in("jana")

    entry = AuditEntry.objects.get()
    assert (response.status_code, response["Location"]) == (302, reverse("console:fleet:list"))
    assert is_in(browser)
    assert (entry.action, entry.user, entry.organisation, entry.address) == (
        "session.started", jana, jana.organisation, "127.0.0.1",
    )  # fmt: skip
    assert PersonSession.objects.get(user=jana).browser == "Firefox, Linux"


def test_unknown_names_wrong_passwords_and_deactivated_people_are_told_the_same(person, sign_in):
    person(username="jana")
    User.objects.filter(pk=person(username="gone").pk).update(is_active=False)

    answers = [sign_in("jana", password="wrong"), sign_in("nobody"), sign_in("gone")]

    assert {answer.status_code for answer in answers} == {422}
    assert (
        len(
            {
                text_of(answer).replace(name, "")
                for answer, name in zip(answers, ("jana", "nobody", "gone"), strict=True)
            }
        )
        == 1
    )


def test_after_free_attempts_even_the_right_password_waits_and_each_wait_is_twice_as_long(
    settings, browser, person, sign_in
):
    settings.SIGN_IN_FREE_ATTEMPTS = 3
    person(username="jana")
    for _ in range(3):
        sign_in("jana", password="wrong")

    early = sign_in("jana")
    with clock.frozen(AT + timedelta(seconds=31)):
        wrong_again = sign_in("jana", password="wrong")
    with clock.frozen(AT + timedelta(seconds=31 + 59)):
        still = sign_in("jana")
    with clock.frozen(AT + timedelta(seconds=31 + 61)):
        late = sign_in("jana")

    assert [answer.status_code for answer in (early, wrong_again, still, late)] == [429, 422, 429, 302]
    assert early["Retry-After"] == "30"


def test_names_that_do_not_exist_wait_as_well_so_that_waiting_tells_nothing(settings, sign_in, db):
    settings.SIGN_IN_FREE_ATTEMPTS = 2
    answers = [sign_in("nobody").status_code for _ in range(3)]

    assert answers == [422, 422, 429]


def test_an_address_waits_after_many_names_but_the_browser_of_a_person_does_not(
    settings, browser, person, sign_in
):
    settings.SIGN_IN_FREE_ATTEMPTS = 1
    person(username="jana")
    sign_in("jana")
    browser.post(reverse("console:account:logout"))
    stranger = Client()
    for number in range(4):
        sign_in(f"guess{number}", client=stranger)

    assert sign_in("other", client=stranger).status_code == 429
    assert sign_in("jana", client=stranger).status_code == 429
    assert sign_in("jana").status_code == 302


def test_nothing_that_was_typed_is_stored_with_the_count(sign_in, db):
    sign_in("my secret password by mistake", password="wrong")

    assert "secret" not in str(list(AttemptCount.objects.values()))


def test_a_person_with_a_second_factor_owes_the_code_and_is_nobody_until_then(browser, person, sign_in):
    jana = person(username="jana")
    enrolled(jana, at=AT - timedelta(hours=1))

    first = sign_in("jana", next="/console/alarms/")
    between = is_in(browser)
    second = browser.post(first["Location"], {"code": code_of(jana)})

    assert (first["Location"], between) == (reverse("console:account:code"), False)
    assert second["Location"] == "/console/alarms/"
    assert is_in(browser)
    assert AuditEntry.objects.get(action="session.started").after["second_factor"] is True


def test_a_code_counts_once_and_one_of_another_time_never(browser, person, sign_in):
    jana = person(username="jana")
    enrolled(jana, at=AT - timedelta(hours=1))
    url = sign_in("jana")["Location"]
    old = browser.post(url, {"code": code_of(jana, at=AT - timedelta(minutes=5))})
    used = code_of(jana)
    browser.post(url, {"code": used})
    other = Client()
    sign_in("jana", client=other)

    again = other.post(url, {"code": used})

    assert (old.status_code, again.status_code, is_in(other)) == (422, 422, False)


def test_a_recovery_code_opens_once_with_or_without_its_dash(browser, person, sign_in):
    jana = person(username="jana")
    first, second, *_ = enrolled(jana, at=AT - timedelta(hours=1))
    other, third = Client(), Client()

    url = sign_in("jana")["Location"]
    answers = [browser.post(url, {"code": first})]
    sign_in("jana", client=other)
    answers.append(other.post(url, {"code": first}))
    sign_in("jana", client=third)
    answers.append(third.post(url, {"code": second.replace("-", "").upper()}))

    assert [answer.status_code for answer in answers] == [302, 422, 302]


def test_codes_are_guessed_slowly(settings, browser, person, sign_in):
    settings.SIGN_IN_FREE_ATTEMPTS = 2
    jana = person(username="jana")
    enrolled(jana, at=AT - timedelta(hours=1))
    url = sign_in("jana")["Location"]

    answers = [browser.post(url, {"code": "000000"}).status_code for _ in range(2)]

    assert [*answers, browser.post(url, {"code": code_of(jana)}).status_code] == [422, 422, 429]


def test_recovery_codes_are_guessed_slowly_too_and_a_right_one_ends_the_wait_for_both(
    settings, browser, person, sign_in
):
    settings.SIGN_IN_FREE_ATTEMPTS = 2
    jana = person(username="jana")
    recovery, *_ = enrolled(jana, at=AT - timedelta(hours=1))
    url = sign_in("jana")["Location"]
    guesses = [browser.post(url, {"code": guess}) for guess in ("abcde-fghjk", "000000", recovery)]

    with clock.frozen(AT + timedelta(seconds=31)):
        late = browser.post(url, {"code": recovery})

    assert [answer.status_code for answer in guesses] == [422, 422, 429]
    assert guesses[-1]["Retry-After"] == "30"
    assert late.status_code == 302
    # The account's count is gone; what is left is the address's: of passwords none, of codes those two.
    assert sorted(AttemptCount.objects.values_list("failures", flat=True)) == [0, 2]


def test_an_address_that_guesses_codes_of_many_people_waits(settings, person, sign_in):
    settings.SIGN_IN_FREE_ATTEMPTS = 1
    names = [f"person{number}" for number in range(5)]
    for name in names:
        enrolled(person(username=name), at=AT - timedelta(hours=1))

    answers = []
    for name in names:
        browser = Client()
        url = sign_in(name, client=browser)["Location"]
        answers.append(browser.post(url, {"code": "000000"}).status_code)
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    url = sign_in(names[-1], client=elsewhere)["Location"]

    assert answers == [422, 422, 422, 422, 429]
    assert elsewhere.post(url, {"code": code_of(User.objects.get(username=names[-1]))}).status_code == 302


def test_who_waits_too_long_with_the_code_begins_again(browser, person, sign_in):
    jana = person(username="jana")
    enrolled(jana, at=AT - timedelta(hours=1))
    url = sign_in("jana")["Location"]

    with clock.frozen(AT + timedelta(minutes=6)):
        response = browser.post(url, {"code": code_of(jana, at=AT + timedelta(minutes=6))})

    assert (
        response["Location"] == reverse("console:account:login") or response["Location"] == "/console/login/"
    )
    assert not is_in(browser)


def test_a_session_gets_a_new_key_at_the_sign_in(browser, person, sign_in):
    person(username="jana")
    session = browser.session
    session["planted"] = "x"
    session.save()
    browser.cookies["sessionid"] = session.session_key
    before = session.session_key

    sign_in("jana")

    assert browser.cookies["sessionid"].value != before
    assert "planted" not in browser.session


@pytest.mark.parametrize(
    "onward",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/admin/"],
)
def test_the_way_on_never_leads_away_nor_into_the_admin_for_who_may_not(onward, browser, person, sign_in):
    person(username="jana")

    assert sign_in("jana", next=onward)["Location"] == reverse("console:fleet:list")


def test_staff_come_back_to_the_admin_and_the_admin_sends_to_this_sign_in(browser, sign_in, db):
    User.objects.create_superuser("eva", "eva@example.com", PASSWORD)

    asked = browser.get("/admin/plants/plant/", follow=True)
    entered = sign_in("eva", next="/admin/plants/plant/")

    assert asked.request["PATH_INFO"] == "/console/login/"
    assert entered["Location"] == "/admin/plants/plant/"


def test_signing_out_takes_a_post_ends_the_session_and_is_written_down(browser, person, sign_in):
    jana = person(username="jana")
    sign_in("jana")

    by_get = browser.get(reverse("console:account:logout")).status_code
    browser.post(reverse("console:account:logout"))

    assert (by_get, is_in(browser)) == (405, False)
    assert not PersonSession.objects.filter(user=jana).exists()
    assert AuditEntry.objects.filter(action="session.ended", user=jana).exists()


def test_a_script_of_somebody_signed_out_is_led_to_the_sign_in(browser, db):
    response = browser.get(OWN, headers={"HX-Request": "true"})

    assert (response.status_code, response["HX-Redirect"]) == (204, reverse("console:account:login"))


def test_a_script_of_somebody_signed_out_is_led_back_to_its_page_afterwards(browser, db):
    page = "https://esm.example/console/alarms/?tab=mine&plant=7#case"

    response = browser.get("/console/fleet/top/", headers={"HX-Request": "true", "HX-Current-URL": page})

    assert response["HX-Redirect"] == "/console/login/?next=/console/alarms/%3Ftab%3Dmine%26plant%3D7"


@pytest.mark.parametrize(("hours", "minutes", "lives"), [(0, 119, True), (0, 121, False)])
def test_a_session_that_nobody_uses_ends(hours, minutes, lives, person):
    client = signed_in(person())

    with clock.frozen(AT + timedelta(hours=hours, minutes=minutes)):
        assert is_in(client) is lives


@pytest.mark.parametrize(
    ("method", "path", "headers", "lives"),
    [
        ("get", OWN, {"HX-Request": "true"}, False),  # what htmx renews
        ("get", OWN, {"Sec-Fetch-Mode": "cors"}, False),  # what other scripts ask for
        ("get", "/console/live/?probe=1&topics=plant", {}, False),
        ("get", OWN, {"HX-Request": "true", "X-By-Person": "1"}, True),
        ("get", OWN, {"Sec-Fetch-Mode": "navigate"}, True),
        ("post", "/console/account/theme/", {"Sec-Fetch-Mode": "cors"}, True),
    ],
)
def test_an_open_page_alone_does_not_put_off_the_end_of_a_session(person, method, path, headers, lives):
    client = signed_in(person())
    with clock.frozen(AT + timedelta(minutes=100)):
        assert getattr(client, method)(path, headers=headers).status_code < 500

    with clock.frozen(AT + timedelta(minutes=200)):
        assert is_in(client) is lives


def test_a_session_that_is_used_ends_after_its_longest_time(person):
    client = signed_in(person())
    alive = []
    for hour in range(1, 14):
        with clock.frozen(AT + timedelta(hours=hour)):
            alive.append(is_in(client))

    assert alive == [True] * 12 + [False]
