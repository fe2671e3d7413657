"""The list of day plans: what is planned, what stands against it, and what is done with many at once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString

from dispatch.admin.sending import actor_of
from esm import clock
from metering.days import local_day
from plants.admin.base import MachineOwned, RoomChangeList
from plants.admin.marks import NOTHING, Family, Look, chip, chips, stack
from plants.admin.pages import Page, PageForm, posted, require, run_page
from plants.admin.refusals import problems_of, texts_of
from plants.admin.theme import (
    ActionVariant,
    AutocompleteSelectFilter,
    DropdownFilter,
    RelatedDropdownFilter,
    action,
    display,
)
from plants.errors import DomainError
from plants.models import ScheduleCarrier
from plants.words import energy_text
from schedules.admin.listing import PlanFacts, facts_of_plans
from schedules.admin.looks import plan_chip
from schedules.conflicts import Code
from schedules.models import DayPlan, PlanState, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.selectors.versions import export_plans
from schedules.services.drafts import OPEN, check_version
from schedules.services.publishing import MOST_AT_ONCE, publish_many

_FACTS = "_plan_facts"
_STATES = {
    "published": ("In force", (PlanState.PUBLISHED,)),
    "draft": ("Draft or checked", OPEN),
    "checked": ("Ready to publish", (PlanState.CHECKED,)),
    "done": ("Done", (PlanState.DONE,)),
}
_DAYS = {"today": ("Today", 0, 0), "tomorrow": ("Tomorrow", 1, 1), "coming": ("From today on", 0, 3660)}


class StateFilter(DropdownFilter):
    """Plans that have a version in a state."""

    title = "state"
    parameter_name = "has"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, word) for key, (word, _) in _STATES.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = _STATES.get(self.value() or "")
        if wanted is None:
            return queryset
        return queryset.filter(Exists(PlanVersion.objects.filter(plan=OuterRef("pk"), state__in=wanted[1])))


class DayFilter(DropdownFilter):
    """Days relative to today, by the calendar of UTC: plants of all zones stand in one list."""

    title = "day"
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, word) for key, (word, _, _) in _DAYS.items()] + [("past", "Before today")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        today = clock.now().date()
        if self.value() == "past":
            return queryset.filter(day__lt=today)
        chosen = _DAYS.get(self.value() or "")
        if chosen is None:
            return queryset
        _, first, last = chosen
        return queryset.filter(day__gte=today + timedelta(days=first), day__lte=today + timedelta(days=last))


class PlanChangeList(RoomChangeList):
    """Attaches to each row of the page what its columns tell."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        facts = facts_of_plans(rows)
        for row in rows:
            setattr(row, _FACTS, facts[row.pk])
        self.result_list = rows


