"""Channels: who is told of alarms, where, from which severity on; with a button that sends a test."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import RefusableForm, RefusalsInForm
from plants.admin.looks import severity_chip
from plants.admin.marks import change_url, moment, muted, stack
from plants.admin.pages import Page, PageForm, found_or_404, posted, run_page, show_page
from plants.admin.theme import ActionVariant, RelatedDropdownFilter, action, display, widgets
from watch.admin.looks import channel_chip
from watch.models import NotificationChannel
from watch.services.channels import delete_channel, save_channel
from watch.services.sending import Attempt, current_send_options, send_test

_FIXED = ("kind", "organisation")
_WORDS = {"kind": "Kind", "minimum_severity": "From severity", "only_this_severity": "Only this severity"}


class ChannelForm(RefusableForm):
    """What people decide about a channel. The secret is typed in, and never written back."""

    new_secret = forms.CharField(
        required=False,
        strip=True,
        max_length=200,
        label="Secret",
        widget=forms.PasswordInput(
            attrs={"class": " ".join([*widgets.INPUT_CLASSES, "mono"]), "autocomplete": "off"}
        ),
        help_text="Of a webhook: signs each message; at least 32 characters, for example from “openssl rand -hex 32”. "
        "Empty: the stored one stays. It is not shown again.",
    )

    class Meta:
        labels = _WORDS
        widgets = {
            "addresses": forms.Textarea(attrs={"rows": 2, "class": " ".join(widgets.TEXTAREA_CLASSES)})
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "organisation" in self.fields:
            field: Any = self.fields["organisation"]
            field.empty_label = "The whole installation"
            field.widget.can_add_related = field.widget.can_change_related = False
            field.widget.can_delete_related = field.widget.can_view_related = False


class ConfirmForm(PageForm):
    """Nothing to fill in."""


@admin.register(NotificationChannel)
class ChannelAdmin(RefusalsInForm):
    form = ChannelForm
    list_display = ("channel", "state_mark", "hears_of", "threshold", "limits")
    list_filter = ("kind", "enabled", ("organisation", RelatedDropdownFilter))
    list_select_related = ("organisation",)
    search_fields = ("name", "addresses", "url", "organisation__name")
    search_help_text = "Name, address or organisation"
    ordering = ("name",)
    readonly_fields = ("created",)
    actions_detail = ["test", "remove"]
    fieldsets = (
        (None, {"fields": (("name", "enabled"), ("kind", "organisation"))}),
        (
            "Where",
            {
                "fields": ("addresses", "url", "new_secret"),
                "description": "An e-mail channel needs addresses; a webhook its URL and a secret.",
            },
        ),
        (
            "How much",
            {"fields": (("minimum_severity", "only_this_severity"), ("quiet_s", "max_per_hour"))},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[NotificationChannel]":
        # A page must open even when a stored secret does not decrypt.
        return super().get_queryset(request).defer("secret")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # What a channel was told stays with it: it can't become another organisation's.
        return (*self.readonly_fields, *_FIXED) if obj is not None else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: NotificationChannel, form: Any, change: bool) -> None:
        save_channel(
            channel=obj,
            new_secret=form.cleaned_data["new_secret"],
            allow_http=settings.NOTIFY_ALLOW_HTTP,
            at=clock.now(),
        )

    # --- pages ------------------------------------------------------------------------------------------------

    @action(description="Send a test", url_path="test", icon="outgoing_mail", permissions=["test"])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One message now, and what became of it. No transaction is open while it is sent."""
        channel: NotificationChannel = found_or_404(self, request, object_id)
        form = ConfirmForm(posted(request))
        if request.method == "POST" and form.is_valid():
            attempt = send_test(
                channel=channel,
                at=clock.now(),
                product=settings.PRODUCT_NAME,
                options=current_send_options(),
            )
            self.log_change(request, channel, "Sent a test.")
            _say(request, channel, attempt)
            return redirect(change_url(channel))
        page = Page(
            title=f"Send a test on {channel.name}?",
            lead=_target(channel),
            effects=(
                "One message that says it is a test, whatever the channel's limits and whether it is on.",
                f"The answer is waited for, at most about {settings.NOTIFY_TIMEOUT_S:g} s a step.",
            ),
            submit="Send a test",
            back=change_url(channel),
        )
        return show_page(self, request, page=page, form=form, row=channel)

    @action(
        description="Remove",
        url_path="remove",
        icon="delete",
        variant=ActionVariant.DANGER,
        permissions=["remove"],
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The channel and what it was told are gone."""
        channel: NotificationChannel = found_or_404(self, request, object_id)
        page = Page(
            title=f"Remove {channel.name}?",
            submit="Remove",
            effects=("Nobody is told on it any more.", "The list of what it was told is deleted with it."),
            danger=True,
            back=change_url(channel),
        )

        def act(_: dict[str, Any]) -> HttpResponse:
            self.log_deletions(request, NotificationChannel.objects.filter(pk=channel.pk).defer("secret"))
            delete_channel(channel_id=channel.pk, at=clock.now())
            messages.success(request, f"{channel.name} is removed.")
            return redirect(reverse("admin:watch_notificationchannel_changelist"))

        return run_page(self, request, page=page, form=ConfirmForm(posted(request)), act=act, row=channel)

    # --- who may ----------------------------------------------------------------------------------------------

    def has_test_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may send a test."""
        return request.user.has_perm("watch.test_notificationchannel")

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may remove a channel."""
        return request.user.has_perm("watch.delete_notificationchannel")

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Channel", ordering="name")
    def channel(self, row: NotificationChannel) -> SafeString:
        return stack(row.name, _target(row)[:120])

    @display(description="State", ordering="enabled")
    def state_mark(self, row: NotificationChannel) -> SafeString:
        return channel_chip(row)

    @display(description="Hears of", ordering="organisation__name")
    def hears_of(self, row: NotificationChannel) -> str:
        return row.organisation.name if row.organisation else "The whole installation"

    @display(description="From", ordering="minimum_severity")
    def threshold(self, row: NotificationChannel) -> SafeString:
        mark = severity_chip(row.minimum_severity)
        return format_html("{} {}", mark, muted("only")) if row.only_this_severity else mark

    @display(description="At most")
    def limits(self, row: NotificationChannel) -> str:
        return f"{row.max_per_hour} an hour, one a code in {row.quiet_s} s"

    @display(description="Made")
    def created(self, row: NotificationChannel) -> SafeString:
        return moment(row.created_at)


def _target(channel: NotificationChannel) -> str:
    return channel.addresses if channel.kind == NotificationChannel.Kind.EMAIL else channel.url


def _say(request: HttpRequest, channel: NotificationChannel, attempt: Attempt) -> None:
    if attempt.error is None:
        messages.success(request, f"{channel.name} took the test. Look whether it arrived.")
        return
    text = str(attempt.error)
    messages.error(request, f"The test was not taken: {text} ({attempt.error.code}).")
