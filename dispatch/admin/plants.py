"""The plant's pages as this room completes them: latch, last commands, switches, and the ways to send."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString

from dispatch.admin.looks import latch_chip, state_chip
from dispatch.admin.order_scope import ask_url, choose_organisation, remember_selection
from dispatch.admin.site import site_config_page
from dispatch.models import Command
from dispatch.selectors import last_commands, open_latch, with_latch
from dispatch.services.orders import MOST_PLANTS
from dispatch.words import command_title
from plants.admin.connection_forms import SwitchForm
from plants.admin.looks import switch_chip
from plants.admin.marks import ago, change_url, link
from plants.admin.pages import Page, found_or_404, posted, require, run_page
from plants.admin.plant import PlantAdmin
from plants.admin.theme import ActionVariant, DropdownFilter, action
from plants.models import Plant
from plants.services.plants import set_plant_dispatch
from plants.texts import number_of


class LatchFilter(DropdownFilter):
    """Whether an emergency holds the plant."""

    title = "emergency"
    parameter_name = "latch"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("latched", "Latched"), ("free", "Not latched")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() in ("latched", "free"):
            return queryset.filter(latch_type__isnull=self.value() == "free")
        return queryset


@admin.register(Plant)
class DispatchedPlantAdmin(PlantAdmin):
    list_filter = (*PlantAdmin.list_filter[:2], "connection__mode", LatchFilter, *PlantAdmin.list_filter[2:])
    actions = ["stop_selected"]
    actions_list = ["emergency_of_all"]
    actions_detail = ["send_command", "switch_dispatch", "site_config", "emergency"]
    change_form_template = "admin/dispatch/plant/change_form.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Plant]":
        return with_latch(super().get_queryset(request))

    def attention_chips(self, row: Plant) -> list[SafeString]:
        found = super().attention_chips(row)
        latched = getattr(row, "latch_type", None)
        return [latch_chip(latched), *found] if latched else found

    def panels(self, plant: Plant, *, at: datetime) -> dict[str, Any]:
        latch = open_latch(plant_id=plant.pk)
        commands = last_commands(plant_id=plant.pk)
        return {
            **super().panels(plant, at=at),
            "latch": latch,
            "latch_chip": latch_chip(latch.type) if latch is not None else "",
            "latch_since": ago(latch.set_at, now=at, zone=plant.time_zone) if latch is not None else "",
            "command_rows": [_command_row(command, plant, at=at) for command in commands],
            "commands_url": f"{reverse('admin:dispatch_command_changelist')}?plant__id__exact={plant.pk}",
            "measurements": [
                (f"{reverse(f'admin:metering_{name}_changelist')}?plant__id__exact={plant.pk}", words)
                for name, words in _MEASUREMENTS
            ],
        }

    @action(
        description="Send a command",
        url_path="send",
        icon="send",
        variant=ActionVariant.PRIMARY,
        permissions=["send_command"],
    )
    def send_command(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the form, with this plant chosen."""
        return redirect(f"{reverse('admin:dispatch_command_send')}?plant={object_id}")

    @action(
        description="Emergency",
        url_path="emergency",
        icon="emergency_home",
        variant=ActionVariant.DANGER,
        permissions=["send_emergency"],
    )
    def emergency(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the confirmation page of an emergency."""
        return redirect(f"{reverse('admin:dispatch_command_emergency')}?plants={object_id}")

    @action(
        description="Site config", url_path="site-config", icon="published_with_changes", permissions=["view"]
    )
    def site_config(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What Voke was told of the plant and what it has; publish it again."""
        return site_config_page(self, request, found_or_404(self, request, object_id))

    @action(description="Dispatch switch", url_path="dispatch", icon="toggle_on", permissions=["change"])
    def switch_dispatch(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop or allow publishing for one plant."""
        plant: Plant = found_or_404(self, request, object_id)
        turn_on = not plant.dispatch_enabled
        form = SwitchForm(posted(request), initial={"enabled": "on" if turn_on else "off"})
        page = Page(
            title=f"Switch dispatch of {plant.name} {'on' if turn_on else 'off'}?",
            submit="Switch on" if turn_on else "Switch off",
            facts=(("Now", switch_chip(enabled=plant.dispatch_enabled)),),
            effects=_SWITCH_EFFECTS[turn_on],
            danger=not turn_on,
            back=change_url(plant),
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            set_plant_dispatch(plant_id=plant.pk, enabled=asked["enabled"])
            word = "on" if asked["enabled"] else "off"
            self.log_change(request, plant, f"Switched dispatch {word}.")
            messages.success(request, f"Dispatch of {plant.name} is {word}.")
            return redirect(change_url(plant))

        return run_page(self, request, page=page, form=form, act=act, row=plant)

    @action(
        description="Emergency for all plants",
        url_path="emergency-for-all",
        icon="emergency_home",
        variant=ActionVariant.DANGER,
        permissions=["send_emergency"],
    )
    def emergency_of_all(self, request: HttpRequest) -> HttpResponse:
        """To the confirmation page, with all plants of the connection or organisation that the list is filtered by."""
        require(request, "dispatch.send_emergency")
        for scope in ("connection", "organisation"):
            if number_of(request.GET.get(scope, "")) is not None:
                return redirect(ask_url(**{scope: request.GET[scope]}))
        return choose_organisation(self, request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        response = super().changelist_view(request, extra_context)
        shown = {
            scope: request.GET.get(f"{scope}__id__exact", "") for scope in ("organisation", "connection")
        }
        query = urlencode({scope: pk for scope, pk in shown.items() if number_of(pk) is not None})
        for button in (getattr(response, "context_data", None) or {}).get("actions_list", []):
            button["path"] += f"?{query}" if query else ""
        return response

    @admin.action(description="Emergency for selected plants", permissions=["send_emergency"])
    def stop_selected(self, request: HttpRequest, queryset: "QuerySet[Plant]") -> HttpResponse | None:
        """To the confirmation page, with these plants; of one organisation, since an order belongs to one."""
        found = list(queryset.order_by("pk").values_list("pk", "organisation_id")[: MOST_PLANTS + 1])
        if len({owner for _, owner in found}) > 1:
            messages.error(request, "Choose plants of one organisation.")
            return None
        return redirect(remember_selection(request, [pk for pk, _ in found]))

    # The theme's check of permissions by their full name would ask the database at start-up.
    def has_send_command_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may send commands."""
        return request.user.has_perm("dispatch.send_command")

    def has_send_emergency_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may send emergencies."""
        return request.user.has_perm("dispatch.send_emergency")


_MEASUREMENTS = (
    ("gap", "Gaps in its measurements"),
    ("registerevent", "Register events"),
    ("streamperiod", "Stream periods"),
)
_SWITCH_EFFECTS = {
    True: ("What waits for the plant in the outbox is published at once, unless its time has passed.",),
    False: (
        "Nothing more is published for this plant: no command, no emergency, no site config.",
        "Commands are refused while the switch is off; those already waiting stay until their time passes.",
    ),
}


def _command_row(
    command: Command, plant: Plant, *, at: datetime
) -> tuple[SafeString, SafeString, str, SafeString]:
    """(title, state, who asked, when)."""
    return (
        link(command, command_title(command.kind, command.payload)),
        state_chip(command),
        command.requested_by_name,
        ago(command.requested_at, now=at, zone=plant.time_zone),
    )
