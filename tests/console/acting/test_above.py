"""Above the plan: emergency and release, overrides extended and ended; once each, with a reason, and written down."""

import uuid
from datetime import timedelta

import pytest

from dispatch.models import Command, EmergencyLatch
from dispatch.states import State
from people.models import AuditEntry
from plants.services.connections import set_connection_dispatch
from schedules.models import Override, OverrideEnd
from tests.admin.seed_plans import make_override, make_plan
from tests.console.acting.helpers import HX, url, words
from tests.dispatch.helpers import ask, stop_now
from tests.factories import AT

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
WHY = "Fire alarm in hall 2"


def emergency(client, plant, **changes):
    asked = {"type": "STOP", "reason": WHY, "key": str(uuid.uuid4())} | changes
    return client.post(url("emergency", plant), asked, headers=HX)


def release(client, plant, **changes):
    latch = EmergencyLatch.objects.filter(plant=plant).last()
    return client.post(url("release", plant), {"reason": WHY, "seen": latch.pk} | changes, headers=HX)


@pytest.fixture
def override(plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    return make_override(plant, at=AT)


# --- emergencies ------------------------------------------------------------------------------------------------------


def test_the_question_names_the_plant_and_what_is_sent(operator_client, plant, override):
    asked = words(operator_client.get(url("emergency", plant), headers=HX))

    assert "Stop Brewery Přerov now?" in asked
    assert "command.emergency STOP" in asked
    assert "Only a person can release it" in asked
    assert "It ends the override of ann" in asked
    assert "Hold to stop" in asked


@pytest.mark.parametrize("word", ["STOP", "HOLD"])
def test_an_emergency_latches_the_plant_and_the_banner_says_so(operator_client, plant, word):
    done = emergency(operator_client, plant, type=word)

    latch, entry = EmergencyLatch.objects.get(), AuditEntry.objects.get(action="emergency.sent")
    assert (latch.type, latch.command.reason, latch.command.state) == (word, WHY, State.QUEUED)
    assert f"Emergency {word} is in force" in words(done)
    assert "Voke was asked to" in words(done) and "Queued" in words(done)
    assert (entry.reason, entry.after["command"]) == (WHY, latch.command_id)


def test_one_key_sends_one_emergency(operator_client, plant):
    key = str(uuid.uuid4())

    answers = [emergency(operator_client, plant, key=key).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert Command.objects.count() == AuditEntry.objects.filter(action="emergency.sent").count() == 1


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"reason": ""}, {"reason": ["required"]}),
        ({"type": "PANIC"}, {"type": ["invalid_choice"]}),
        ({"key": "short"}, {"key": ["invalid"]}),
    ],
)
def test_what_is_missing_is_said_at_its_field_and_nothing_is_sent(operator_client, plant, changes, codes):
    answer = emergency(operator_client, plant, **changes)

    assert (answer.status_code, answer.context["codes"]) == (422, codes)
    assert not EmergencyLatch.objects.exists()


def test_a_hold_does_not_weaken_a_stop(operator_client, plant):
    ask(plant, stop_now())

    answer = emergency(operator_client, plant, type="HOLD")

    assert (answer.status_code, answer.context["codes"]) == (422, {"": ["STOP_IN_FORCE"]})


def test_a_release_says_what_it_sends_and_frees_the_plant(operator_client, plant):
    emergency(operator_client, plant)
    asked = words(operator_client.get(url("release", plant), headers=HX))

    done = release(operator_client, plant)

    assert "The plant's base mode is sent: Standard" in asked
    assert "Mode: standard" in words(done)
    assert EmergencyLatch.objects.get().release_reason == WHY
    assert AuditEntry.objects.get(action="emergency.released").before["latch"] == "STOP"


def test_a_release_whose_base_mode_can_not_be_sent_says_so(operator_client, plant):
    emergency(operator_client, plant)
    set_connection_dispatch(connection_id=plant.connection_id, enabled=False)

    done = release(operator_client, plant)

    assert "Released, but the base mode was not sent: Dispatch is switched off." in words(done)
    assert EmergencyLatch.objects.get().released_at == AT


def test_the_second_click_on_release_releases_no_newer_emergency(operator_client, plant):
    emergency(operator_client, plant)
    old = EmergencyLatch.objects.get()
    release(operator_client, plant)
    again = release(operator_client, plant)
    emergency(operator_client, plant)

    late = release(operator_client, plant, seen=old.pk)

    assert "It had been released already." in words(again)
    assert (late.status_code, late.context["codes"]) == (422, {"": ["REVIEW_OUTDATED"]})
    assert EmergencyLatch.objects.filter(released_at=None).count() == 1


