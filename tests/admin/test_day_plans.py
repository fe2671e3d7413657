"""Day plans in the admin: listed, made on a sheet, checked, published, compared, copied, cancelled."""

from datetime import timedelta

import pytest
from django.urls import reverse

from metering.days import local_day_of
from plants.models import ConnectionMode
from schedules.models import DayPlan, PlanSlot, PlanState, PlanVersion, SlotRun
from tests import factories
from tests.admin.pages import page, text_of
from tests.admin.seed_plans import make_override, make_plan, make_plans
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

LIST = "schedules_dayplan_changelist"
CHANGE = "schedules_dayplan_change"


@pytest.fixture
def plant():
    connection = factories.connection(mode=ConnectionMode.ACTIVE)
    return factories.plant(
        on=connection, name="Brewery Přerov", max_import_kw=100.0, max_export_kw=100.0, capacity_kwh=200.0
    )


def edit_url(plant, *, days=1):
    day = local_day_of(AT, zone=plant.time_zone).day + timedelta(days=days)
    return page("schedules_dayplan_edit", plant.pk, day.isoformat())


def typed(response, **changes):
    """What the sheet's form would send back."""
    sheet, form = response.context["page"].extra["sheet"], response.context["form"]
    data = {"seen": form["seen"].value(), "note": "", "do": "save"}
    for row in sheet.rows:
        data |= {f"d{row.index}": row.direction, f"v{row.index}": row.value, f"u{row.index}": row.unit}
    return data | changes


def test_an_empty_list_says_so_and_offers_to_plan(jana):
    text = text_of(jana.get(page(LIST)))

    assert "Plan a day" in text
    assert "Import a file" in text


def test_a_day_is_chosen_typed_and_kept_as_a_draft(jana, plant, admin_user):
    opened = jana.get(edit_url(plant))
    saved = jana.post(
        edit_url(plant), typed(opened, d40="IMPORT", v40="12,5", d41="EXPORT", v41="3", u41="kWh")
    )

    version = PlanVersion.objects.get()
    assert saved.status_code == 302
    assert (version.state, version.made_by) == (PlanState.DRAFT, admin_user)
    assert list(PlanSlot.objects.order_by("start_at").values_list("type", "value", "direction")) == [
        ("POWER", 12.5, "IMPORT"),
        ("ENERGY", 3.0, "EXPORT"),
    ]
    assert not SlotRun.objects.exists()


def test_a_row_that_cannot_be_read_keeps_everything_that_was_typed(jana, plant):
    opened = jana.get(edit_url(plant))

    answer = jana.post(edit_url(plant), typed(opened, d40="IMPORT", v40="12", d41="EXPORT", v41="much"))

    rows = answer.context["page"].extra["sheet"].rows
    assert (rows[40].value, rows[41].value, rows[41].error) == ("12", "much", "Write a number")
    assert not DayPlan.objects.exists()


def test_the_second_of_two_editors_is_refused_and_keeps_what_was_typed(jana, plant):
    first, second = jana.get(edit_url(plant)), jana.get(edit_url(plant))
    jana.post(edit_url(plant), typed(first, d40="IMPORT", v40="5"))

    answer = jana.post(edit_url(plant), typed(second, d40="IMPORT", v40="7"))

    assert "meanwhile" in " ".join(answer.context["form"].non_field_errors())
    assert answer.context["page"].extra["sheet"].rows[40].value == "7"
    assert PlanSlot.objects.get().value == 5


def test_a_span_is_filled_without_saving(jana, plant):
    opened = jana.get(edit_url(plant))
    fill = {"do": "fill", "fill_first": "0", "fill_last": "3", "fill_direction": "IMPORT", "fill_value": "9"}

    answer = jana.post(edit_url(plant), typed(opened, **fill))

    rows = answer.context["page"].extra["sheet"].rows
    assert [row.value for row in rows[:5]] == ["9", "9", "9", "9", ""]
    assert not DayPlan.objects.exists()


def test_findings_stand_at_their_slots_with_the_value_that_would_fit(jana, plant):
    opened = jana.get(edit_url(plant))
    jana.post(edit_url(plant), typed(opened, d40="IMPORT", v40="150", do="check"))
    plan = DayPlan.objects.get()

    text = text_of(jana.get(page(CHANGE, plan.pk)))
    again = jana.get(edit_url(plant))

    assert "150 kW is over the site's import limit of 100 kW; 100 kW would fit" in text
    assert again.context["page"].extra["sheet"].rows[40].notes
    assert PlanVersion.objects.get().state == PlanState.DRAFT


