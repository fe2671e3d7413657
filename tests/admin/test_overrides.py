"""Overrides in the admin: begun and ended on pages that say what they pre-empt and what goes on afterwards."""

from datetime import timedelta

import pytest

from dispatch.models import Command
from plants.models import ConnectionMode
from schedules.models import Override, OverrideEnd
from tests import factories
from tests.admin.pages import page, text_of
from tests.admin.seed_plans import make_override, make_plan
from tests.factories import AT

pytestmark = pytest.mark.django_db

LIST = "schedules_override_changelist"
BEGIN = "schedules_override_begin"


@pytest.fixture
def plant():
    connection = factories.connection(mode=ConnectionMode.ACTIVE)
    return factories.plant(on=connection, name="Brewery Přerov", max_import_kw=100.0, max_export_kw=100.0)


def asked(**changes):
    return {
        "direction": "EXPORT",
        "power_kw": "12",
        "include_consumption": "on",
        "minutes": "30",
        "until": "",
        "reason": "The grid operator called",
    } | changes


def begin_url(plant):
    return f"{page(BEGIN)}?plant={plant.pk}"


def test_it_is_begun_for_a_length_and_followed_on_its_page(jana, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    opened = text_of(jana.get(begin_url(plant)))

    done = jana.post(begin_url(plant), asked())

    override = Override.objects.get()
    assert "import" in opened  # the slot that it would pre-empt
    assert (override.until_at, override.by_name) == (AT + timedelta(minutes=30), "jana")
    assert Command.objects.filter(pk=override.command_id, payload__priority="HIGH").exists()
    assert "ends in" not in text_of(jana.get(done.url)).lower() or override.ended_at is None


def test_a_time_on_the_plants_clock_may_be_written_instead(jana, plant):
    jana.post(begin_url(plant), asked(minutes="", until="2026-01-02T05:30"))

    assert Override.objects.get().until_at == AT + timedelta(minutes=90)  # 04:00 in Prague now


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"minutes": "", "until": ""}, "until"),
        ({"minutes": "30", "until": "2026-01-02T05:30"}, "until"),
        ({"minutes": "", "until": "2026-01-02T03:30"}, "until"),
        ({"minutes": "", "until": "2026-01-04T05:30"}, "until"),
        ({"power_kw": "101"}, "power_kw"),
        ({"power_kw": "-1"}, "power_kw"),
        ({"reason": " "}, "reason"),
    ],
)
def test_what_does_not_fit_is_said_at_its_field_and_nothing_is_sent(jana, plant, changes, field):
    answer = jana.post(begin_url(plant), asked(**changes))

    assert list(answer.context["form"].errors) == [field]
    assert not Override.objects.exists()
    assert not Command.objects.exists()


def test_one_that_is_open_is_named_before_it_is_replaced(jana, plant):
    make_override(plant, at=AT)

    assert "The override of ann is in force and is replaced" in text_of(jana.get(begin_url(plant)))


def test_it_is_ended_with_a_reason_and_the_page_says_what_goes_on(jana, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    override = make_override(plant, at=AT)
    url = page("schedules_override_end", override.pk)

    shown = text_of(jana.get(url))
    jana.post(url, {"reason": "Not needed any more"})

    override.refresh_from_db()
    assert "The plan goes on at once with" in shown
    assert (override.end_cause, override.ended_by_name) == (OverrideEnd.ENDED, "jana")


def test_its_end_can_be_moved(jana, plant):
    override = make_override(plant, at=AT)

    jana.post(
        page("schedules_override_prolong", override.pk), {"minutes": "120", "until": "", "reason": "Longer"}
    )

    opened = Override.objects.get(ended_at=None)
    assert opened.until_at == AT + timedelta(minutes=120)


def test_the_list_puts_what_is_in_force_first_with_its_countdown(jana, plant):
    other = factories.plant(on=plant.connection, name="Cold store")
    make_override(plant, at=AT - timedelta(minutes=1))
    ended = make_override(other, at=AT)
    Override.objects.filter(pk=ended.pk).update(ended_at=AT, end_cause=OverrideEnd.EXPIRED)

    text = text_of(jana.get(page(LIST)))

    assert text.index("Brewery Přerov") < text.index("Cold store")
    assert "in 44 min" in text


def test_who_may_only_look_is_refused(staff, plant):
    override = make_override(plant, at=AT)
    client = staff("schedules.view_override")

    assert client.get(page(LIST)).status_code == 200
    assert client.post(begin_url(plant), asked()).status_code == 403
    for name in ("end", "prolong"):
        answer = client.post(page(f"schedules_override_{name}", override.pk), {"reason": "x"})
        assert answer.status_code == 403
    override.refresh_from_db()
    assert override.ended_at is None
