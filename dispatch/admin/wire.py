"""What leaves for Voke and what Voke says of schedules: outbox, published site config, latches, notices."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dispatch.admin.looks import latch_state_chip, outcome_chip, signature_chip
from dispatch.models import EmergencyLatch, OutboundMessage, PublishedSiteConfig, ScheduleNotice
from dispatch.signatures import check_signature
from esm import clock
from plants.admin.base import MachineOwned, without_secrets
from plants.admin.bytes_view import bytes_panel
from plants.admin.filters import ConnectionFilter
from plants.admin.marks import NOTHING, Family, Look, ago, chip, copyable, link, moment, mono, stack
from plants.admin.theme import AutocompleteSelectFilter, RelatedDropdownFilter, display
from plants.words import label_text


class PlantOwned(MachineOwned):
    """Rows that belong to a plant."""

    @display(description="Plant", ordering="plant__name")
    def plant_link(self, row: Any) -> SafeString:
        return link(row.plant, row.plant.name)


@admin.register(OutboundMessage)
class OutboundMessageAdmin(PlantOwned):
    list_display = ("message", "outcome_mark", "plant_link", "command_link", "made", "attempted", "tries")
    list_filter = (
        "outcome",
        ("connection", ConnectionFilter),
        ("plant", AutocompleteSelectFilter),
        "urgent",
        "signed",
    )
    search_fields = ("=message_id", "=correlation_id", "family")
    search_help_text = "Message id, correlation id or family"
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "family",
                    "outcome_mark",
                    "signature",
                    "detail",
                    "plant_link",
                    "command_link",
                    "connection_link",
                )
            },
        ),
        ("Times", {"fields": ("made", "attempted", "tries", "settled", "deadline")}),
        ("Identity", {"fields": ("message_copy", "correlation_copy", "key")}),
        ("As sent", {"fields": ("content",)}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[OutboundMessage]":
        rows = super().get_queryset(request).select_related("plant", "connection", "command")
        return without_secrets(rows, "connection")

    @display(description="Message", ordering="family")
    def message(self, row: OutboundMessage) -> SafeString:
        return stack(row.family, row.message_id)

    @display(description="Outcome", ordering="outcome")
    def outcome_mark(self, row: OutboundMessage) -> SafeString:
        return outcome_chip(row.outcome, title=row.detail or row.get_outcome_display())

    @display(description="Signature")
    def signature(self, row: OutboundMessage) -> SafeString:
        return signature_chip(check_signature(message=row, connection=row.connection))

    @display(description="Command")
    def command_link(self, row: OutboundMessage) -> SafeString:
        return NOTHING if row.command is None else link(row.command, f"#{row.command_id}")

    @display(description="Connection")
    def connection_link(self, row: OutboundMessage) -> SafeString:
        return link(row.connection, row.connection.name)

    @display(description="Made", ordering="made_at")
    def made(self, row: OutboundMessage) -> SafeString:
        return moment(row.made_at, zone=row.plant.time_zone, precise=True)

    @display(description="First attempt", ordering="attempted_at")
    def attempted(self, row: OutboundMessage) -> SafeString:
        return moment(row.attempted_at, zone=row.plant.time_zone, precise=True)

    @display(description="Attempts", ordering="attempts")
    def tries(self, row: OutboundMessage) -> int:
        return row.attempts

    @display(description="Settled")
    def settled(self, row: OutboundMessage) -> SafeString:
        return moment(row.outcome_at, zone=row.plant.time_zone, precise=True)

    @display(description="Must be sent by")
    def deadline(self, row: OutboundMessage) -> SafeString:
        return moment(row.deliver_by_at, zone=row.plant.time_zone)

    @display(description="Message id")
    def message_copy(self, row: OutboundMessage) -> SafeString:
        return copyable(str(row.message_id))

    @display(description="Correlation id")
    def correlation_copy(self, row: OutboundMessage) -> SafeString:
        return copyable(str(row.correlation_id))

    @display(description="Routing key")
    def key(self, row: OutboundMessage) -> SafeString:
        return mono(row.routing_key)

    @display(description="Body")
    def content(self, row: OutboundMessage) -> SafeString:
        return bytes_panel(row.body)


@admin.register(PublishedSiteConfig)
class PublishedSiteConfigAdmin(PlantOwned):
    list_display = ("what", "plant_link", "revision", "published", "message_link")
    list_filter = ("family", ("connection", ConnectionFilter), ("plant", AutocompleteSelectFilter))
    search_fields = ("plant__name", "plant__external_plant_id")
    search_help_text = "Plant"
    ordering = ("-published_at",)
    fields = ("what", "plant_link", "revision", "published", "message_link", "sha256", "connection_link")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PublishedSiteConfig]":
        rows = (
            super()
            .get_queryset(request)
            .select_related("plant", "connection", "message")
            .defer("message__body")
        )
        return without_secrets(rows, "connection")

    @display(description="Config", ordering="family")
    def what(self, row: PublishedSiteConfig) -> SafeString:
        return mono(row.family)

    @display(description="Revision", ordering="site_revision")
    def revision(self, row: PublishedSiteConfig) -> SafeString:
        if row.site_revision == row.plant.site_revision:
            return chip(Look(icon="check", word=f"r{row.site_revision}, current", family=Family.OK))
        word = f"r{row.site_revision}, plant is at r{row.plant.site_revision}"
        return chip(Look(icon="pending", word=word, family=Family.WAIT))

    @display(description="Published", ordering="published_at")
    def published(self, row: PublishedSiteConfig) -> SafeString:
        return moment(row.published_at, zone=row.plant.time_zone)

    @display(description="Message")
    def message_link(self, row: PublishedSiteConfig) -> SafeString:
        return NOTHING if row.message is None else link(row.message, row.message.message_id)

    @display(description="SHA-256 of the payload")
    def sha256(self, row: PublishedSiteConfig) -> SafeString:
        return mono(row.digest)

    @display(description="Connection")
    def connection_link(self, row: PublishedSiteConfig) -> SafeString:
        return link(row.connection, row.connection.name)


@admin.register(EmergencyLatch)
class EmergencyLatchAdmin(PlantOwned):
    list_display = ("kind", "state_mark", "plant_link", "set_by", "set_time", "released", "why")
    list_filter = (
        "type",
        ("plant", AutocompleteSelectFilter),
        ("plant__organisation", RelatedDropdownFilter),
    )
    search_fields = ("plant__name", "plant__external_plant_id", "set_by_name", "released_by_name")
    search_help_text = "Plant or person"
    ordering = ("-id",)
    fields = ("kind", "state_mark", "plant_link", "command_link", "set_by", "set_time", "released", "why")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[EmergencyLatch]":
        return super().get_queryset(request).select_related("plant", "command")

    @display(description="Emergency", ordering="type")
    def kind(self, row: EmergencyLatch) -> SafeString:
        return stack(f"Emergency {row.type.lower()}", f"command #{row.command_id}")

    @display(description="State", ordering="released_at")
    def state_mark(self, row: EmergencyLatch) -> SafeString:
        return latch_state_chip(row)

    @display(description="Command")
    def command_link(self, row: EmergencyLatch) -> SafeString:
        return link(row.command, f"#{row.command_id}")

    @display(description="Set by", ordering="set_by_name")
    def set_by(self, row: EmergencyLatch) -> str:
        return row.set_by_name

    @display(description="Set", ordering="set_at")
    def set_time(self, row: EmergencyLatch) -> SafeString:
        return ago(row.set_at, now=clock.now(), zone=row.plant.time_zone)

    @display(description="Released", ordering="released_at")
    def released(self, row: EmergencyLatch) -> SafeString:
        if row.released_at is None:
            return NOTHING
        return stack(row.released_by_name, ago(row.released_at, now=clock.now(), zone=row.plant.time_zone))

    @display(description="Reason of the release")
    def why(self, row: EmergencyLatch) -> SafeString | str:
        return row.release_reason or NOTHING


@admin.register(ScheduleNotice)
class ScheduleNoticeAdmin(PlantOwned):
    list_display = ("schedule", "status_mark", "plant_link", "told", "received", "why")
    list_filter = (("plant", AutocompleteSelectFilter), ("plant__organisation", RelatedDropdownFilter))
    search_fields = ("=schedule_id", "status", "plant__name", "plant__external_plant_id")
    search_help_text = "Schedule id, status or plant"
    ordering = ("-id",)
    fields = ("schedule", "status_mark", "plant_link", "told", "received", "why", "message_link")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ScheduleNotice]":
        return super().get_queryset(request).select_related("plant", "inbound").defer("inbound__body")

    @display(description="Schedule", ordering="schedule_id")
    def schedule(self, row: ScheduleNotice) -> SafeString:
        return mono(row.schedule_id)

    @display(description="Status", ordering="status")
    def status_mark(self, row: ScheduleNotice) -> SafeString:
        return chip(Look(icon="event_note", word=label_text(row.status), family=Family.MOVE))

    @display(description="Said by Voke", ordering="told_at")
    def told(self, row: ScheduleNotice) -> SafeString:
        return moment(row.told_at, zone=row.plant.time_zone)

    @display(description="Received", ordering="received_at")
    def received(self, row: ScheduleNotice) -> SafeString:
        return ago(row.received_at, now=clock.now(), zone=row.plant.time_zone)

    @display(description="Reason")
    def why(self, row: ScheduleNotice) -> SafeString | str:
        return row.reason or NOTHING

    @display(description="Message")
    def message_link(self, row: ScheduleNotice) -> SafeString:
        return NOTHING if row.inbound is None else link(row.inbound, row.inbound.message_id)
