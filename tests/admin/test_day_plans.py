"""Day plans in the admin: listed, made on a sheet, checked, published, compared, copied, cancelled."""

from datetime import timedelta

import pytest
from django.urls import reverse

from metering.days import local_day_of
from plants.models import ConnectionMode, Plant
from schedules.models import DayPlan, PlanSlot, PlanState, PlanVersion, SlotRun
from tests import factories
from tests.admin.pages import page, text_of
from tests.admin.seed_plans import make_override, make_plan, make_plans
from tests.dispatch.helpers import ask, stop_now
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


def accepted(response, **changes):
    """What the page of a publication would send back, its warnings accepted."""
    return {"seen": response.context["form"]["seen"].value(), "accept_warnings": "on"} | changes


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
    done = jana.post(url, accepted(asked))

    version.refresh_from_db()
    assert "carried out by our dispatcher, with a site setpoint for each slot" in text_of(asked)
    assert (done.status_code, version.state) == (302, PlanState.PUBLISHED)
    assert SlotRun.objects.count() == version.slots.count()


def test_warnings_must_be_accepted(jana, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    assert version.problems  # nobody knows the charge of tomorrow

    url = page("schedules_dayplan_publish_open", version.plan_id)
    answer = jana.post(url, accepted(jana.get(url), accept_warnings=""))

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
    url = asked.request["PATH_INFO"] + "?" + asked.request["QUERY_STRING"]
    refused = jana.post(url, accepted(asked, accept_warnings=""))
    assert "There are warnings: accept them" in text_of(refused)
    jana.post(url, accepted(asked))

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


def test_who_may_publish_but_not_plan_publishes(staff, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    client = staff("schedules.view_dayplan", "schedules.publish_plan")

    asked = client.get(page("schedules_dayplan_publish_open", version.plan_id))

    assert asked.status_code == 200
    assert client.post(page("schedules_dayplan_check_open", version.plan_id), {}).status_code == 403


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


def test_what_was_checked_anew_since_somebody_looked_is_shown_before_it_is_published(jana, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    url = page("schedules_dayplan_publish_open", version.plan_id)
    looked = accepted(jana.get(url))
    make_plan(plant, at=AT, days=1, scale=0.5, publishes=False)  # the same draft, changed and checked by ann

    answer = jana.post(url, looked, follow=True)

    version.refresh_from_db()
    assert version.state == PlanState.CHECKED
    assert "somebody changed the plan meanwhile" in text_of(answer).lower()
    assert jana.post(url, accepted(answer)).status_code == 302
    version.refresh_from_db()
    assert version.state == PlanState.PUBLISHED


def test_a_warning_that_came_since_the_check_is_shown_and_may_then_be_accepted(jana, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    url = page("schedules_dayplan_publish_open", version.plan_id)
    looked = accepted(jana.get(url))
    ask(plant, stop_now(), at=AT)

    shown = jana.post(url, looked, follow=True)

    assert "under an emergency STOP" in text_of(shown)
    assert jana.post(url, accepted(shown)).status_code == 302
    version.refresh_from_db()
    assert version.state == PlanState.PUBLISHED


def test_an_error_that_came_since_the_check_leads_to_the_slots(jana, plant):
    version = make_plan(plant, at=AT, days=1, publishes=False)
    url = page("schedules_dayplan_publish_open", version.plan_id)
    looked = accepted(jana.get(url))
    Plant.objects.filter(pk=plant.pk).update(max_import_kw=1)

    answer = jana.post(url, looked)

    version.refresh_from_db()
    assert answer["Location"] == page(CHANGE, version.plan_id)
    assert (version.state, version.problems[0]["code"]) == (PlanState.DRAFT, "SITE_LIMIT")


def test_slots_that_are_over_need_nobodys_consent(jana, plant):
    Plant.objects.filter(pk=plant.pk).update(capacity_kwh=0)
    version = make_plan(plant, at=AT, publishes=False)
    assert {one["code"] for one in version.problems} == {"PAST"}
    url = page("schedules_dayplan_publish_open", version.plan_id)

    asked = jana.get(url)
    jana.post(url, {"seen": asked.context["form"]["seen"].value()})

    version.refresh_from_db()
    assert "accept_warnings" not in asked.context["form"].fields
    assert version.state == PlanState.PUBLISHED


def test_a_page_that_spoke_of_another_version_cancels_nothing(jana, plant):
    first = make_plan(plant, at=AT)
    url = page("schedules_dayplan_cancel", first.plan_id)
    shown = jana.get(url).context["form"]["version"].value()
    second = make_plan(plant, at=AT, scale=0.5)

    answer = jana.post(url, {"version": shown, "reason": "The contract ended"}, follow=True)

    second.refresh_from_db()
    assert "another version stands there by now" in text_of(answer)
    assert second.state == PlanState.PUBLISHED


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2026-02-30", "soon"])
def test_a_day_that_cannot_be_planned_has_no_page(jana, plant, day):
    assert jana.get(page("schedules_dayplan_edit", plant.pk, day)).status_code == 404


def test_an_address_with_a_number_beyond_all_ids_shows_the_plan(jana, plant):
    version = make_plan(plant, at=AT, days=1)
    url = page(CHANGE, version.plan_id)

    for query in (f"version={'9' * 30}", f"from={'9' * 5000}&to={version.pk}"):
        assert jana.get(f"{url}?{query}").status_code == 200


def test_more_than_a_request_can_do_is_refused_and_not_done_by_halves(jana, plant, monkeypatch):
    monkeypatch.setattr("schedules.admin.plan_list.MOST_AT_ONCE", 1)
    versions = [make_plan(plant, at=AT, days=days, publishes=False) for days in (1, 2)]
    selected = [version.plan_id for version in versions]

    for name in ("check_selected", "publish_selected", "export_selected"):
        answer = jana.post(page(LIST), {"action": name, "_selected_action": selected}, follow=True)
        assert "choose at most 1 plans at once" in text_of(answer)


def test_the_name_of_an_exported_file_holds_whatever_the_plants_id_holds(jana, plant):
    Plant.objects.filter(pk=plant.pk).update(external_plant_id='Přerov "2"')
    version = make_plan(Plant.objects.get(pk=plant.pk), at=AT, days=1)

    answer = jana.get(page("schedules_dayplan_export", version.plan_id))

    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''P%C5%99erov%20%222%22-")
