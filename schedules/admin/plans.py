"""One page for everything about a planned day, and the ways to make, check, publish and end a plan."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path

from esm import clock
from plants.admin.marks import change_url
from plants.admin.pages import found_or_404, require
from plants.admin.refusals import REFUSALS, problems_of, texts_of
from plants.admin.theme import ActionVariant, action
from schedules.admin.choosing import choose_view
from schedules.admin.deciding import (
    cancel_page,
    check_now,
    copy_page,
    discard_page,
    hand_over_page,
    open_version,
    publish_page,
    published_version,
)
from schedules.admin.editing import edit_view
from schedules.admin.importing import confirm_view, import_view
from schedules.admin.listing import facts_of_plans
from schedules.admin.plan_list import PlanList, csv_response
from schedules.admin.plan_page import plan_panels
from schedules.admin.publishing_many import publish_many_page
from schedules.models import OPEN, DayPlan, PlanState, PlanVersion
from schedules.selectors.versions import export_plans


@admin.register(DayPlan)
class DayPlanAdmin(PlanList):
    actions_detail = [
        "edit",
        "check_open",
        "publish_open",
        {"title": "More", "items": ["copy", "export", "discard", "hand_over", "cancel"]},
    ]
    change_form_template = "admin/schedules/plan.html"
    fields = ()

    def get_urls(self) -> list[Any]:
        def own(view: Callable[..., HttpResponse]) -> Any:
            return self.admin_site.admin_view(lambda request, **kept: self._guarded(view, request, **kept))

        many = self.admin_site.admin_view(lambda request: publish_many_page(self, request))
        return [
            path("plan/", own(choose_view), name="schedules_dayplan_choose"),
            path("plan/<int:plant_id>/<str:day_text>/", own(edit_view), name="schedules_dayplan_edit"),
            path("import/", own(import_view), name="schedules_dayplan_import"),
            path("import/<int:upload_id>/", own(confirm_view), name="schedules_dayplan_import_confirm"),
            path("publish/", many, name="schedules_dayplan_publish"),
            *super().get_urls(),
        ]

    def _guarded(self, view: Callable[..., HttpResponse], request: HttpRequest, **kept: Any) -> HttpResponse:
        """Pages that make or change drafts."""
        require(request, "schedules.change_dayplan")
        return view(self, request, **kept)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        plan = kwargs.get("obj")
        if plan is not None:
            context["panels"] = plan_panels(plan, asked=request.GET, at=clock.now())
        return super().render_change_form(request, context, *args, **kwargs)

    # --- one plan ---------------------------------------------------------------------------------------------

    @action(
        description="Edit the slots",
        url_path="edit",
        icon="edit",
        variant=ActionVariant.PRIMARY,
        permissions=["plan"],
    )
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the sheet."""
        plan: DayPlan = found_or_404(self, request, object_id)
        return redirect("admin:schedules_dayplan_edit", plan.plant_id, plan.day.isoformat())

    @action(description="Check", url_path="check", icon="rule", permissions=["edit_open"])
    def check_open(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the rules run."""
        return self._on_open(request, object_id, lambda plan, version: check_now(request, plan, version))

    @action(description="Publish", url_path="publish", icon="event_available", permissions=["publish_open"])
    def publish_open(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the page that says what publishing sends."""
        return self._on_open(
            request,
            object_id,
            lambda plan, version: publish_page(self, request, plan, version),
            needs="schedules.publish_plan",
        )

    @action(description="Copy to other days", url_path="copy", icon="content_copy", permissions=["plan"])
    def copy(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the choice of days."""
        require(request, "schedules.change_dayplan")
        return copy_page(self, request, found_or_404(self, request, object_id))

    @action(description="Export as CSV", url_path="export", icon="download", permissions=["view"])
    def export(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The version that speaks for the day."""
        require(request, "schedules.view_dayplan")
        plan: DayPlan = found_or_404(self, request, object_id)
        shown = facts_of_plans([plan])[plan.pk].shown
        if shown is None:
            messages.error(request, "There is no version to export.")
            return redirect(change_url(plan))
        text = export_plans(organisation_id=plan.organisation_id, version_ids=[shown.pk])
        return csv_response(text, f"{plan.plant.external_plant_id}-{plan.day}.csv")

    @action(description="Discard the draft", url_path="discard", icon="delete", permissions=["edit_open"])
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Throw the open version away."""
        return self._on_open(
            request, object_id, lambda plan, version: discard_page(self, request, plan, version)
        )

    @action(
        description="Hand over to the other carrier",
        url_path="hand-over",
        icon="swap_horiz",
        permissions=["hand_over"],
    )
    def hand_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The plant's carrier was changed: let it carry this plan out too."""
        return self._on_published(
            request, object_id, lambda plan, version: hand_over_page(self, request, plan, version)
        )

    @action(description="Cancel the plan", url_path="cancel", icon="block", permissions=["publish_published"])
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End it without a successor."""
        return self._on_published(
            request, object_id, lambda plan, version: cancel_page(self, request, plan, version)
        )

    def _on_open(
        self,
        request: HttpRequest,
        object_id: str,
        show: Callable[[DayPlan, PlanVersion], HttpResponse],
        *,
        needs: str = "schedules.change_dayplan",
    ) -> HttpResponse:
        require(request, needs)
        plan: DayPlan = found_or_404(self, request, object_id)
        version = open_version(plan)
        if version is None:
            messages.info(request, "There is no draft of this day.")
            return redirect(change_url(plan))
        try:
            return show(plan, version)
        except REFUSALS as refused:
            messages.error(request, texts_of(problems_of(refused)))
            return redirect(change_url(plan))

    def _on_published(
        self, request: HttpRequest, object_id: str, show: Callable[[DayPlan, PlanVersion], HttpResponse]
    ) -> HttpResponse:
        require(request, "schedules.publish_plan")
        plan: DayPlan = found_or_404(self, request, object_id)
        version = published_version(plan)
        if version is None:
            messages.info(request, "Nothing of this day is in force.")
            return redirect(change_url(plan))
        return show(plan, version)

    def has_edit_open_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change drafts, while there is one."""
        return self.has_plan_permission(request) and _has(object_id, OPEN)

    def has_publish_open_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may publish, while a draft is checked."""
        return self.has_publish_permission(request) and _has(object_id, (PlanState.CHECKED,))

    def has_publish_published_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may cancel, while something is in force."""
        return self.has_publish_permission(request) and _has(object_id, (PlanState.PUBLISHED,))

    def has_hand_over_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may publish, while the plant's carrier is another than the plan's."""
        if not self.has_publish_published_permission(request, object_id):
            return False
        version = PlanVersion.objects.filter(plan=object_id, state=PlanState.PUBLISHED)
        return not version.filter(carrier=F("plan__plant__schedule_carrier")).exists()


def _has(plan_id: Any, states: tuple[PlanState, ...]) -> bool:
    """Whether a plan has a version in one of these states; true where no plan is at hand."""
    return plan_id is None or PlanVersion.objects.filter(plan=plan_id, state__in=states).exists()
