"""Publishing, cancelling, discarding and copying from the console: asked first, done once, traced to a person."""

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from people.models import AuditEntry
from plants.models import Connection, ConnectionMode, Plant, ScheduleCarrier
from schedules.models import DayPlan, PlanState, PlanVersion, SlotRun
from tests import factories
from tests.console.plans.test_day_page import TODAY, TOMORROW, address
from tests.console.seed_plans import draft_of, published
from tests.factories import AT
from vcp import Family

HTMX = {"HX-Request": "true"}


def review(client: Client, plant: Plant, day: date = TOMORROW) -> str:
    answer = client.post(address(plant, day, "review/"), headers=HTMX)
    assert answer.status_code == 200
    return str(answer.content.decode())


def hidden(page: str) -> dict[str, str]:
    """The fields that the dialog brings back."""
    return dict(re.findall(r'<input type="hidden" name="(version|seen)" value="(\d+)">', page))


def publish(client: Client, plant: Plant, fields: dict[str, Any], day: date = TOMORROW) -> Any:
    return client.post(address(plant, day, "publish/"), fields, headers=HTMX)


def test_a_review_says_how_many_messages_go_out_and_that_they_are_signed(
    operator_client: Client, plant: Plant, link: Connection
) -> None:
    Connection.objects.filter(pk=link.pk).update(signed_families=[Family.COMMAND_SITE_SETPOINT])
    version = draft_of(plant, TOMORROW, at=AT)

    page = review(operator_client, plant)

    assert f"{version.slots.count()} setpoint messages" in page
    assert "signed with the key of Voke production" in page
    assert "Publish v1" in page


def test_what_was_reviewed_is_published_once_and_traced_to_the_person(
    operator_client: Client, plant: Plant
) -> None:
    version = draft_of(plant, TOMORROW, at=AT)
    fields = hidden(review(operator_client, plant)) | {"reason": "Price peak", "accept": "on"}

    answers = [publish(operator_client, plant, fields) for _ in range(2)]

    version.refresh_from_db()
    assert [one.headers["HX-Redirect"] for one in answers] == [address(plant, TOMORROW)] * 2
    assert version.state == PlanState.PUBLISHED
    assert SlotRun.objects.count() == version.slots.count()
    entry = AuditEntry.objects.get(action="plan.published")
    assert (entry.reason, entry.subject) == ("Price peak", f"PREROV-02 {TOMORROW} v1")


def test_a_draft_that_changed_since_the_review_is_reviewed_again(
    operator_client: Client, plant: Plant
) -> None:
    version = draft_of(plant, TOMORROW, at=AT)
    fields = hidden(review(operator_client, plant)) | {"accept": "on"}
    draft_of(plant, TOMORROW, at=AT, scale=0.5)

    answer = publish(operator_client, plant, fields)

    version.refresh_from_db()
    assert answer.status_code == 409
    assert "PLAN_CHANGED" in answer.content.decode()
    assert version.state == PlanState.CHECKED
    assert not AuditEntry.objects.filter(action="plan.published").exists()


def test_warnings_have_to_be_accepted(operator_client: Client, plant: Plant) -> None:
    version = draft_of(plant, TOMORROW, at=AT, scale=1.15)
    fields = hidden(review(operator_client, plant))

    answer = publish(operator_client, plant, fields)

    version.refresh_from_db()
    assert (answer.status_code, version.state) == (409, PlanState.CHECKED)
    assert "WARNINGS_NOT_ACCEPTED" in answer.content.decode()


def test_a_day_with_conflicts_can_not_be_published_and_names_them(
    operator_client: Client, plant: Plant
) -> None:
    draft_of(plant, TOMORROW, at=AT, scale=3)

    page = review(operator_client, plant)

    assert "must be changed first" in page
    assert "Over the grid limit" in page
    assert 'name="reason"' not in page


def test_a_review_of_a_running_day_names_what_differs_from_the_version_in_force(
    operator_client: Client, plant: Plant
) -> None:
    published(plant, TODAY, at=AT - timedelta(hours=8))
    draft_of(plant, TODAY, at=AT, scale=0.5)

    page = review(operator_client, plant, TODAY)

    assert "v1 ends now" in page
    assert "differ from v1" in page


def test_a_connection_that_only_observes_is_told_before_one_publishes(
    operator_client: Client, plant: Plant
) -> None:
    assert plant.connection is not None
    type(plant.connection).objects.filter(pk=plant.connection_id).update(mode=ConnectionMode.OBSERVE)
    draft_of(plant, TOMORROW, at=AT)

    assert "only observes: nothing is sent" in review(operator_client, plant)


def test_a_plan_that_voke_carries_is_told_as_schedules(operator_client: Client, plant: Plant) -> None:
    Plant.objects.filter(pk=plant.pk).update(schedule_carrier=ScheduleCarrier.VOKE)
    draft_of(plant, TOMORROW, at=AT)

    assert "1 message to Voke" in review(operator_client, plant)