class PlanList(MachineOwned):
    """The list's half of the page of plans."""

    list_display = ("plant_link", "day_text", "states", "planned", "carried", "found")
    list_display_links = ("plant_link", "day_text")
    list_filter = (
        DayFilter,
        StateFilter,
        ("plant", AutocompleteSelectFilter),
        ("organisation", RelatedDropdownFilter),
    )
    search_fields = ("plant__name", "plant__external_plant_id")
    search_help_text = "Plant"
    ordering = ("-day", "plant__name")
    actions = ["check_selected", "publish_selected", "export_selected"]
    actions_list = ["plan_link", "import_link"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PlanChangeList

    def get_queryset(self, request: HttpRequest) -> "QuerySet[DayPlan]":
        return super().get_queryset(request).select_related("plant", "organisation")

    @action(
        description="Plan a day",
        url_path="plan-one",
        icon="add",
        variant=ActionVariant.PRIMARY,
        permissions=["plan"],
    )
    def plan_link(self, request: HttpRequest) -> HttpResponse:
        """To the choice of plant and day."""
        return redirect("admin:schedules_dayplan_choose")

    @action(description="Import a file", url_path="import-file", icon="upload_file", permissions=["plan"])
    def import_link(self, request: HttpRequest) -> HttpResponse:
        """To the upload."""
        return redirect("admin:schedules_dayplan_import")

    @admin.action(description="Check the drafts", permissions=["plan"])
    def check_selected(self, request: HttpRequest, queryset: "QuerySet[DayPlan]") -> None:
        """Let the rules run over the open versions."""
        passed = failed = 0
        for version in _open_of(queryset):
            problems = check_version(
                organisation_id=version.plan.organisation_id,
                version_id=version.pk,
                actor=actor_of(request),
                at=clock.now(),
            )
            blocked = any(one.severity.value == "ERROR" for one in problems)
            passed, failed = passed + (not blocked), failed + blocked
        level = messages.WARNING if failed else messages.SUCCESS
        self.message_user(
            request, f"{passed} drafts are checked, {failed} can't be published as they are.", level
        )

    @admin.action(description="Publish what is checked", permissions=["publish"])
    def publish_selected(self, request: HttpRequest, queryset: "QuerySet[DayPlan]") -> HttpResponse:
        """To the page that names what would be published."""
        ids = ",".join(
            str(version.pk) for version in _open_of(queryset) if version.state == PlanState.CHECKED
        )
        return redirect(f"{reverse('admin:schedules_dayplan_publish')}?versions={ids}")

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_selected(self, request: HttpRequest, queryset: "QuerySet[DayPlan]") -> HttpResponse | None:
        """What speaks for the selected days, as an import takes it back."""
        plans = list(queryset[: MOST_AT_ONCE + 1])
        organisations = {plan.organisation_id for plan in plans}
        if len(organisations) > 1:
            self.message_user(request, "Choose plans of one organisation.", messages.ERROR)
            return None
        versions = [facts.shown.pk for facts in facts_of_plans(plans).values() if facts.shown is not None]
        try:
            text = export_plans(organisation_id=organisations.pop(), version_ids=versions)
        except DomainError as error:
            self.message_user(request, texts_of(problems_of(error)), messages.ERROR)
            return None
        return csv_response(text, f"plans-{clock.now():%Y-%m-%d}.csv")

    def publish_page_of_many(self, request: HttpRequest) -> HttpResponse:
        """What would be published, with its warnings; then a result for each."""
        require(request, "schedules.publish_plan")
        ids = [int(text) for text in request.GET.get("versions", "").split(",") if text.isdecimal()]
        rows = PlanVersion.objects.filter(pk__in=ids[:MOST_AT_ONCE], state=PlanState.CHECKED)
        versions = list(rows.select_related("plan__plant").order_by("plan__day", "plan__plant__name"))
        if not versions:
            messages.error(request, "None of the selected plans has a checked draft. Check them first.")
            return redirect("admin:schedules_dayplan_changelist")
        warnings = sum(len(version.problems) for version in versions)
        page = Page(
            title=f"Publish {len(versions)} plans?",
            submit=f"Publish {len(versions)} plans",
            lead=f"{warnings} warnings stand against them and are accepted by publishing."
            if warnings
            else "Nothing stands against them.",
            back=reverse("admin:schedules_dayplan_changelist"),
            extra={"versions": versions},
        )

        def act(_asked: dict[str, Any]) -> HttpResponse:
            self._publish_all(request, versions)
            return redirect("admin:schedules_dayplan_changelist")

        return run_page(
            self,
            request,
            page=page,
            form=PageForm(posted(request)),
            act=act,
            template="admin/schedules/publish_many.html",
        )

    def _publish_all(self, request: HttpRequest, versions: list[PlanVersion]) -> None:
        by_organisation: dict[int, list[PlanVersion]] = {}
        for version in versions:
            by_organisation.setdefault(version.plan.organisation_id, []).append(version)
        done = 0
        names = {version.pk: f"{version.plan.plant.name}, {version.plan.day}" for version in versions}
        for organisation_id, group in by_organisation.items():
            answers = publish_many(
                organisation_id=organisation_id,
                version_ids=[version.pk for version in group],
                actor=actor_of(request),
                at=clock.now(),
                policy=current_schedule_policy(),
                accept_warnings=True,
            )
            for answer in answers:
                if answer.error is None:
                    done += 1
                    continue
                words = texts_of(problems_of(answer.error))
                messages.error(request, f"{names[answer.version_id]} is not published: {words}")
        if done:
            messages.success(request, f"{done} plans are published.")

    # --- who may ----------------------------------------------------------------------------------------------

    def has_plan_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may make and change drafts."""
        return request.user.has_perm("schedules.change_dayplan")

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may publish and cancel."""
        return request.user.has_perm("schedules.publish_plan")

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Plant", ordering="plant__name")
    def plant_link(self, row: DayPlan) -> SafeString:
        return stack(row.plant.name, row.plant.external_plant_id)

    @display(description="Day", ordering="day")
    def day_text(self, row: DayPlan) -> SafeString:
        return stack(f"{row.day:%a} {row.day.day} {row.day:%b %Y}", length_text(row))

    @display(description="State")
    def states(self, row: DayPlan) -> SafeString:
        facts = facts_of(row)
        versions = [one for one in (facts.in_force, facts.edited) if one is not None]
        if not versions:
            return NOTHING
        return chips(plan_chip(one.state, title=f"Version {one.number}") for one in versions)

    @display(description="Planned")
    def planned(self, row: DayPlan) -> SafeString:
        facts = facts_of(row)
        if facts.shown is None or not facts.slots:
            return NOTHING
        parts = [
            f"{word} {energy_text(kwh)}"
            for word, kwh in (("import", facts.import_kwh), ("export", facts.export_kwh))
            if kwh
        ]
        return stack(f"{facts.slots} slots", ", ".join(parts))

    @display(description="Carried out by")
    def carried(self, row: DayPlan) -> SafeString | str:
        version = facts_of(row).in_force
        if version is None or not version.carrier:
            return NOTHING
        return "Voke" if version.carrier == ScheduleCarrier.VOKE else "Our dispatcher"

    @display(description="Found against it")
    def found(self, row: DayPlan) -> SafeString:
        facts = facts_of(row)
        version = facts.edited or facts.in_force
        return NOTHING if version is None else chips(finding_chips(version))


def facts_of(row: DayPlan) -> PlanFacts:
    """What the page's list read about the row."""
    found: PlanFacts = getattr(row, _FACTS)
    return found


def length_text(plan: DayPlan) -> str:
    """Says so when the clock changes on that day."""
    hours = local_day(plan.day, zone=plan.time_zone).length_s / 3600
    return "" if hours == 24 else f"{hours:g} hours"


def news(problems: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Findings that tell something: that a slot is over can be seen."""
    return [one for one in problems if one.get("code") != Code.PAST or one.get("slot") is None]


def finding_chips(version: PlanVersion) -> list[SafeString]:
    """How many errors and warnings; those of a published version were accepted."""
    found = news(version.problems)
    errors = sum(1 for one in found if one.get("severity") == "ERROR")
    warnings = len(found) - errors
    marks = []
    if errors:
        marks.append(chip(Look(icon="report", word=f"{errors} to change", family=Family.FAIL)))
    if warnings and version.state in OPEN:
        marks.append(chip(Look(icon="warning", word=f"{warnings} to accept", family=Family.DOUBT)))
    elif warnings:
        marks.append(chip(Look(icon="info", word=f"{warnings} accepted", family=Family.WAIT)))
    return marks or [NOTHING]


def _open_of(plans: "QuerySet[DayPlan]") -> list[PlanVersion]:
    """The open versions of selected plans."""
    rows = PlanVersion.objects.filter(plan__in=plans.order_by(), state__in=OPEN)
    return list(rows.select_related("plan__plant")[:MOST_AT_ONCE])


def csv_response(text: str, name: str) -> HttpResponse:
    """A file to keep."""
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
