"""Alarms as told by Voke or raised by the platform about itself: to be looked at, nothing of them is written here."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import MachineOwned, without_secrets
from plants.admin.looks import severity_chip
from plants.admin.marks import NOTHING, Family, Look, ago, chip, link, moment, stack
from plants.admin.theme import AutocompleteSelectFilter, DropdownFilter, RelatedDropdownFilter, display
from plants.models import Alarm
from plants.words import label_text


class OpenFilter(DropdownFilter):
    """Raised or cleared."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Still raised"), ("cleared", "Cleared")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.filter(cleared_at__isnull=True)
            case "cleared":
                return queryset.filter(cleared_at__isnull=False)
        return queryset


class SeverityFilter(DropdownFilter):
    """The known severities; Voke may send others, which are found by the search."""

    title = "severity"
    parameter_name = "severity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, label_text(word)) for word in ("CRITICAL", "ERROR", "WARNING", "INFO")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(severity=self.value()) if self.value() else queryset


@admin.register(Alarm)
class AlarmAdmin(MachineOwned):
    list_display = ("what", "severity_mark", "plant_link", "raised", "cleared", "origin")
    list_filter = (
        OpenFilter,
        SeverityFilter,
        "origin",
        ("plant", AutocompleteSelectFilter),
        ("plant__organisation", RelatedDropdownFilter),
    )
    search_fields = ("=alarm_id", "code", "severity", "plant__name", "plant__external_plant_id")
    search_help_text = "Code, alarm id, severity or plant"
    ordering = ("-raised_at",)
    fieldsets = (
        (None, {"fields": ("severity_mark", "code", "message", "plant_link", "device_id", "origin")}),
        ("Times", {"fields": ("raised", "cleared", "told", "received")}),
        (
            "Measured",
            {"fields": ("actual_value", "expected_value", "breached_field", "tolerance_pct", "metadata")},
        ),
        ("Identity", {"fields": ("alarm_id", "connection_link")}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Alarm]":
        return without_secrets(
            super().get_queryset(request).select_related("plant", "connection"), "connection"
        )

    @display(description="Alarm", ordering="code")
    def what(self, row: Alarm) -> SafeString:
        return stack(label_text(row.code), row.message[:160])

    @display(description="Severity", ordering="severity")
    def severity_mark(self, row: Alarm) -> SafeString:
        return severity_chip(row.severity)

    @display(description="Plant", ordering="plant__name")
    def plant_link(self, row: Alarm) -> SafeString:
        return link(row.plant, row.plant.name) if row.plant else NOTHING

    @display(description="Raised", ordering="raised_at")
    def raised(self, row: Alarm) -> SafeString:
        return moment(row.raised_at, zone=_zone(row))

    @display(description="Cleared", ordering="cleared_at")
    def cleared(self, row: Alarm) -> SafeString:
        if row.cleared_at is None:
            title = "Nobody has said that it is over"
            return chip(
                Look(icon="notifications_active", word="Still raised", family=Family.DOUBT), title=title
            )
        return ago(row.cleared_at, now=clock.now(), zone=_zone(row))

    @display(description="Told by Voke")
    def told(self, row: Alarm) -> SafeString:
        return moment(row.told_at, zone=_zone(row), precise=True)

    @display(description="Received")
    def received(self, row: Alarm) -> SafeString:
        return moment(row.received_at, zone=_zone(row), precise=True)

    @display(description="Connection")
    def connection_link(self, row: Alarm) -> SafeString:
        return link(row.connection, row.connection.name) if row.connection else NOTHING


def _zone(row: Alarm) -> str:
    """The plant's clock; an alarm about a connection or the installation is told in UTC."""
    return row.plant.time_zone if row.plant else "UTC"
