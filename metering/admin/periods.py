"""How often each plant is expected to speak: learnt, or set by a person; what the gap ledger and coverage go by."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.safestring import SafeString

from esm import clock
from metering.admin.dates import dated
from metering.models import Stream, StreamPeriod
from metering.rules import current_rules
from metering.services.periods import MOST_S, set_period, valid_from
from plants.admin.base import RoomAdmin
from plants.admin.marks import Family, Look, change_url, chip, link, muted, plain, stack
from plants.admin.pages import Page, PageForm, found_or_404, posted, require, run_page
from plants.admin.theme import (
    ActionVariant,
    AutocompleteSelectFilter,
    RelatedDropdownFilter,
    action,
    autocomplete,
    display,
)
from plants.models import Plant
from plants.texts import number_of
from plants.words import span_text

MAY_LOOK = "metering.view_streamperiod"
MAY_SET = "metering.add_streamperiod"
_IN_FORCE = Look(icon="check", word="In force", family=Family.OK)
_LATER = Look(icon="schedule", word="Begins later", family=Family.MOVE)
_OVER = Look(icon="history", word="Over", family=Family.WAIT)


class PeriodForm(PageForm):
    """Whose stream is expected how often."""

    plant = forms.ModelChoiceField(queryset=Plant.objects.all(), help_text="Type a name or an external id.")
    stream = forms.ChoiceField(choices=Stream.choices)
    period_s = forms.FloatField(
        required=False,
        label="Expected every, seconds",
        help_text=f"1 to {MOST_S[Stream.REALTIME]:.0f} for telemetry, 1 to {MOST_S[Stream.METER]:.0f} for meters. "
        "Empty: learnt again from what comes, beginning with the installation's setting.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["plant"]
        field.widget = autocomplete(StreamPeriod._meta.get_field("plant"))
        field.widget.choices = field.choices


@admin.register(StreamPeriod)
class StreamPeriodAdmin(RoomAdmin):
    compressed_fields = True
    list_display = ("whose", "expected", "state_mark", "since", "source_mark")
    list_filter = (
        "stream",
        "source",
        ("plant", AutocompleteSelectFilter),
        ("plant__organisation", RelatedDropdownFilter),
    )
    search_fields = ("plant__name", "plant__external_plant_id", "set_by_name")
    search_help_text = "Plant, or who set it"
    ordering = ("-id",)
    actions_detail = ["set_anew"]
    fields = ("plant_link", "stream", "expected", "state_mark", "since", "source_mark")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Rows are a history and never edited: a period that is set is a new row.
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        same = StreamPeriod.objects.filter(plant=OuterRef("plant"), stream=OuterRef("stream"))
        newest = same.filter(valid_from__lte=clock.now()).order_by("-valid_from").values("pk")[:1]
        return super().get_queryset(request).select_related("plant").annotate(in_force=Subquery(newest))

    def get_urls(self) -> Any:
        return [
            path("add/", self.admin_site.admin_view(self.set_view), name="metering_streamperiod_add"),
            *super().get_urls(),
        ]

    def set_view(self, request: HttpRequest) -> HttpResponse:
        """A period that counts from the next quarter-hour on that every process knows in time."""
        require(request, MAY_LOOK, MAY_SET)
        at, rules = clock.now(), current_rules()
        form = PeriodForm(posted(request), initial=_asked_for(request))
        page = Page(
            title="Set how often a plant is expected to speak",
            submit="Set",
            facts=(("Counts from", dated(valid_from(at))),),
            effects=(
                "Gaps, coverage and how long a sample is held are judged by it from then on.",
                "What was before stays as it was judged.",
                "A period that a person set is never learnt over.",
            ),
            back=reverse("admin:metering_streamperiod_changelist"),
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            row = set_period(
                plant=asked["plant"],
                stream=Stream(asked["stream"]),
                period_s=asked["period_s"],
                by_name=request.user.get_username(),
                at=at,
                rules=rules,
            )
            told = "learnt again" if asked["period_s"] is None else f"expected every {_every(row)}"
            self.log_addition(request, row, f"{row.get_stream_display()}: {told}.")
            messages.success(request, f"{row.get_stream_display()} of {row.plant.name} is {told}.")
            return redirect(change_url(row))

        return run_page(self, request, page=page, form=form, act=act)

    @action(
        description="Set anew",
        url_path="set",
        icon="schedule",
        variant=ActionVariant.PRIMARY,
        permissions=["set"],
    )
    def set_anew(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the form, with this plant and stream chosen."""
        row: StreamPeriod = found_or_404(self, request, object_id)
        there = reverse("admin:metering_streamperiod_add")
        return redirect(f"{there}?plant={row.plant_id}&stream={row.stream}")

    def has_set_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may set periods."""
        return request.user.has_perm(MAY_SET)

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Plant", ordering="plant__name")
    def whose(self, row: StreamPeriod) -> SafeString:
        return stack(row.plant.name, row.get_stream_display())

    @display(description="Plant")
    def plant_link(self, row: StreamPeriod) -> SafeString:
        return link(row.plant, row.plant.name)

    @display(description="Expected every", ordering="period_s")
    def expected(self, row: StreamPeriod) -> str:
        return _every(row)

    @display(description="State")
    def state_mark(self, row: Any) -> SafeString:
        if row.valid_from > clock.now():
            return chip(_LATER)
        return chip(_IN_FORCE if row.in_force == row.pk else _OVER)

    @display(description="From", ordering="valid_from")
    def since(self, row: StreamPeriod) -> SafeString:
        return dated(row.valid_from, zone=row.plant.time_zone)

    @display(description="Source", ordering="source")
    def source_mark(self, row: StreamPeriod) -> str | SafeString:
        if row.source == StreamPeriod.Source.SET:
            return plain(row.set_by_name, "set")
        return muted(f"learnt, asked for by {row.set_by_name}" if row.set_by_name else "learnt")


def _every(row: StreamPeriod) -> str:
    return span_text(timedelta(seconds=row.period_s))


def _asked_for(request: HttpRequest) -> dict[str, str]:
    """What the address chooses: a plant by its number, a stream by its name."""
    plant, stream = request.GET.get("plant", ""), request.GET.get("stream", "")
    found = {"plant": plant} if number_of(plant) is not None else {}
    return found | ({"stream": stream} if stream in Stream.values else {})
