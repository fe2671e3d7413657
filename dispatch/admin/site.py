"""A plant's site config for people: what Voke was told, version by version, what it reports, and the order to tell it
again."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString

from dispatch.admin.looks import outcome_chip
from dispatch.admin.wire import PlantOwned
from dispatch.models import SiteReport
from dispatch.policy import current_policy
from dispatch.requests import Actor
from dispatch.selectors_site import FamilyState, SiteState, VersionLine, site_state
from dispatch.services.site_config import republish_plant
from dispatch.site_config import FAMILIES, words
from esm import clock
from plants.admin.bytes_view import bytes_panel
from plants.admin.marks import NOTHING, Family, Look, ago, change_url, chip, link, moment, mono, muted
from plants.admin.pages import Page, PageForm, posted, require, run_page
from plants.admin.theme import AutocompleteSelectFilter, DropdownFilter, display
from plants.models import Plant
from vcp import Family as WireFamily

TITLES = {
    WireFamily.CONFIG_TOPOLOGY: "Topology",
    WireFamily.CONFIG_CONSTRAINTS: "Limits",
    WireFamily.CONFIG_FALLBACK: "Fallback",
}
_ROWS_SHOWN = 50
_DRIFTS = Look(icon="difference", word="Differs", family=Family.DOUBT)
_AGREES = Look(icon="check", word="As published", family=Family.OK)
_ONE_LOOK = Look(icon="visibility", word="Seen once", family=Family.WAIT)
_FAILED = Look(icon="cloud_off", word="Not answered", family=Family.FAIL)
_UNASKED = Look(icon="hourglass_empty", word="Not asked yet", family=Family.WAIT)


class RepublishForm(PageForm):
    """Which families are sent again."""

    families = forms.MultipleChoiceField(
        choices=[(family.value, TITLES[family]) for family in FAMILIES],
        initial=[family.value for family in FAMILIES],
        widget=forms.CheckboxSelectMultiple,
        label="Publish again",
    )


def site_config_page(model_admin: "ModelAdmin[Any]", request: HttpRequest, plant: Plant) -> HttpResponse:
    """The page of one plant, and the order to publish it again."""
    at = clock.now()
    state = site_state(plant_id=plant.pk, site_revision=plant.site_revision)
    page = Page(
        title=f"Site config of {plant.name}",
        submit="Publish again",
        facts=_facts(state, plant, at),
        effects=("What is chosen is sent to Voke as it is now, within seconds; nothing else changes.",),
        back=change_url(plant),
        extra={
            "families": [_family(one, plant) for one in state.families],
            "drift_rows": [_drift_row(row, plant) for row in (*state.drift, *state.suspected)][:_ROWS_SHOWN],
            "may_order": request.user.has_perm("plants.change_plant"),
        },
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
        chosen = [WireFamily(one) for one in asked["families"]]
        republish_plant(
            plant_id=plant.pk,
            actor=Actor(name=request.user.get_username()),
            policy=current_policy(),
            families=chosen,
        )
        names = ", ".join(TITLES[family].lower() for family in chosen)
        model_admin.log_change(request, plant, f"Ordered {names} to be published again.")
        messages.success(request, f"Voke is told {names} of {plant.name} again within seconds.")
        return redirect(request.path)

    if request.method == "POST":
        require(request, "plants.change_plant")
    return run_page(
        model_admin,
        request,
        page=page,
        form=RepublishForm(posted(request)),
        act=act,
        row=plant,
        template="admin/dispatch/plant/site_config.html",
    )


def _facts(state: SiteState, plant: Plant, at: datetime) -> Sequence[tuple[str, object]]:
    report = state.report
    return (
        ("Voke reports", report_chip(report)),
        ("Last answer", ago(report.answered_at, now=at, zone=plant.time_zone) if report else NOTHING),
        ("Last asked", ago(report.asked_at, now=at, zone=plant.time_zone) if report else NOTHING),
        ("Last failure", mono(report.error_code) if report else NOTHING),
        ("Voke UUID", mono(plant.voke_uuid)),
    )


def report_chip(report: SiteReport | None) -> SafeString:
    """What the last looks came to."""
    if report is None:
        return chip(_UNASKED)
    if report.drifted_since is not None:
        return chip(_DRIFTS)
    if report.error_code or report.answered_at is None:
        return chip(_FAILED, title=report.error_code)
    return chip(_ONE_LOOK if report.drift else _AGREES)


def _family(one: FamilyState, plant: Plant) -> dict[str, Any]:
    row = one.published
    message = None if row is None else row.message
    return {
        "title": TITLES[one.family],
        "state": chip(Look(icon="block", word="Not published", family=Family.WAIT))
        if message is None
        else outcome_chip(message.outcome),
        "waits": message is not None and not one.is_current,
        "message": NOTHING if message is None else link(message, "message"),
        "versions": [_version(version, plant) for version in one.versions],
    }


def _version(version: VersionLine, plant: Plant) -> dict[str, Any]:
    return {
        "number": version.number,
        "made": moment(version.made_at, zone=plant.time_zone),
        "changes": [str(change) for change in version.changes[:_ROWS_SHOWN]],
    }


def _drift_row(row: Mapping[str, Any], plant: Plant) -> tuple[object, ...]:
    since = datetime.fromisoformat(row["since"])
    return (
        TITLES[WireFamily(row["family"])],
        mono(row["field"]),
        words(row["ours"]),
        words(row["theirs"]),
        moment(since, zone=plant.time_zone),
        row["looks"],
    )


class DriftFilter(DropdownFilter):
    """What the last looks came to."""

    title = "what Voke has"
    parameter_name = "drift"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("drifts", "Differs from ours"), ("agrees", "As published"), ("failed", "Not answered")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "drifts":
                return queryset.filter(drifted_since__isnull=False)
            case "agrees":
                return queryset.filter(drifted_since__isnull=True, error_code="", answered_at__isnull=False)
            case "failed":
                return queryset.exclude(error_code="")
        return queryset


@admin.register(SiteReport)
class SiteReportAdmin(PlantOwned):
    list_display = ("plant_link", "state_mark", "differences", "since", "answered", "failure")
    list_filter = (DriftFilter, ("plant", AutocompleteSelectFilter))
    search_fields = ("plant__name", "plant__external_plant_id")
    search_help_text = "Plant"
    ordering = ("-asked_at",)
    fields = ("plant_link", "state_mark", "differences", "since", "answered", "asked", "failure", "told")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[SiteReport]":
        return super().get_queryset(request).select_related("plant")

    @display(description="What Voke has")
    def state_mark(self, row: SiteReport) -> SafeString:
        return report_chip(row)

    @display(description="Differences")
    def differences(self, row: SiteReport) -> SafeString:
        if not row.drift:
            return muted("none")
        named = ", ".join(str(one["field"]) for one in row.drift[:3])
        more = len(row.drift) - 3
        return mono(f"{named} and {more} more" if more > 0 else named)

    @display(description="Differs since", ordering="drifted_since")
    def since(self, row: SiteReport) -> SafeString:
        return moment(row.drifted_since, zone=row.plant.time_zone)

    @display(description="Answered", ordering="answered_at")
    def answered(self, row: SiteReport) -> SafeString:
        return ago(row.answered_at, now=clock.now(), zone=row.plant.time_zone)

    @display(description="Asked", ordering="asked_at")
    def asked(self, row: SiteReport) -> SafeString:
        return ago(row.asked_at, now=clock.now(), zone=row.plant.time_zone)

    @display(description="Last failure")
    def failure(self, row: SiteReport) -> SafeString:
        return mono(row.error_code)

    @display(description="Answer")
    def told(self, row: SiteReport) -> SafeString:
        return NOTHING if row.payload is None else bytes_panel(json.dumps(row.payload).encode())