def test_publishing_says_what_is_sent_and_makes_a_turn_of_each_slot(jana, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    url = page("schedules_dayplan_publish_open", version.plan_id)

    asked = jana.get(url)
    done = jana.post(url, {"accept_warnings": "on"})

    version.refresh_from_db()
    assert "carried out by our dispatcher, with a site setpoint for each slot" in text_of(asked)
    assert (done.status_code, version.state) == (302, PlanState.PUBLISHED)
    assert SlotRun.objects.count() == version.slots.count()


def test_warnings_must_be_accepted(jana, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    assert version.problems  # nobody knows the charge of tomorrow

    answer = jana.post(page("schedules_dayplan_publish_open", version.plan_id), {})

    version.refresh_from_db()
    assert "accept them" in text_of(answer)
    assert version.state == PlanState.CHECKED


def test_what_publishing_would_change_is_told_against_the_version_in_force(jana, plant):
    make_plan(plant, at=AT, days=1)
    second = make_plan(plant, at=AT, days=1, scale=0.5, publishes=False)

    text = text_of(jana.get(page("schedules_dayplan_publish_open", second.plan_id)))

    assert "Version 1 ends." in text
    assert "changed: import" in text


def test_a_plan_is_cancelled_with_a_reason_and_says_what_is_sent_for_it(jana, plant):
    version = make_plan(plant, at=AT)
    url = page("schedules_dayplan_cancel", version.plan_id)

    asked = text_of(jana.get(url))
    jana.post(url, {"reason": "The contract ended"})

    version.refresh_from_db()
    assert "the plant's base mode is sent" in asked
    assert version.state == PlanState.CANCELLED
    assert "The contract ended" in text_of(jana.get(page(CHANGE, version.plan_id)))


def test_two_versions_are_compared(jana, plant):
    first = make_plan(plant, at=AT, days=1)
    second = make_plan(plant, at=AT, days=1, scale=0.5)

    answer = jana.get(page(CHANGE, first.plan_id), {"from": first.pk, "to": second.pk})

    text = text_of(answer)
    assert "From version 1 to version 2" in text
    assert f"{second.slots.count()} spans differ" in text


def test_a_day_is_copied_to_others_as_drafts(jana, plant):
    version = make_plan(plant, at=AT, days=1)
    first = version.plan.day + timedelta(days=1)

    jana.post(
        page("schedules_dayplan_copy", version.plan_id),
        {"first_day": first.isoformat(), "last_day": (first + timedelta(days=2)).isoformat()},
    )

    copies = PlanVersion.objects.exclude(pk=version.pk)
    assert [one.plan.day for one in copies.order_by("plan__day")] == [
        first + timedelta(days=n) for n in range(3)
    ]
    assert {one.state for one in copies} == {PlanState.DRAFT}


def test_the_page_tells_the_slot_that_runs_who_did_what_and_the_commands(jana, plant):
    (version,) = make_plans([plant], at=AT)[:1]

    text = text_of(jana.get(page(CHANGE, version.plan_id)))

    assert "Cheap night, dear evening" in text
    assert "Published" in text
    assert "ann" in text


def test_an_override_is_named_where_it_stands_above_a_slot(jana, plant):
    version = make_plan(plant, at=AT - timedelta(hours=1))
    make_plans([], at=AT)
    make_override(plant, at=AT)

    assert "In force instead: override by ann" in text_of(jana.get(page(CHANGE, version.plan_id)))


def test_several_drafts_are_checked_and_published_at_once_each_with_its_result(jana, plant):
    other = factories.plant(on=plant.connection, max_import_kw=100.0, capacity_kwh=200.0)
    versions = [make_plan(one, at=AT, days=1, publishes=False) for one in (plant, other)]
    selected = [version.plan_id for version in versions]

    asked = jana.post(page(LIST), {"action": "publish_selected", "_selected_action": selected}, follow=True)
    jana.post(asked.request["PATH_INFO"] + "?" + asked.request["QUERY_STRING"], {})

    assert "Publish 2 plans?" in text_of(asked)
    assert set(PlanVersion.objects.values_list("state", flat=True)) == {PlanState.PUBLISHED}


def test_selected_plans_are_exported_as_a_file_that_an_import_takes(jana, plant):
    version = make_plan(plant, at=AT, days=1)

    answer = jana.post(page(LIST), {"action": "export_selected", "_selected_action": [version.plan_id]})

    assert answer["Content-Type"].startswith("text/csv")
    assert answer.content.decode().splitlines()[0].startswith("plant,start,end,type,value,direction")


def test_who_may_only_look_sees_no_button_and_is_refused(staff, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    client = staff("schedules.view_dayplan")

    text = text_of(client.get(page(CHANGE, version.plan_id)))

    assert "Edit the slots" not in text
    for name in ("publish_open", "cancel", "copy", "discard", "check_open", "hand_over"):
        assert client.post(page(f"schedules_dayplan_{name}", version.plan_id), {}).status_code == 403
    assert client.get(edit_url(plant)).status_code == 403
    assert client.get(reverse("admin:schedules_dayplan_import")).status_code == 403


def test_who_may_plan_but_not_publish_is_refused(staff, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    client = staff("schedules.view_dayplan", "schedules.change_dayplan")

    answer = client.post(page("schedules_dayplan_publish_open", version.plan_id), {"accept_warnings": "on"})

    version.refresh_from_db()
    assert (answer.status_code, version.state) == (403, PlanState.CHECKED)


def test_the_list_costs_the_same_statements_however_many_plans_it_shows(jana, plant):
    make_plans([factories.plant(on=plant.connection) for _ in range(2)], at=AT)
    few = queries_of(lambda: jana.get(page(LIST)))
    make_plans([factories.plant(on=plant.connection) for _ in range(8)], at=AT)

    assert queries_of(lambda: jana.get(page(LIST))) == few


def test_the_plants_page_tells_what_is_planned_for_now_and_next(jana, plant):
    make_plan(plant, at=AT - timedelta(hours=1))
    make_plan(plant, at=AT, days=1, publishes=False)

    text = text_of(jana.get(page("plants_plant_change", plant.pk)))

    assert "Now Import 21.7 kW, 04:00-04:15" in text
    assert "Next Import 21.8 kW, 04:15-04:30 in 15 min" in text
    assert "Fri 2 Jan, today" in text
    assert "Sat 3 Jan" in text


def test_the_plants_page_tells_of_the_override_above_the_plan(jana, plant):
    make_override(plant, at=AT)

    text = text_of(jana.get(page("plants_plant_change", plant.pk)))

    assert "Overridden: Export 12 kW, ends in 45 min" in text
    assert "The grid operator called" in text


def test_a_plant_without_a_plan_says_so(jana, plant):
    assert "Now nothing planned" in text_of(jana.get(page("plants_plant_change", plant.pk)))
