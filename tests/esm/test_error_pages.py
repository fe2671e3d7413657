"""Answers that no view made a page for: what browsers, scripts and programs get of them."""

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from tests.admin.pages import text_of

pytestmark = pytest.mark.django_db
_BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
LOGIN = "/console/login/"


@pytest.fixture
def browser() -> Client:
    return Client(HTTP_ACCEPT=_BROWSER, raise_request_exception=False)


@pytest.fixture
def database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise OperationalError("server closed the connection unexpectedly: host=secret.internal")

    monkeypatch.setattr("console.account.door_views.check_password", fail)
    monkeypatch.setattr("console.account.door_views._sign_in_page", fail)


def test_a_page_that_the_database_did_not_give_is_a_503_that_tries_again(
    browser: Client, database_is_away: None
) -> None:
    answer = browser.get(LOGIN)

    assert (answer.status_code, answer["Retry-After"], answer["Cache-Control"]) == (503, "2", "no-store")
    assert "This page tries again by itself" in text_of(answer)
    assert answer["X-Request-Id"] in answer.content.decode()
    assert 'http-equiv="refresh"' in answer.content.decode()
    assert "secret.internal" not in answer.content.decode()


def test_what_was_sent_while_the_database_was_away_is_not_said_to_be_done_or_undone(
    browser: Client, database_is_away: None
) -> None:
    answer = browser.post(LOGIN, {"username": "jana", "password": "x"})

    assert answer.status_code == 503
    assert "Nothing is shown as done. Look at the command or the plan itself" in text_of(answer)
    assert 'http-equiv="refresh"' not in answer.content.decode()


@pytest.mark.parametrize(
    ("headers", "kind", "words"),
    [
        ({"Accept": "application/json"}, "application/json", '"code":"SERVICE_UNAVAILABLE"'),
        ({"HX-Request": "true"}, "text/plain; charset=utf-8", "Service Unavailable"),
        ({"Accept": "*/*"}, "text/plain; charset=utf-8", "Service Unavailable"),
    ],
)
def test_scripts_get_the_503_without_a_page(
    browser: Client, database_is_away: None, headers: dict[str, str], kind: str, words: str
) -> None:
    answer = browser.get(LOGIN, headers=headers)

    assert (answer.status_code, answer["Content-Type"], answer["Retry-After"]) == (503, kind, "2")
    assert words in answer.content.decode()


def test_an_address_that_takes_forms_only_says_so_instead_of_a_blank_page(browser: Client) -> None:
    answer = browser.get(reverse("console:account:logout"))

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "There is nothing to read at this address" in text_of(answer)


def test_a_page_that_a_view_made_of_an_error_stays_as_it_is(browser: Client) -> None:
    answer = browser.post(LOGIN, {"username": "nobody", "password": "x"}, headers={"Host": "not.ours"})

    assert answer.status_code == 400
    assert "The request can't be read" in text_of(answer)
