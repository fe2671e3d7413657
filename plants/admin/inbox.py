"""What arrived from Voke: events and the newest telemetry bodies. Dead letters are shown by `link.admin`."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from plants.admin.base import MachineOwned, without_secrets
from plants.admin.bytes_view import bytes_panel
from plants.admin.filters import ConnectionFilter
from plants.admin.looks import DISPOSITION_LOOKS
from plants.admin.marks import NOTHING, chip, copyable, link, moment, mono, stack
from plants.admin.theme import AutocompleteSelectFilter, display
from plants.models import InboundMessage, RecentTelemetryBody


class Received(MachineOwned):
    """What the pages of received bytes share."""

    def zone(self, row: Any) -> str | None:
        """The zone of the plant it belongs to."""
        plant = getattr(row, "plant", None)
        return None if plant is None else plant.time_zone

    @display(description="Received", ordering="received_at")
    def received(self, row: Any) -> SafeString:
        return moment(row.received_at, zone=self.zone(row), precise=True)

    @display(description="Plant", ordering="plant__name")
    def plant_link(self, row: Any) -> SafeString:
        return NOTHING if row.plant is None else link(row.plant, row.plant.name)

    @display(description="Body")
    def content(self, row: Any) -> SafeString:
        return bytes_panel(row.body)


@admin.register(InboundMessage)
class InboundMessageAdmin(Received):
    list_display = ("event", "plant_link", "disposition_mark", "sent", "received")
    list_filter = (
        ("connection", ConnectionFilter),
        "disposition",
        ("plant", AutocompleteSelectFilter),
    )
    search_fields = ("=message_id", "=correlation_id", "family")
    search_help_text = "Message id, correlation id or family"
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {"fields": ("family", "disposition_mark", "plant_link", "connection_link", "sent", "received")},
        ),
        ("Identity", {"fields": ("message", "correlation", "routing_key")}),
        ("As received", {"fields": ("content",)}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[InboundMessage]":
        rows = super().get_queryset(request).select_related("plant", "connection")
        return without_secrets(rows, "connection")

    @display(description="Event", ordering="family")
    def event(self, row: InboundMessage) -> SafeString:
        return stack(row.family, row.message_id)

    @display(description="Outcome", ordering="disposition")
    def disposition_mark(self, row: InboundMessage) -> SafeString:
        return chip(DISPOSITION_LOOKS[row.disposition], title=row.get_disposition_display())

    @display(description="Sent by Voke", ordering="sent_at")
    def sent(self, row: InboundMessage) -> SafeString:
        return moment(row.sent_at, zone=self.zone(row), precise=True)

    @display(description="Message id")
    def message(self, row: InboundMessage) -> SafeString:
        return copyable(row.message_id)

    @display(description="Correlation id")
    def correlation(self, row: InboundMessage) -> SafeString:
        return copyable(row.correlation_id) if row.correlation_id else NOTHING

    @display(description="Connection")
    def connection_link(self, row: InboundMessage) -> SafeString:
        return link(row.connection, row.connection.name)


@admin.register(RecentTelemetryBody)
class RecentTelemetryBodyAdmin(Received):
    list_display = ("key", "plant_link", "received")
    list_filter = (("plant", AutocompleteSelectFilter),)
    search_fields = ("plant__name", "plant__external_plant_id")
    search_help_text = "Plant"
    ordering = ("-id",)
    fields = ("key", "plant_link", "received", "content")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[RecentTelemetryBody]":
        return super().get_queryset(request).select_related("plant")

    @display(description="Routing key", ordering="routing_key")
    def key(self, row: RecentTelemetryBody) -> SafeString:
        return mono(row.routing_key)
