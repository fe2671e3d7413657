"""Filters of the plant list by what a person would ask for."""

from typing import Any

from django.http import HttpRequest

from esm import clock
from plants.admin.theme import DropdownFilter
from plants.selectors.overview import silent
from plants.words import RECENT_WITHIN


class DataFilter(DropdownFilter):
    """Whether telemetry arrives."""

    title = "data"
    parameter_name = "data"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "Sending now"), ("silent", "Gone silent"), ("never", "Never sent")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        at = clock.now()
        match self.value():
            case "live":
                return queryset.filter(state__measured_at__gte=at - RECENT_WITHIN)
            case "silent":
                return silent(queryset, at=at)
            case "never":
                return queryset.filter(state__measured_at__isnull=True)
        return queryset


class AlarmFilter(DropdownFilter):
    """Whether alarms are raised."""

    title = "alarms"
    parameter_name = "alarms"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "With open alarms"), ("none", "Without")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "open":
                return queryset.filter(open_alarms__gt=0)
            case "none":
                return queryset.filter(open_alarms=0)
        return queryset
