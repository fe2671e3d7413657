"""The checks of a connection in a made-up language: they run without a page, and the page says what they found."""

import pytest
from django.test import Client, override_settings

from console.connect import runs
from console.connect.steps import check_subject
from console.connect.views_check import _line
from esm import clock
from link.checkup import CHECKS
from link.checkup_results import Step, ok, problem, skipped
from link.checkup_words import CHECK_ADVICE
from plants.advice import ADVICE
from plants.models import Organisation
from tests import factories
from tests.console.pseudo import LANGUAGE, Shown, pseudo_language
from tests.console.test_translated import in_english, words_in_rows
from vcp.said import said

pytestmark = pytest.mark.django_db


def _shown(client: Client, path: str) -> list[str]:
    written = words_in_rows()
    with override_settings(PAGE_LANGUAGE=LANGUAGE), pseudo_language():
        shown = Shown()
        shown.feed(client.get(path).content.decode())
        return [
            f"{tag}: {text[:120]} {words}"
            for tag, text in shown.texts
            if tag not in ("time@title", "pre") and (words := list(in_english(text, written)))
        ]


def test_what_every_code_of_a_check_means_is_said_in_the_language_of_the_page(
    engineer_client: Client, organisation: Organisation
) -> None:
    connection = factories.connection(owner=organisation)
    path = f"/console/connections/{connection.pk}/check/"
    steps = [one.step for one in CHECKS]
    codes = sorted({*CHECK_ADVICE, *ADVICE, "NEW_CODE"})
    english = []

    for first in range(0, len(codes), len(steps)):
        found = [
            problem(step, code, said("%(host)s: no answer in time", host="h1.example") if index % 2 else "")
            for index, (step, code) in enumerate(zip(steps, codes[first:], strict=False))
        ]

        def work(tell, found=found) -> None:
            for one in found:
                tell(_line(one))

        runs.start(check_subject(connection), work, clock=clock.now)
        english += _shown(engineer_client, path)

    assert english == [], "\n".join(english)


def test_a_run_that_really_ran_is_said_in_the_language_and_its_mail_in_english(
    engineer_client: Client, organisation: Organisation, settings
) -> None:
    settings.LINK_TRANSPORT = "amqps"
    uri = "amqps://acme:long-enough-key@nowhere.invalid:5671/partner-7"
    connection = factories.connection(owner=organisation, amqps_uri=uri, rest_base_url="", slug="acme")
    path = f"/console/connections/{connection.pk}/check/"
    with override_settings(PAGE_LANGUAGE=LANGUAGE), pseudo_language():
        told = engineer_client.post(path).content.decode()

    found = [one for one in _shown(engineer_client, path) if "nowhere.invalid" not in one]

    # What the system's name server says is its own.
    assert found == [], "\n".join(found)
    assert "We checked our connection to Voke at" in told
    assert "SKIPPED  Port: not tried: host failed" in told


def test_results_without_a_fault_keep_their_sentences() -> None:
    fine = ok(Step.LOGIN, said("%(user)s is logged in", user="acme"))
    left = skipped(Step.PORT, said("not tried: %(step)s failed", step=said("host")), code="AFTER_FAILURE")

    assert (fine.words, fine.words.pattern) == ("acme is logged in", "%(user)s is logged in")
    assert (left.words, left.words.pattern) == ("not tried: host failed", "not tried: %(step)s failed")
