"""A fallen register is decided by a person: what happened, how much counts, why; a refusal lands at its field."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry

from metering.models import RegisterEvent, RollupMark
from tests import factories
from tests.admin.pages import page, text_of
from tests.factories import AT

pytestmark = pytest.mark.django_db
VIEW, DECIDE = "metering.view_registerevent", "metering.change_registerevent"
NOTE = "By the fitter's protocol."


def make_event(**changes) -> RegisterEvent:
    facts = {
        "plant": factories.plant(name="Brewery Přerov"),
        "device_id": "M1",
        "register": "IMPORT",
        "kind": "EXCHANGE",
        "before_at": AT - timedelta(minutes=1),
        "after_at": AT,
        "before_kwh": 512.25,
        "after_kwh": 70_000.5,
        "found_at": AT,
    }
    return RegisterEvent.objects.create(**(facts | changes))


@pytest.fixture
def event(db) -> RegisterEvent:
    return make_event()


def deciding(event: RegisterEvent) -> str:
    return page("metering_registerevent_decide", event.pk)


def answer(client, event: RegisterEvent, **changes):
    """What a browser sends that was shown the page just now."""
    seen = client.get(deciding(event)).context["form"]["seen"].value()
    facts = {"seen": seen, "kind": "RESET", "energy_kwh": "4.5", "note": NOTE}
    return client.post(deciding(event), facts | changes, follow=True)


def decided(event: RegisterEvent) -> tuple[str, float | None, str, str]:
    event.refresh_from_db()
    return event.kind, event.energy_kwh, event.decided_by_name, event.note


def test_the_page_shows_both_readings_and_what_happens(jana, event):
    text = text_of(jana.get(deciding(event)))

    assert "What happened to M1 import of Brewery Přerov?" in text
    assert "512.25 kWh, 2026-01-02 03:59:00" in text
    assert "rose by 69,488.25 kWh" in text
    assert "counted: not known" in text


@pytest.mark.parametrize(
    ("kind", "typed", "energy_kwh"),
    [
        ("RESET", "4.5", 4.5),
        ("EXCHANGE", "", None),
        ("ROLLOVER", "0", 0.0),
        ("IGNORED", "69488.25", 69_488.25),
    ],
)
def test_a_decision_is_kept_with_its_reason_and_the_time_is_counted_again(
    jana, event, kind, typed, energy_kwh
):
    told = text_of(answer(jana, event, kind=kind, energy_kwh=typed))

    assert decided(event) == (kind, energy_kwh, "jana", NOTE)
    assert RollupMark.objects.filter(stream="METER").exists()
    assert "counted again with the next run" in told


def test_a_decision_stands_in_the_history(jana, event):
    answer(jana, event)

    entry = LogEntry.objects.get()
    history = text_of(jana.get(page("metering_registerevent_history", event.pk)))
    assert (entry.object_id, entry.user.username) == (str(event.pk), "jana")
    assert f"Decided: Reset, 4.5 kWh. {NOTE}" in history


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"energy_kwh": "-1"}, "energy_kwh"),
        ({"energy_kwh": "nan"}, "energy_kwh"),
        ({"energy_kwh": "1e10"}, "energy_kwh"),
        ({"kind": "IGNORED", "energy_kwh": ""}, "energy_kwh"),
        ({"kind": "BROKEN"}, "kind"),
        ({"note": " "}, "note"),
        ({"note": "x" * 501}, "note"),
    ],
)
def test_what_is_refused_is_said_at_its_field_and_nothing_is_kept(jana, event, changes, field):
    refused = answer(jana, event, **changes)

    assert list(refused.context["form"].errors) == [field]
    assert decided(event) == ("EXCHANGE", None, "", "")
    assert not RollupMark.objects.exists()
    assert not LogEntry.objects.exists()


def test_who_looked_at_other_readings_decides_nothing(jana, event):
    seen = jana.get(deciding(event)).context["form"]["seen"].value()
    RegisterEvent.objects.filter(pk=event.pk).update(before_kwh=513.0)

    told = text_of(answer(jana, event, seen=seen))

    assert "Other readings have come meanwhile" in told
    assert decided(event) == ("EXCHANGE", None, "", "")


def test_a_decision_can_be_changed_and_is_shown_with_its_reason(jana, event):
    answer(jana, event)

    shown = jana.get(deciding(event)).context["form"]
    answer(jana, event, kind="IGNORED", energy_kwh="0", note="A test of the gateway.")

    assert (shown["kind"].value(), shown["energy_kwh"].value(), shown["note"].value()) == ("RESET", 4.5, NOTE)
    assert decided(event) == ("IGNORED", 0.0, "jana", "A test of the gateway.")


def test_who_may_only_look_sees_no_button_and_decides_nothing(staff, event):
    client = staff(VIEW)

    shown = client.get(page("metering_registerevent_change", event.pk)).content.decode()
    statuses = [client.get(deciding(event)).status_code, client.post(deciding(event), {}).status_code]

    assert statuses == [403, 403]
    assert deciding(event) not in shown


def test_a_right_to_decide_is_none_to_look(staff, event):
    RegisterEvent.objects.filter(pk=event.pk).update(note="secret of the plant")

    assert "secret of the plant" not in text_of(staff("metering.add_registerevent").get(deciding(event)))


def test_the_list_tells_what_is_not_decided_and_finds_by_plant(jana, event):
    make_event(plant=factories.plant(name="Cold store"), decided_by_name="eva", energy_kwh=2.0)

    everything = text_of(jana.get(page("metering_registerevent_changelist")))
    found = jana.get(page("metering_registerevent_changelist"), {"q": "brewery"}).context["cl"].result_list

    assert "this platform" in everything
    assert "eva" in everything
    assert list(found) == [event]


def test_a_plants_page_leads_to_its_register_events_and_periods(jana, event):
    shown = jana.get(page("plants_plant_change", event.plant_id)).content.decode()

    for name in ("registerevent", "streamperiod"):
        assert f"{page(f'metering_{name}_changelist')}?plant__id__exact={event.plant_id}" in shown


def test_a_note_is_shown_as_text_whatever_it_holds(jana, event):
    done = answer(jana, event, note="<script>alert(1)</script>")

    assert "<script>alert(1)" not in done.content.decode()
