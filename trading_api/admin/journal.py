"""The pull journal: every request of the reverse channel, as it was answered."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from plants.admin.base import MachineOwned
from plants.admin.bytes_view import bytes_panel
from plants.admin.marks import EMPTY, NOTHING, copyable, link, moment, mono, muted, plain, stack
from plants.admin.theme import AutocompleteSelectFilter, DropdownFilter, RelatedDropdownFilter, display
from trading_api.admin.looks import status_chip
from trading_api.models import PullJournal
from trading_api.paths import Endpoint


class AnswerFilter(DropdownFilter):
    """By what the answer meant."""

    title = "answer"
    parameter_name = "answer"
    RANGES = {"ok": (200, 399), "refused": (400, 499), "failed": (500, 599)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("ok", "Answered"), ("refused", "Refused"), ("failed", "Failed")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        bounds = self.RANGES.get(self.value() or "")
        return queryset.filter(status__range=bounds) if bounds else queryset


class EndpointFilter(DropdownFilter):
    """By what was asked for."""

    title = "endpoint"
    parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one.value, one.value) for one in Endpoint]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(endpoint=self.value()) if self.value() else queryset


@admin.register(PullJournal)
class PullJournalAdmin(MachineOwned):
    list_display = ("request_line", "answer", "plant_mark", "client", "when", "took")
    list_filter = (
        AnswerFilter,
        EndpointFilter,
        ("organisation", RelatedDropdownFilter),
        ("plant", AutocompleteSelectFilter),
    )
    search_fields = ("=request_id", "client_id", "plant_ref", "result")
    search_help_text = "Request id, client id, plant or result"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("request_line", "answer", "detail", "when", "took", "repeated")}),
        ("Who", {"fields": ("client", "organisation", "address", "request_copy")}),
        ("What", {"fields": ("plant_mark", "served", "sizes", "content")}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PullJournal]":
        return super().get_queryset(request).select_related("plant", "organisation", "credential")

    @display(description="Request", ordering="endpoint")
    def request_line(self, row: PullJournal) -> SafeString:
        return stack(row.endpoint, row.method)

    @display(description="Answer", ordering="status")
    def answer(self, row: PullJournal) -> SafeString:
        return format_html("{} {}", status_chip(row), muted(row.result)) if row.result else status_chip(row)

    @display(description="Plant", ordering="plant_ref")
    def plant_mark(self, row: PullJournal) -> SafeString:
        if row.plant is not None:
            return link(row.plant, row.plant.name)
        return mono(row.plant_ref) if row.plant_ref else EMPTY

    @display(description="Client", ordering="client_id")
    def client(self, row: PullJournal) -> SafeString:
        if row.credential is not None:
            return plain(link(row.credential, row.credential.client_id), row.address or "")
        return plain(row.client_id or "unknown", row.address or "")

    @display(description="When", ordering="at")
    def when(self, row: PullJournal) -> SafeString:
        zone = None if row.plant is None else row.plant.time_zone
        if row.count == 1:
            return moment(row.at, zone=zone)
        return format_html(
            "{} <small class='muted'>and {} more</small>", moment(row.at, zone=zone), row.count - 1
        )

    @display(description="Took", ordering="latency_ms")
    def took(self, row: PullJournal) -> str:
        return f"{row.latency_ms:.0f}\u202fms"

    @display(description="Counted")
    def repeated(self, row: PullJournal) -> SafeString | str:
        if row.count == 1:
            return "one request"
        return format_html("{} refused requests of one address, the last {}", row.count, moment(row.last_at))

    @display(description="Request id")
    def request_copy(self, row: PullJournal) -> SafeString:
        return copyable(row.request_id) if row.request_id else NOTHING

    @display(description="Version")
    def served(self, row: PullJournal) -> SafeString | str:
        return NOTHING if row.version is None else f"v{row.version}"

    @display(description="Bytes")
    def sizes(self, row: PullJournal) -> str:
        return f"{row.bytes_in} in, {row.bytes_out} out"

    @display(description="Body, redacted")
    def content(self, row: PullJournal) -> SafeString:
        return bytes_panel(row.body.encode()) if row.body else NOTHING
