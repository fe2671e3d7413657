"""Alarms as told by Voke or raised by the platform about itself: to be looked at, nothing of them is written here."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import MachineOwned, without_secrets
from plants.admin.looks import severity_chip
from plants.admin.marks import NOTHING, Family, Look, ago, chip, link, moment, muted, stack
from plants.admin.theme import AutocompleteSelectFilter, DropdownFilter, display
from plants.models import Alarm, Organisation, User
from plants.selectors.overview import IS_OPEN
from plants.texts import number_of
from plants.words import label_text


class OpenFilter(DropdownFilter):
    """Open, raised or cleared."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("raised", "Still raised"), ("cleared", "Cleared")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.filter(IS_OPEN)
            case "raised":
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


class OwnerFilter(DropdownFilter):
    """By organisation, whether the alarm is about one of its plants, its connections or itself."""

    title = "organisation"
    parameter_name = "organisation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Organisation.objects.values_list("pk", "name")[:500]]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = number_of(self.value() or "")
        if wanted is None:
            return queryset
        return queryset.filter(
            Q(plant__organisation=wanted) | Q(connection__organisation=wanted) | Q(organisation=wanted)
        )


@admin.register(Alarm)
class AlarmAdmin(MachineOwned):
    list_display = ("what", "severity_mark", "about", "raised", "cleared", "origin")
    list_filter = (
        OpenFilter,
        SeverityFilter,
        "origin",
        ("plant", AutocompleteSelectFilter),
        OwnerFilter,
    )
    search_fields = (
        "=alarm_id", "code", "severity", "plant__name", "plant__external_plant_id", "connection__name",
    )  # fmt: skip
    search_help_text = "Code, alarm id, severity, plant or connection"
    ordering = ("-raised_at",)
    fieldsets = (
        (None, {"fields": ("severity_mark", "code", "message", "about", "device_id", "origin")}),
        ("Times", {"fields": ("raised", "cleared", "told", "received")}),
        (
            "Measured",
            {"fields": ("actual_value", "expected_value", "breached_field", "tolerance_pct", "metadata")},
        ),
        ("In the inbox", {"fields": ("owner", "acknowledged", "closed", "why")}),
        ("Identity", {"fields": ("alarm_id", "connection_link")}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Alarm]":
        return without_secrets(
            super()
            .get_queryset(request)
            .select_related("plant", "connection", "organisation", "case__owner")
            .select_related("case__acknowledged_by", "case__closed_by"),
            "connection",
        )

    @display(description="Alarm", ordering="code")
    def what(self, row: Alarm) -> SafeString:
        return stack(label_text(row.code), row.text[:160])

    @display(description="Severity", ordering="severity")
    def severity_mark(self, row: Alarm) -> SafeString:
        return severity_chip(row.severity)

    @display(description="About", ordering="plant__name")
    def about(self, row: Alarm) -> SafeString:
        place = row.plant or row.connection or row.organisation
        return link(place, place.name) if place is not None else muted("This installation")

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

    @display(description="Owner")
    def owner(self, row: Alarm) -> SafeString:
        return _person(row.case.owner if row.case else None)

    @display(description="Acknowledged")
    def acknowledged(self, row: Alarm) -> SafeString:
        if row.case is None or row.case.acknowledged_at is None:
            return muted("By nobody")
        return stack(_person(row.case.acknowledged_by), moment(row.case.acknowledged_at, zone=_zone(row)))

    @display(description="Closed")
    def closed(self, row: Alarm) -> SafeString:
        if row.case is None or row.case.closed_at is None:
            return muted("Open")
        return stack(_person(row.case.closed_by), moment(row.case.closed_at, zone=_zone(row)))

    @display(description="Closed because")
    def why(self, row: Alarm) -> SafeString:
        return muted(row.case.closed_why) if row.case and row.case.closed_why else NOTHING

    @display(description="Connection")
    def connection_link(self, row: Alarm) -> SafeString:
        return link(row.connection, row.connection.name) if row.connection else NOTHING


def _person(user: User | None) -> SafeString:
    return muted("Nobody") if user is None else muted(user.get_full_name() or user.get_username())


def _zone(row: Alarm) -> str:
    """The plant's clock; an alarm about a connection or the installation is told in UTC."""
    return row.plant.time_zone if row.plant else "UTC"
