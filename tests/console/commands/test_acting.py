"""Taking a command back and looking into a silence again: reviewed before, written down after, safe to repeat."""

from datetime import timedelta

import pytest
from django.urls import reverse

from dispatch.models import Command, Diagnosis, DiagnosisStage, Retraction
from dispatch.services.checking_again import PAUSE, check_again
from dispatch.services.life import advance
from dispatch.states import State
from esm import clock
from people.models import AuditEntry
from plants.errors import Conflict
from tests import factories
from tests.console.seed_commands import hear
from tests.dispatch.helpers import OPERATOR, ask, deliver, message_of, mode, setpoint, stop_now
from tests.dispatch.silences import LATER, change_message, explained, silent_command
from tests.factories import AT

pytestmark = pytest.mark.django_db
HX = {"HX-Request": "true"}


@pytest.fixture
def plant(organisation):
    link = factories.connection(owner=organisation, rest_base_url="")
    return factories.plant(on=link, name="Brewery Přerov")


def url(command, name: str) -> str:
    return reverse(f"console:commands:{name}", args=[command.pk])


def test_the_review_says_what_would_be_sent_and_sends_nothing(operator_client, plant):
    command = ask(plant, setpoint(10.0))
    deliver(plant.connection)
    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT)

    answer = operator_client.get(url(command, "cancel"), headers=HX)

    assert "Take back the command to Brewery Přerov?" in answer.content.decode()
    assert answer.context["effects"] == ["One message: the plant's base mode, Standard, is sent."]
    assert answer["HX-Retarget"] == "#dialogs"
    assert Command.objects.count() == 1


def test_taking_back_sends_what_was_said_tells_the_state_and_is_audited(operator_client, plant):
    command = ask(plant, setpoint(10.0))
    deliver(plant.connection)

    answer = operator_client.post(url(command, "cancel"), {"reason": "Wrong plant"}, headers=HX)

    by = Command.objects.get(kind="mode")
    assert answer.status_code == 200
    assert f"is taken back by #{by.pk}" in answer.context["notice"][1]
    assert Retraction.objects.get(command=command).reason == "Wrong plant"
    entry = AuditEntry.objects.get(action="command.taken_back")
    assert (entry.reason, entry.before, entry.after) == (
        "Wrong plant",
        {"state": "SENT"},
        {"how": "BASE_MODE"},
    )
    assert by.requested_by.username == "operator"


def test_pressing_twice_takes_back_once(operator_client, plant):
    command = ask(plant, setpoint(10.0))
    deliver(plant.connection)

    for _ in range(2):
        assert (
            operator_client.post(url(command, "cancel"), {"reason": "Twice"}, headers=HX).status_code == 200
        )

    assert Command.objects.filter(kind="mode").count() == 1


def test_what_was_never_sent_vanishes_without_a_message(operator_client, plant):
    command = ask(plant, mode(), due_at=AT + timedelta(hours=2))

    answer = operator_client.post(url(command, "cancel"), {"reason": "Not needed"}, headers=HX)

    assert "nothing of it was sent" in answer.context["notice"][1]
    command.refresh_from_db()
    assert command.state == "CANCELLED"
    assert Command.objects.count() == 1


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "two\nlines"])
def test_without_a_sound_reason_the_form_comes_back_with_its_error(operator_client, plant, reason):
    command = ask(plant, setpoint(10.0))

    answer = operator_client.post(url(command, "cancel"), {"reason": reason}, headers=HX)

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    command.refresh_from_db()
    assert command.state == "QUEUED"
    assert not AuditEntry.objects.exists()


def test_what_nothing_undoes_is_refused_in_words(operator_client, plant):
    emergency = ask(plant, stop_now())

    answer = operator_client.post(url(emergency, "cancel"), {"reason": "Over"}, headers=HX)

    assert answer.status_code == 409
    assert "An emergency is released on the page of its plant" in answer.content.decode()


def test_what_has_ended_offers_no_taking_back(operator_client, plant):
    rejected = ask(plant, mode())
    for state in (State.SENT, State.REJECTED):
        advance(command_id=rejected.pk, to=state, at=AT, cause="TEST")

    page = operator_client.get(url(rejected, "command"))

    assert not page.context["offers_cancel"]


def test_without_scripts_the_review_is_a_page_and_the_act_leads_back(operator_client, plant):
    command = ask(plant, setpoint(10.0))

    assert "<html" in operator_client.get(url(command, "cancel")).content.decode()
    answer = operator_client.post(url(command, "cancel"), {"reason": "No script"})
    assert (answer.status_code, answer["Location"]) == (302, url(command, "command"))


def test_a_viewer_sees_the_button_and_why_it_is_closed_and_can_not_act(viewer_client, plant):
    command = ask(plant, setpoint(10.0))

    text = viewer_client.get(url(command, "command")).content.decode()
    assert "This takes the role operator" in text
    assert f'href="{url(command, "cancel")}"' not in text
    for name in ("cancel", "check"):
        assert viewer_client.post(url(command, name), {"reason": "Let me"}).status_code == 403
    command.refresh_from_db()
    assert command.state == "QUEUED"


# --- checking again ---------------------------------------------------------------------------------------------------


def test_a_silence_is_looked_into_again_and_what_was_found_stays_until_then(operator_client, plant):
    command = silent_command(mode(), plant=plant)
    before = explained(command)

    with clock.frozen(LATER + PAUSE):
        answer = operator_client.post(url(command, "check"), headers=HX)

    row = Diagnosis.objects.get(command=command)
    assert answer.status_code == 200
    assert (row.stage, row.look_at) == (DiagnosisStage.LOCAL, LATER + PAUSE)
    assert (row.cause, row.evidence) == (before.cause, before.evidence)
    assert "It is being looked into." in answer.content.decode()
    assert AuditEntry.objects.filter(action="command.checked_again").count() == 1
    assert command.events.filter(word="CHECKED_AGAIN", actor="operator").exists()


def test_impatience_is_told_to_wait_and_looks_no_second_time(operator_client, plant):
    command = silent_command(mode(), plant=plant)
    explained(command)

    with clock.frozen(LATER + PAUSE):
        operator_client.post(url(command, "check"), headers=HX)
        answer = operator_client.post(url(command, "check"), headers=HX)

    assert "It was looked into just now" in answer.context["notice"][1]
    assert command.events.filter(word="CHECKED_AGAIN").count() == 1
    assert AuditEntry.objects.filter(action="command.checked_again").count() == 1


def test_a_second_look_finds_what_has_changed_meanwhile(plant):
    command = silent_command(mode(), plant=plant)
    assert explained(command).cause == "UNDECIDED"
    body = bytes(message_of(command).body).replace(b"PEAK_SHAVING", b"STANDARD")
    change_message(command, body=body)
    at = LATER + timedelta(minutes=10)

    check_again(command_id=command.pk, organisation_id=command.organisation_id, actor=OPERATOR, at=at)

    assert explained(command, at=at).cause == "BYTES_WRONG"


def test_a_command_without_silence_has_nothing_to_check(plant, operator_client):
    command = ask(plant, mode())

    with pytest.raises(Conflict) as refusal:
        check_again(command_id=command.pk, organisation_id=command.organisation_id, actor=OPERATOR, at=AT)

    assert refusal.value.code == "NOTHING_TO_EXPLAIN"
    answer = operator_client.post(url(command, "check"), headers=HX)
    assert "There is no silence to explain" in answer.context["notice"][1]
