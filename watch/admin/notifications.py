"""What people were told, are being told, and could not be told."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import MachineOwned
from plants.admin.looks import severity_chip
from plants.admin.marks import NOTHING, ago, copyable, link, moment, muted, stack
from plants.admin.theme import ChoicesDropdownFilter, RelatedDropdownFilter, display
from plants.words import label_text
from watch.admin.looks import notification_chip
from watch.models import Notification
from watch.wording import subject_of, text_of


@admin.register(Notification)
class NotificationAdmin(MachineOwned):
    list_display = ("what", "severity_mark", "channel_link", "state_mark", "attempts", "made")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("event", ChoicesDropdownFilter),
        ("channel", RelatedDropdownFilter),
    )
    search_fields = ("=uid", "code", "channel__name")
    search_help_text = "Code, channel or message id"
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {"fields": ("subject", "severity_mark", "state_mark", "reason", "channel_link", "alarm_link")},
        ),
        (
            "Sending",
            {"fields": ("attempts", "made", "released", "next_attempt", "sent", "summed", "uid_copy")},
        ),
        ("Words", {"fields": ("words",)}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Notification]":
        rows = super().get_queryset(request).select_related("channel", "alarm", "summed_in")
        return rows.defer("channel__secret")

    @display(description="Message", ordering="code")
    def what(self, row: Notification) -> SafeString:
        told = f"{label_text(row.code)}{'' if row.event == 'RAISED' else f', {row.event.lower()}'}"
        return stack(told, str(row.content.get("message", ""))[:160])

    @display(description="Severity", ordering="rank")
    def severity_mark(self, row: Notification) -> SafeString:
        return severity_chip(row.severity)

    @display(description="Channel", ordering="channel__name")
    def channel_link(self, row: Notification) -> SafeString:
        return link(row.channel, row.channel.name)

    @display(description="State", ordering="state")
    def state_mark(self, row: Notification) -> SafeString:
        if not row.held_back:
            return notification_chip(row)
        return format_html("{} {}", notification_chip(row), muted(f"and {row.held_back} more"))

    @display(description="Made", ordering="made_at")
    def made(self, row: Notification) -> SafeString:
        return ago(row.made_at, now=clock.now())

    @display(description="Subject")
    def subject(self, row: Notification) -> str:
        return subject_of(row.content)

    @display(description="Last error")
    def reason(self, row: Notification) -> str | SafeString:
        return f"{row.last_error} ({row.error_code})" if row.error_code else NOTHING

    @display(description="Alarm")
    def alarm_link(self, row: Notification) -> SafeString:
        return link(row.alarm, row.alarm.code) if row.alarm else NOTHING

    @display(description="Let go")
    def released(self, row: Notification) -> SafeString:
        return moment(row.released_at, precise=True)

    @display(description="Next attempt")
    def next_attempt(self, row: Notification) -> SafeString:
        return moment(row.next_at, precise=True)

    @display(description="Sent")
    def sent(self, row: Notification) -> SafeString:
        return moment(row.sent_at, precise=True)

    @display(description="Summed up in")
    def summed(self, row: Notification) -> SafeString:
        return link(row.summed_in, "a later message") if row.summed_in else NOTHING

    @display(description="Message id")
    def uid_copy(self, row: Notification) -> SafeString:
        return copyable(str(row.uid))

    @display(description="As mail")
    def words(self, row: Notification) -> SafeString:
        return format_html('<pre class="mono">{}</pre>', text_of(row.content))