def test_without_a_draft_there_is_nothing_to_review(operator_client: Client, plant: Plant) -> None:
    assert "no draft to publish" in review(operator_client, plant)


@pytest.mark.parametrize("what", ["review", "publish", "discard", "cancel", "fill", "copy"])
def test_a_viewer_decides_nothing(viewer_client: Client, plant: Plant, what: str) -> None:
    draft_of(plant, TOMORROW, at=AT)

    answer = viewer_client.post(address(plant, TOMORROW, f"{what}/"), {"version": "1"})

    assert answer.status_code == 403
    assert PlanVersion.objects.get().state == PlanState.CHECKED


# --- ending -----------------------------------------------------------------------------------------------------------


def test_cancelling_asks_why_and_ends_the_plan(operator_client: Client, plant: Plant) -> None:
    version = published(plant, TOMORROW, at=AT)
    asked = operator_client.get(address(plant, TOMORROW, "cancel/"), headers=HTMX).content.decode()

    without = operator_client.post(address(plant, TOMORROW, "cancel/"), hidden(asked), headers=HTMX)
    done = operator_client.post(
        address(plant, TOMORROW, "cancel/"), hidden(asked) | {"reason": "Maintenance"}, headers=HTMX
    )

    version.refresh_from_db()
    assert f"{version.slots.count()} slots that are not over are not carried out" in asked
    assert (without.status_code, done.status_code) == (422, 204)
    assert version.state == PlanState.CANCELLED
    assert AuditEntry.objects.get(action="plan.cancelled").reason == "Maintenance"


def test_discarding_twice_is_the_same_as_once(operator_client: Client, plant: Plant) -> None:
    version = draft_of(plant, TOMORROW, at=AT)

    answers = [
        operator_client.post(address(plant, TOMORROW, "discard/"), {"version": version.pk}, headers=HTMX)
        for _ in range(2)
    ]

    assert [one.status_code for one in answers] == [204, 204]
    assert AuditEntry.objects.filter(action="plan.discarded").count() == 1


def test_another_version_than_the_one_that_was_asked_about_is_not_ended(
    operator_client: Client, plant: Plant
) -> None:
    version = published(plant, TOMORROW, at=AT)

    answer = operator_client.post(
        address(plant, TOMORROW, "cancel/"), {"version": version.pk + 1, "reason": "x"}, headers=HTMX
    )

    version.refresh_from_db()
    assert (answer.status_code, version.state) == (409, PlanState.PUBLISHED)


# --- copying ----------------------------------------------------------------------------------------------------------


def test_a_day_is_copied_to_working_days_only(operator_client: Client, plant: Plant) -> None:
    published(plant, TODAY, at=AT - timedelta(hours=8))

    answer = operator_client.post(
        address(plant, TODAY, "copy/"),
        {"first_day": "2026-01-03", "last_day": "2026-01-06", "weekdays_only": "on"},
        headers=HTMX,
    )

    days = DayPlan.objects.filter(plant=plant).exclude(day=TODAY).values_list("day", flat=True)
    assert answer.status_code == 200
    assert sorted(days) == [date(2026, 1, 5), date(2026, 1, 6)]


@pytest.mark.parametrize(
    "fields",
    [
        {"first_day": ""},
        {"first_day": "2026-01-05", "last_day": "2026-01-04"},
        {"first_day": "2026-01-05", "last_day": "2026-06-04"},
        {"first_day": TODAY.isoformat()},
    ],
)
def test_days_that_make_no_sense_come_back_with_their_error(
    operator_client: Client, plant: Plant, fields: dict[str, str]
) -> None:
    published(plant, TODAY, at=AT - timedelta(hours=8))

    answer = operator_client.post(address(plant, TODAY, "copy/"), fields, headers=HTMX)

    assert answer.status_code == 422
    assert "err" in answer.content.decode()


def test_an_empty_day_begins_with_the_last_planned_one(operator_client: Client, plant: Plant) -> None:
    source = published(plant, TODAY, at=AT - timedelta(hours=8))
    page = operator_client.get(address(plant, TOMORROW)).content.decode()

    answer = operator_client.post(
        address(plant, TOMORROW, "fill/"), {"from": TODAY.isoformat()}, headers=HTMX
    )

    assert "Copy Fri 2 January" in page
    assert answer.headers["HX-Redirect"] == address(plant, TOMORROW)
    assert PlanVersion.objects.get(plan__day=TOMORROW).slots.count() == source.slots.count()


def test_a_day_of_somebody_else_is_not_copied(operator_client: Client) -> None:
    theirs = factories.plant()

    assert operator_client.post(address(theirs, TOMORROW, "fill/"), {"from": str(TODAY)}).status_code == 404
