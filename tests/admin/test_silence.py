"""Why a command met silence, as its page and the list's filter show it."""

from datetime import timedelta

import pytest

from dispatch.services.life import advance
from dispatch.states import State
from tests import factories
from tests.admin.pages import page, text_of
from tests.dispatch.helpers import mode
from tests.dispatch.silences import LATER, explained, silent_command

pytestmark = pytest.mark.django_db


def undecided():
    return silent_command(plant=factories.plant(on=factories.connection(rest_base_url="")))


def shown_of(jana, command) -> str:
    return text_of(jana.get(page("dispatch_command_change", command.pk)))


def listed(jana, **filters) -> str:
    return text_of(jana.get(page("dispatch_command_changelist"), filters))


def test_a_commands_page_tells_the_cause_the_evidence_and_the_next_step(jana):
    plant = factories.plant(on=factories.connection(signed_families=[]))
    command = silent_command(mode(), plant=plant)
    explained(command)

    text = shown_of(jana, command)

    for words in (
        "Why there is silence",
        "The signature is missing (certain)",
        "Sign this family",
        "command.mode must be signed, and was sent without",
        "Next: Sign this family.",
    ):
        assert words in text


def test_a_silence_that_is_still_looked_into_says_so_and_one_that_ended_says_by_what(jana):
    command = undecided()
    assert "What we know ourselves is to be looked at" in shown_of(jana, command)

    explained(command)
    advance(command_id=command.pk, to=State.ACCEPTED, at=LATER + timedelta(minutes=1), cause="ACK_ACCEPTED")

    text = shown_of(jana, command)
    assert "Not explained (open)" in text
    assert "By Voke's word" in text


def test_a_command_that_was_answered_has_no_such_section(jana):
    command = undecided()
    command.diagnosis.delete()

    assert "Why there is silence" not in shown_of(jana, command)


def test_the_list_is_filtered_by_what_explains_the_silence(jana):
    command = undecided()
    explained(command)

    assert f"#{command.pk}" in listed(jana, silence="UNDECIDED")
    assert f"#{command.pk}" not in listed(jana, silence="RETURNED")
