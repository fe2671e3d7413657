"""Emergencies for many plants in the admin: the count before, the progress plant by plant, one release."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page as PageOfRows
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatch.admin.forms import EmergencyForm, ReasonForm
from dispatch.admin.looks import latch_chip, state_chip
from dispatch.admin.order_scope import back_of, selection_of
from dispatch.admin.sending import actor_of
from dispatch.models import EmergencyOrder, OrderedPlant
from dispatch.policy import current_policy
from dispatch.selectors_orders import (
    COUNTS,
    DONE,
    DOUBT,
    ENDED,
    REFUSED,
    SENT,
    TAKEN,
    UNSENT,
    WAITING,
    Progress,
    latched_by_order,
    plants_of_order,
    progress_of,
)
from dispatch.services.orders import Counted, Selection, count_selection, release_order, send_order
from dispatch.words import cause_text
from esm import clock
from plants.admin.base import MachineOwned
from plants.admin.marks import NOTHING, Family, Look, ago, chip, link, stack
from plants.admin.pages import Page, posted, require, run_page, show_page
from plants.admin.refusals import REFUSALS, problems_of, texts_of
from plants.admin.theme import RelatedDropdownFilter, display
from plants.models import Organisation, Plant
from vcp import EmergencyType

_NAMED = 20
_WORDS = {
    WAITING: "Wait for their turn",
    UNSENT: "Not delivered yet",
    SENT: "Delivered, not answered yet",
    TAKEN: "Taken by Voke",
    DONE: "Done",
    DOUBT: "Need a person",
    REFUSED: "Not sent",
    ENDED: "Withdrawn",
}
_FAMILIES = {DONE: Family.OK, TAKEN: Family.OK, DOUBT: Family.FAIL, REFUSED: Family.FAIL}
_EFFECTS = (
    "Every plant is latched: nothing else is sent to it until a person releases it with a reason.",
    "The emergencies go before everything else in the outbox and are issued again until they are delivered.",
    "Commands of the plants that were not sent yet are taken back.",
    "A plant that can't be reached is told with the reason and stops none of the others.",
)


@admin.register(EmergencyOrder)
class EmergencyOrderAdmin(MachineOwned):
    list_display = ("what", "state_mark", "plants_asked", "by", "made", "why")
    list_filter = ("type", ("organisation", RelatedDropdownFilter))
    search_fields = ("reason", "made_by_name", "scope")
    search_help_text = "Reason or person"
    ordering = ("-id",)
    fields = ()

    def get_urls(self) -> Any:
        wrap = self.admin_site.admin_view
        return [
            path("ask/", wrap(self.ask_page), name="dispatch_emergencyorder_ask"),
            path("<int:order_id>/release/", wrap(self.release_page), name="dispatch_emergencyorder_release"),
            *super().get_urls(),
        ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """How far an order is."""
        require(request, "dispatch.view_emergencyorder")
        if request.method not in ("GET", "HEAD") or object_id is None:
            raise PermissionDenied
        return self.progress_page(request, self._order(object_id))

    def _order(self, object_id: str | int | None) -> EmergencyOrder:
        try:
            return EmergencyOrder.objects.select_related("organisation").get(pk=int(object_id or 0))
        except (ValueError, EmergencyOrder.DoesNotExist) as error:
            raise Http404 from error

    # --- pages ------------------------------------------------------------------------------------------------

    def ask_page(self, request: HttpRequest) -> HttpResponse:
        """The count, what happens, and the button that does it."""
        require(request, "dispatch.send_emergency")
        found = selection_of(request)
        if found is None:
            messages.error(request, "There is no plant that it would reach. Choose the plants first.")
            return redirect("admin:plants_plant_changelist")
        organisation_id, selection = found
        try:
            counted = count_selection(organisation_id=organisation_id, selection=selection)
        except REFUSALS as error:
            messages.error(request, texts_of(problems_of(error)))
            return redirect("admin:plants_plant_changelist")
        initial = {"key": str(uuid.uuid4()), "token": counted.token}
        form = OrderForm(posted(request), plants=counted.count, initial=initial)

        def act(asked: dict[str, Any]) -> HttpResponse:
            order = send_order(
                organisation_id=organisation_id,
                selection=selection,
                token=asked["token"],
                type=EmergencyType(asked["type"]),
                reason=asked["reason"],
                key=asked["key"],
                actor=actor_of(request),
                at=clock.now(),
                policy=current_policy(),
            )
            return redirect("admin:dispatch_emergencyorder_change", order.pk)

        return run_page(
            self, request, page=_ask_page(organisation_id, selection, counted), form=form, act=act
        )

    def progress_page(self, request: HttpRequest, order: EmergencyOrder) -> HttpResponse:
        """Counts by what became of the emergencies, and each plant."""
        progress, latched = progress_of(order=order), latched_by_order(order=order)
        wanted = request.GET.get("counted", "")
        wanted = wanted if wanted in COUNTS else ""
        rows = Paginator(plants_of_order(order=order, counted_as=wanted), 50).get_page(request.GET.get("p"))
        may_release = order.released_at is None and request.user.has_perm("dispatch.send_emergency")
        page = Page(
            title=f"Emergency {order.type.lower()}: {order.scope}",
            submit="",
            facts=_facts(order, latched),
            back=reverse("admin:dispatch_emergencyorder_changelist"),
            extra={
                "counts": _counts(progress, wanted),
                "rows": [_row(row) for row in rows],
                "rows_page": rows,
                "pages": _pages_text(rows),
                "wanted": wanted,
                "release_url": reverse("admin:dispatch_emergencyorder_release", args=[order.pk])
                if may_release
                else "",
            },
        )
        return show_page(
            self,
            request,
            page=page,
            form=ReasonForm(),
            row=order,
            template="admin/dispatch/order/progress.html",
        )

    def release_page(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """One release for every latch that the order set."""
        require(request, "dispatch.send_emergency")
        order = self._order(order_id)
        here = reverse("admin:dispatch_emergencyorder_change", args=[order.pk])
        latched = latched_by_order(order=order)
        page = Page(
            title=f"Release {_plants(latched)}?",
            submit=f"Release {_plants(latched)}",
            facts=_facts(order, latched),
            effects=(
                "Each plant is sent its own base mode; commands and plans may be sent to it again.",
                "Emergencies that have not left yet are taken back, and plants still waiting get none.",
                "Latches that somebody else set stay.",
            ),
            back=here,
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            release_order(
                organisation_id=order.organisation_id,
                order_id=order.pk,
                actor=actor_of(request),
                reason=asked["reason"],
                at=clock.now(),
                policy=current_policy(),
            )
            messages.success(request, f"Released: {_plants(latched)}.")
            return redirect(here)

        return run_page(self, request, page=page, form=ReasonForm(posted(request)), act=act, row=order)

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Emergency", ordering="id")
    def what(self, row: EmergencyOrder) -> SafeString:
        return stack(f"Emergency {row.type.lower()}", row.scope)

    @display(description="State", ordering="released_at")
    def state_mark(self, row: EmergencyOrder) -> SafeString:
        return _state_chip(row)

    @display(description="Plants", ordering="asked")
    def plants_asked(self, row: EmergencyOrder) -> int:
        return row.asked

    @display(description="Asked for by", ordering="made_by_name")
    def by(self, row: EmergencyOrder) -> str:
        return row.made_by_name

    @display(description="Asked for", ordering="made_at")
    def made(self, row: EmergencyOrder) -> SafeString:
        return ago(row.made_at, now=clock.now())

    @display(description="Reason")
    def why(self, row: EmergencyOrder) -> str:
        return row.reason


class OrderForm(EmergencyForm):
    """With the token of what was counted."""

    token = forms.CharField(max_length=64, widget=forms.HiddenInput)
    PATHS = {**EmergencyForm.PATHS, "selection": "number"}


def _ask_page(organisation_id: int, selection: Selection, counted: Counted) -> Page:
    rows = Plant.objects.filter(organisation_id=organisation_id)
    if selection.plant_ids is not None:
        rows = rows.filter(pk__in=sorted(selection.plant_ids)[:_NAMED])
    elif selection.connection_id is not None:
        rows = rows.filter(connection_id=selection.connection_id)
    names = ", ".join(rows.order_by("name").values_list("name", flat=True)[:_NAMED])
    more = counted.count - min(counted.count, _NAMED)
    owner = Organisation.objects.get(pk=organisation_id)
    return Page(
        title=f"Emergency for {_plants(counted.count)}?",
        submit=f"Send the emergency to {_plants(counted.count)}",
        lead=f"This reaches {counted.scope}.",
        facts=[("Organisation", owner.name), ("Plants", f"{names} and {more} more" if more else names)],
        effects=_EFFECTS,
        back=back_of(selection, owner),
        danger=True,
    )


def _plants(count: int) -> str:
    return "1 plant" if count == 1 else f"{count} plants"


def _facts(order: EmergencyOrder, latched: int) -> list[tuple[str, object]]:
    now = clock.now()
    facts: list[tuple[str, object]] = [
        ("State", _state_chip(order)),
        ("Plants asked", order.asked),
        ("Latched by it now", latched),
        ("Asked for by", stack(order.made_by_name, ago(order.made_at, now=now))),
        ("Reason", order.reason),
    ]
    if order.released_at is not None:
        facts += [
            ("Released by", stack(order.released_by_name, ago(order.released_at, now=now))),
            ("Reason of the release", order.release_reason),
        ]
    return facts


def _state_chip(order: EmergencyOrder) -> SafeString:
    if order.released_at is None:
        return latch_chip(order.type)
    return chip(Look(icon="lock_open", word="Released", family=Family.WAIT))


def _counts(progress: Progress, wanted: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "count": progress.counts[name],
            "chip": _count_chip(name, progress.counts[name]),
            "chosen": name == wanted,
        }
        for name in COUNTS
        if progress.counts.get(name)
    ]


def _count_chip(name: str, count: int) -> SafeString:
    family = _FAMILIES.get(name, Family.WAIT)
    return chip(Look(icon="emergency_home", word=f"{_WORDS[name]}: {count}", family=family))


def _row(row: OrderedPlant) -> tuple[SafeString, SafeString, SafeString | str]:
    """(plant, what became of its emergency, why)."""
    if row.command is not None:
        state = format_html("{} {}", state_chip(row.command), link(row.command, f"#{row.command_id}"))
        return link(row.plant, row.plant.name), state, cause_text(row.command.cause)
    if row.decided_at is None:
        return link(row.plant, row.plant.name), NOTHING, "Waits for its turn"
    refused = chip(Look(icon="block", word="Not sent", family=Family.FAIL))
    return link(row.plant, row.plant.name), refused, _reason_text(row)


def _reason_text(row: OrderedPlant) -> str:
    """Why nothing was sent: the refusal's own words, which say more than the word for its code."""
    return f"{row.detail[:1].upper()}{row.detail[1:]}" if row.detail else cause_text(row.refusal)


def _pages_text(rows: "PageOfRows[OrderedPlant]") -> str:
    return f"Page {rows.number} of {rows.paginator.num_pages}" if rows.paginator.num_pages > 1 else ""
