"""Falls and leaps of meter registers for people: what they were taken for, and what people decide."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering.admin.dates import dated
from metering.models import RegisterEvent
from metering.services.register_events import decide_register_event, evidence_of
from plants.admin.base import MachineOwned
from plants.admin.marks import Family, Look, change_url, chip, link, muted, plain, stack
from plants.admin.pages import Page, PageForm, found_or_404, posted, require, run_page
from plants.admin.theme import (
    ActionVariant,
    AutocompleteSelectFilter,
    DropdownFilter,
    RelatedDropdownFilter,
    action,
    display,
)

MAY_LOOK = "metering.view_registerevent"
MAY_DECIDE = "metering.change_registerevent"
_WORDS = {
    RegisterEvent.Kind.RESET: "Reset",
    RegisterEvent.Kind.ROLLOVER: "Rollover",
    RegisterEvent.Kind.EXCHANGE: "Exchange",
    RegisterEvent.Kind.IGNORED: "Ignored",
}
_ICONS = {
    RegisterEvent.Kind.RESET: "restart_alt",
    RegisterEvent.Kind.ROLLOVER: "replay",
    RegisterEvent.Kind.EXCHANGE: "swap_horiz",
    RegisterEvent.Kind.IGNORED: "block",
}


class DecisionFilter(DropdownFilter):
    """Who judged, and whether anything is counted."""

    title = "decision"
    parameter_name = "decision"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("unknown", "Nobody decided, energy not known"),
            ("own", "Nobody decided, energy judged"),
            ("person", "Decided by a person"),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "unknown":
                return queryset.filter(decided_by_name="", energy_kwh__isnull=True)
            case "own":
                return queryset.filter(decided_by_name="", energy_kwh__isnull=False)
            case "person":
                return queryset.exclude(decided_by_name="")
        return queryset


class DecisionForm(PageForm):
    """What happened, how much counts, and why."""

    seen = forms.CharField(widget=forms.HiddenInput())
    kind = forms.ChoiceField(choices=RegisterEvent.Kind.choices, label="What happened")
    energy_kwh = forms.FloatField(
        required=False,
        label="Energy between the two readings, kWh",
        help_text="Empty: not known; it stays out of the sums and its time is not covered. 0: nothing is counted.",
    )
    note = forms.CharField(
        max_length=500,
        label="Why?",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Kept with the event, for example the fitter's protocol.",
    )


@admin.register(RegisterEvent)
class RegisterEventAdmin(MachineOwned):
    shows_history = True
    list_display = ("whose", "kind_mark", "values", "counted", "when", "judged")
    list_filter = (
        DecisionFilter,
        "kind",
        "register",
        ("plant", AutocompleteSelectFilter),
        ("plant__organisation", RelatedDropdownFilter),
    )
    search_fields = ("plant__name", "plant__external_plant_id", "=device_id")
    search_help_text = "Plant or device"
    ordering = ("-id",)
    actions_detail = ["decide"]
    fieldsets = (
        (None, {"fields": ("plant_link", "device", "kind_mark", "counted", "judged", "reason")}),
        ("Readings", {"fields": ("before", "after", "risen", "found")}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[RegisterEvent]":
        return super().get_queryset(request).select_related("plant")

    @action(
        description="Decide",
        url_path="decide",
        icon="gavel",
        variant=ActionVariant.PRIMARY,
        permissions=["decide"],
    )
    def decide(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what happened; the energy is counted again by it."""
        row: RegisterEvent = found_or_404(self, request, object_id)
        require(request, MAY_LOOK, MAY_DECIDE)
        form = DecisionForm(
            posted(request),
            initial={
                "seen": evidence_of(row),
                "kind": row.kind,
                "energy_kwh": row.energy_kwh,
                "note": row.note if row.decided_by_name else "",
            },
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            done = decide_register_event(event_id=row.pk, who=request.user.get_username(), **asked)
            word = f"{_WORDS[RegisterEvent.Kind(done.kind)]}, {_energy(done)}"
            self.log_change(request, done, f"Decided: {word}. {done.note}")
            messages.success(request, f"{word}: counted again with the next run.")
            return redirect(change_url(done))

        return run_page(self, request, page=_page(row), form=form, act=act, row=row)

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may decide."""
        return request.user.has_perm(MAY_DECIDE)

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Plant", ordering="plant__name")
    def whose(self, row: RegisterEvent) -> SafeString:
        return stack(row.plant.name, _device(row))

    @display(description="Plant")
    def plant_link(self, row: RegisterEvent) -> SafeString:
        return link(row.plant, row.plant.name)

    @display(description="Meter and register")
    def device(self, row: RegisterEvent) -> str:
        return _device(row)

    @display(description="What happened", ordering="kind")
    def kind_mark(self, row: RegisterEvent) -> SafeString:
        kind = RegisterEvent.Kind(row.kind)
        family = Family.OK if row.decided_by_name else Family.DOUBT
        if not row.decided_by_name and row.energy_kwh is None:
            family = Family.FAIL
        return chip(Look(icon=_ICONS[kind], word=_WORDS[kind], family=family), title=kind.label)

    @display(description="Register went")
    def values(self, row: RegisterEvent) -> SafeString:
        return plain(f"{_number(row.before_kwh)} to {_number(row.after_kwh)} kWh", _risen(row))

    @display(description="Counted", ordering="energy_kwh")
    def counted(self, row: RegisterEvent) -> str | SafeString:
        return muted(_energy(row)) if row.energy_kwh is None else _energy(row)

    @display(description="When", ordering="after_at")
    def when(self, row: RegisterEvent) -> SafeString:
        return dated(row.after_at, zone=row.plant.time_zone)

    @display(description="Judged by", ordering="decided_by_name")
    def judged(self, row: RegisterEvent) -> str | SafeString:
        return row.decided_by_name or muted("this platform")

    @display(description="Note")
    def reason(self, row: RegisterEvent) -> str | SafeString:
        return row.note or muted("none")

    @display(description="Last before it")
    def before(self, row: RegisterEvent) -> SafeString:
        return _reading(row.before_kwh, dated(row.before_at, zone=row.plant.time_zone))

    @display(description="First after it")
    def after(self, row: RegisterEvent) -> SafeString:
        return _reading(row.after_kwh, dated(row.after_at, zone=row.plant.time_zone))

    @display(description="Difference")
    def risen(self, row: RegisterEvent) -> str:
        return _risen(row)

    @display(description="Found")
    def found(self, row: RegisterEvent) -> SafeString:
        return dated(row.found_at)


def _page(row: RegisterEvent) -> Page:
    zone = row.plant.time_zone
    return Page(
        title=f"What happened to {_device(row)} of {row.plant.name}?",
        submit="Decide",
        facts=(
            ("Last before it", _reading(row.before_kwh, dated(row.before_at, zone=zone))),
            ("First after it", _reading(row.after_kwh, dated(row.after_at, zone=zone))),
            ("Difference", _risen(row)),
            ("Taken for", f"{RegisterEvent.Kind(row.kind).label}; counted: {_energy(row)}"),
            *((("Note", row.note),) if row.note else ()),
        ),
        effects=(
            "The energy is spread evenly over the time between the two readings.",
            "All quarter-hours, hours and days in it are counted again with the next run.",
            "Ignored: nothing happened to the meter; the energy is told as measured, not as estimated.",
            "The decision counts while the two readings follow each other.",
            "When another comes between them, the platform judges again and the note asks for a new decision.",
        ),
        back=change_url(row),
    )


def _device(row: RegisterEvent) -> str:
    return f"{row.device_id} {row.get_register_display().lower()}"


def _reading(kwh: float, at: SafeString) -> SafeString:
    return format_html("{} kWh, {}", _number(kwh), at)


def _risen(row: RegisterEvent) -> str:
    risen = row.after_kwh - row.before_kwh
    return f"{'fell' if risen < 0 else 'rose'} by {_number(abs(risen))} kWh"


def _energy(row: RegisterEvent) -> str:
    return "not known" if row.energy_kwh is None else f"{_number(row.energy_kwh)} kWh"


def _number(kwh: float) -> str:
    """With all digits that a meter has: a decision needs them."""
    return f"{kwh:,.3f}".rstrip("0").rstrip(".")
