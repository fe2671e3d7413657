"""Retention holds for people: which measurements stay although their time is over, and why; held and released here."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.safestring import SafeString

from esm import clock
from metering.admin.dates import dated
from metering.models import RetentionHold
from metering.services.holds import hold, release
from plants.admin.base import RoomAdmin
from plants.admin.marks import NOTHING, Family, Look, change_url, chip, moment, stack
from plants.admin.pages import Page, PageForm, found_or_404, posted, require, run_page
from plants.admin.theme import ActionVariant, DropdownFilter, action, display, local_time_input

MAY_LOOK = "metering.view_retentionhold"
MAY_HOLD = "metering.add_retentionhold"
MAY_RELEASE = "metering.change_retentionhold"
_HELD = Look(icon="lock", word="Held", family=Family.MOVE)
_RELEASED = Look(icon="check", word="Released", family=Family.WAIT)


class StateFilter(DropdownFilter):
    """Whether the hold still counts."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("held", "Held"), ("released", "Released")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() in ("held", "released"):
            return queryset.filter(released_at__isnull=self.value() == "held")
        return queryset


class HoldForm(PageForm):
    """Which span stays, and why."""

    from_at = forms.DateTimeField(label="From, UTC", widget=local_time_input())
    to_at = forms.DateTimeField(label="To, UTC", widget=local_time_input(), help_text="Not included.")
    reason = forms.CharField(
        max_length=200, label="Why must they stay?", widget=forms.Textarea(attrs={"rows": 2})
    )


class ConfirmForm(PageForm):
    """Nothing to fill in."""


@admin.register(RetentionHold)
class RetentionHoldAdmin(RoomAdmin):
    compressed_fields = True
    list_display = ("why", "state_mark", "from_mark", "to_mark", "held", "released")
    list_filter = (StateFilter,)
    search_fields = ("reason", "held_by_name", "released_by_name")
    search_help_text = "Reason or person"
    ordering = ("-id",)
    actions_detail = ["release"]
    fields = ("reason", "state_mark", "from_mark", "to_mark", "held", "released")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A hold is never edited: it is set and released, each with its name.
        return False

    def get_urls(self) -> Any:
        return [
            path("add/", self.admin_site.admin_view(self.hold_view), name="metering_retentionhold_add"),
            *super().get_urls(),
        ]

    def hold_view(self, request: HttpRequest) -> HttpResponse:
        """Keep a span until somebody releases it."""
        require(request, MAY_LOOK, MAY_HOLD)
        page = Page(
            title="Hold measurements?",
            submit="Hold",
            effects=(
                "Retention drops no measurement of this span, of any plant, until the hold is released.",
                "Readings of all plants share days, and roll-ups months: whole days and months stay.",
                "What retention has dropped already does not come back.",
            ),
            back=reverse("admin:metering_retentionhold_changelist"),
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            row = hold(**asked, by=request.user.get_username(), at=clock.now())
            self.log_addition(request, row, f"Held: {row.reason}")
            messages.success(request, "These measurements stay until the hold is released.")
            return redirect(change_url(row))

        return run_page(self, request, page=page, form=HoldForm(posted(request)), act=act)

    @action(
        description="Release",
        url_path="release",
        icon="lock_open",
        variant=ActionVariant.DANGER,
        permissions=["release"],
    )
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the hold."""
        row: RetentionHold = found_or_404(self, request, object_id)
        require(request, MAY_LOOK, MAY_RELEASE)
        page = Page(
            title="Release the hold?",
            submit="Release",
            facts=(
                ("Why", row.reason),
                ("From", dated(row.from_at)),
                ("To", dated(row.to_at)),
                ("Held by", row.held_by_name),
            ),
            effects=(
                "What is older than retention, and held by nothing else, is dropped with the next run.",
                "What was dropped is gone; a new hold does not bring it back.",
            ),
            danger=True,
            back=change_url(row),
        )

        def act(_: dict[str, Any]) -> HttpResponse:
            release(hold_id=row.pk, by=request.user.get_username(), at=clock.now())
            self.log_change(request, row, "Released.")
            messages.success(request, "The hold is released.")
            return redirect(change_url(row))

        return run_page(self, request, page=page, form=ConfirmForm(posted(request)), act=act, row=row)

    def has_release_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """The button is there while the hold counts."""
        if not request.user.has_perm(MAY_RELEASE):
            return False
        return (
            object_id is None or RetentionHold.objects.filter(pk=object_id, released_at__isnull=True).exists()
        )

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Why", ordering="reason")
    def why(self, row: RetentionHold) -> SafeString:
        return stack(row.reason)

    @display(description="State", ordering="released_at")
    def state_mark(self, row: RetentionHold) -> SafeString:
        return chip(_HELD if row.released_at is None else _RELEASED)

    @display(description="From", ordering="from_at")
    def from_mark(self, row: RetentionHold) -> SafeString:
        return dated(row.from_at)

    @display(description="To", ordering="to_at")
    def to_mark(self, row: RetentionHold) -> SafeString:
        return dated(row.to_at)

    @display(description="Held", ordering="held_at")
    def held(self, row: RetentionHold) -> SafeString:
        return stack(row.held_by_name, moment(row.held_at))

    @display(description="Released", ordering="released_at")
    def released(self, row: RetentionHold) -> SafeString:
        return NOTHING if row.released_at is None else stack(row.released_by_name, moment(row.released_at))
