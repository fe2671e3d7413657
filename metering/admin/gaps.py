"""The gap ledger for people: which measurements are missing since when, why, and what came of it."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from esm import clock
from metering.models import Gap
from plants.admin.base import MachineOwned
from plants.admin.marks import NOTHING, Family, Look, chip, link, moment, muted, stack
from plants.admin.theme import AutocompleteSelectFilter, DropdownFilter, display
from plants.words import span_text

_OPEN = Look(icon="hearing_disabled", word="Open", family=Family.FAIL)
_MISSING = Look(icon="hourglass_empty", word="Not filled", family=Family.DOUBT)
_FILLED = Look(icon="check", word="Filled", family=Family.OK)
_GIVEN_UP = Look(icon="block", word="Given up", family=Family.WAIT)


class WhatBecameFilter(DropdownFilter):
    """What became of a gap."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("open", "Open"),
            ("unfilled", "Ended, not filled"),
            ("filled", "Filled"),
            ("given_up", "Given up"),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.filter(to_at__isnull=True)
            case "unfilled":
                return queryset.filter(to_at__isnull=False, filled_at__isnull=True, given_up_at__isnull=True)
            case "filled":
                return queryset.filter(filled_at__isnull=False)
            case "given_up":
                return queryset.filter(filled_at__isnull=True, given_up_at__isnull=False)
        return queryset


@admin.register(Gap)
class GapAdmin(MachineOwned):
    list_display = ("whose", "state_mark", "began", "ended", "missing", "why")
    list_filter = (WhatBecameFilter, "stream", "cause", ("plant", AutocompleteSelectFilter))
    search_fields = ("plant__name", "plant__external_plant_id", "=device_id")
    search_help_text = "Plant or device"
    ordering = ("-from_at",)
    fieldsets = (
        (None, {"fields": ("plant_link", "stream", "device_id", "state_mark", "cause", "cause_detail")}),
        ("Times", {"fields": ("began", "ended", "missing", "expected", "found")}),
        ("What came of it", {"fields": ("filled", "filled_from", "given_up")}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Gap]":
        return super().get_queryset(request).select_related("plant")

    @display(description="Plant", ordering="plant__name")
    def whose(self, row: Gap) -> SafeString:
        return stack(row.plant.name, f"{row.get_stream_display()} {row.device_id}".strip())

    @display(description="Plant")
    def plant_link(self, row: Gap) -> SafeString:
        return link(row.plant, row.plant.name)

    @display(description="State")
    def state_mark(self, row: Gap) -> SafeString:
        if row.filled_at is not None:
            return chip(_FILLED, title=row.get_filled_from_display())
        if row.given_up_at is not None:
            return chip(_GIVEN_UP)
        return chip(_OPEN if row.to_at is None else _MISSING)

    @display(description="From", ordering="from_at")
    def began(self, row: Gap) -> SafeString:
        return moment(row.from_at, precise=True, zone=row.plant.time_zone)

    @display(description="To", ordering="to_at")
    def ended(self, row: Gap) -> SafeString:
        if row.to_at is None:
            return muted("still silent")
        return moment(row.to_at, precise=True, zone=row.plant.time_zone)

    @display(description="Missing", ordering="missing_s")
    def missing(self, row: Gap) -> str | SafeString:
        """Of an open gap until now: nothing writes a row each second."""
        seconds = row.missing_s
        if row.to_at is None:
            seconds = max(seconds, (clock.now() - row.from_at).total_seconds())
        return span_text(timedelta(seconds=seconds)) if seconds >= 1 else NOTHING

    @display(description="Cause", ordering="cause")
    def why(self, row: Gap) -> SafeString:
        return format_html("{}<br>{}", row.get_cause_display(), muted(row.cause_detail))

    @display(description="Expected every")
    def expected(self, row: Gap) -> str:
        return span_text(timedelta(seconds=row.expected_period_s))

    @display(description="Found")
    def found(self, row: Gap) -> SafeString:
        return moment(row.found_at, precise=True)

    @display(description="Filled")
    def filled(self, row: Gap) -> SafeString:
        return moment(row.filled_at, precise=True)

    @display(description="Given up")
    def given_up(self, row: Gap) -> SafeString:
        return moment(row.given_up_at, precise=True)
