"""The plant's page as this room completes it: what the plan says for now and next, and the override above it."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from dispatch.admin.plants import DispatchedPlantAdmin
from dispatch.models import Kind
from dispatch.words import command_title
from metering.days import local_day_of
from plants.admin.marks import EMPTY, ago, change_url, moment, zone_name
from plants.admin.theme import action
from plants.models import Plant
from schedules.admin.looks import plan_chip
from schedules.diffs import slot_text
from schedules.selectors.overrides import open_override
from schedules.selectors.plans import plans_of, slots_ahead

_DAYS_SHOWN = 5

admin.site.unregister(Plant)


@admin.register(Plant)
class PlannedPlantAdmin(DispatchedPlantAdmin):
    actions_detail = ["send_command", "plan_a_day", *DispatchedPlantAdmin.actions_detail[1:]]
    change_form_template = "admin/schedules/plant/change_form.html"

    def panels(self, plant: Plant, *, at: datetime) -> dict[str, Any]:
        return {**super().panels(plant, at=at), "plan": plan_panel(plant, at=at)}

    @action(description="Plan a day", url_path="plan", icon="calendar_view_day", permissions=["plan"])
    def plan_a_day(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the choice of the day, with this plant chosen."""
        return redirect(f"{reverse('admin:schedules_dayplan_choose')}?plant={object_id}")

    def has_plan_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may make drafts."""
        return request.user.has_perm("schedules.change_dayplan")


def plan_panel(plant: Plant, *, at: datetime) -> dict[str, Any]:
    """Now, next, what stands above, and the plans of the coming days; four statements."""
    ahead, zone = slots_ahead(plant_id=plant.pk, at=at), zone_name(plant.time_zone)
    return {
        "now": EMPTY if ahead.current is None else slot_text(ahead.current, zone=zone),
        "next": EMPTY if ahead.following is None else slot_text(ahead.following, zone=zone),
        "next_in": EMPTY if ahead.following is None else ago(ahead.following.start_at, now=at, zone=zone),
        "override": _override(plant, at),
        "days": _days(plant, at),
        "all_url": f"{reverse('admin:schedules_dayplan_changelist')}?plant__id__exact={plant.pk}",
        "override_url": f"{reverse('admin:schedules_override_begin')}?plant={plant.pk}",
    }


def _override(plant: Plant, at: datetime) -> dict[str, object] | None:
    row = open_override(plant_id=plant.pk, at=at)
    if row is None:
        return None
    return {
        "url": change_url(row),
        "ask": command_title(Kind.SITE_SETPOINT, row.payload),
        "by": row.by_name,
        "reason": row.reason,
        "ends": ago(row.until_at, now=at, zone=plant.time_zone),
        "until": moment(row.until_at, zone=plant.time_zone),
    }


def _days(plant: Plant, at: datetime) -> list[dict[str, object]]:
    today = local_day_of(at, zone=zone_name(plant.time_zone)).day
    rows = plans_of(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        first_day=today,
    )
    return [
        {
            "url": change_url(plan),
            "day": f"{plan.day:%a} {plan.day.day} {plan.day:%b}",
            "today": plan.day == today,
            "chips": [plan_chip(state) for state in (plan.in_force_state, plan.open_state) if state],  # type: ignore[attr-defined]
        }
        for plan in rows.order_by("day")[:_DAYS_SHOWN]
    ]