def test_a_release_needs_a_reason(operator_client, plant):
    emergency(operator_client, plant)

    assert release(operator_client, plant, reason=" ").context["codes"] == {"reason": ["required"]}
    assert EmergencyLatch.objects.filter(released_at=None).exists()


# --- overrides --------------------------------------------------------------------------------------------------------


def test_the_banner_says_who_until_when_and_what_resumes(viewer_client, plant, override):
    shown = viewer_client.get(url("banner", plant), headers=HX)

    text = words(shown)
    assert "Override: Export 12 kW ann, 04:00 . Plan v1 pauses, and resumes at 04:45 with import" in text
    assert shown.content.decode().count("disabled") == 2


def extend(client, plant, override, **changes):
    asked = {"until": "30", "reason": "Still needed", "key": str(uuid.uuid4())} | changes
    return client.post(url("extend", plant, override.pk), asked, headers=HX)


@pytest.mark.parametrize(
    ("changes", "until"),
    [({}, AT + 75 * MINUTE), ({"until": "at", "until_at": "2026-01-02T06:00"}, AT + 120 * MINUTE)],
)
def test_an_override_is_extended_from_its_end_or_to_a_time(operator_client, plant, override, changes, until):
    done = extend(operator_client, plant, override, **changes)

    assert Override.objects.get(ended_at=None).until_at == until
    assert done.status_code == 200
    assert AuditEntry.objects.get(action="override.extended").reason == "Still needed"


def test_two_clicks_extend_once(operator_client, plant, override):
    key = str(uuid.uuid4())

    answers = [extend(operator_client, plant, override, key=key).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert Override.objects.get(ended_at=None).until_at == AT + 75 * MINUTE
    assert AuditEntry.objects.filter(action="override.extended").count() == 1


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"until": "at", "until_at": ""}, {"until_at": ["END_REQUIRED"]}),
        ({"until": "at", "until_at": "2026-01-02T03:30"}, {"until_at": ["BAD_END"]}),
        ({"until": "at", "until_at": "2026-01-05T05:00"}, {"until_at": ["TOO_LONG"]}),
        ({"reason": ""}, {"reason": ["required"]}),
    ],
)
def test_an_end_that_can_not_be_is_said_at_its_field(operator_client, plant, override, changes, codes):
    answer = extend(operator_client, plant, override, **changes)

    assert (answer.status_code, answer.context["codes"]) == (422, codes)
    assert Override.objects.get().until_at == override.until_at


def test_ending_asks_what_resumes_and_resumes_it(operator_client, plant, override):
    asked = words(operator_client.get(url("end", plant, override.pk), headers=HX))

    done = operator_client.post(
        url("end", plant, override.pk), {"reason": "Over", "seen": override.pk}, headers=HX
    )

    override.refresh_from_db()
    assert "End Export 12 kW at Brewery Přerov now?" in asked
    assert "The plan resumes at once with import" in asked
    assert (override.end_cause, override.ended_by_name) == (OverrideEnd.ENDED, "operator")
    assert "The override is over." in words(done)
    assert "Override in force" not in done.content.decode()
    assert AuditEntry.objects.get(action="override.ended").reason == "Over"


def test_ending_twice_says_that_it_was_over(operator_client, plant, override):
    ends = {"reason": "Over", "seen": override.pk}
    operator_client.post(url("end", plant, override.pk), ends, headers=HX)

    again = operator_client.post(url("end", plant, override.pk), ends, headers=HX)

    assert "The override had ended already." in words(again)
    assert AuditEntry.objects.filter(action="override.ended").count() == 1


def test_without_javascript_every_question_is_a_page_and_leads_back(operator_client, plant, override):
    for name, more in (
        ("emergency", ()),
        ("release", ()),
        ("extend", (override.pk,)),
        ("end", (override.pk,)),
    ):
        assert "<html" in operator_client.get(url(name, plant, *more)).content.decode()

    done = operator_client.post(url("end", plant, override.pk), {"reason": "Over", "seen": override.pk})

    assert done["Location"] == url("page", plant)


def test_who_may_only_look_can_do_none_of_it(viewer_client, plant, override):
    for name, more in (
        ("emergency", ()),
        ("release", ()),
        ("extend", (override.pk,)),
        ("end", (override.pk,)),
    ):
        assert viewer_client.get(url(name, plant, *more), headers=HX).status_code == 403
        assert viewer_client.post(url(name, plant, *more), {"reason": "x"}, headers=HX).status_code == 403
    override.refresh_from_db()
    assert override.ended_at is None
    assert not EmergencyLatch.objects.exists()


def test_an_override_of_another_plant_is_not_found(operator_client, plant_with, override):
    elsewhere = plant_with(name="Elsewhere")

    assert operator_client.get(url("end", elsewhere, override.pk), headers=HX).status_code == 404
