"""An emergency for many plants: counted first, sent as one order, followed plant by plant, released as one.

Who asks names the plants (the ids travel with the form, so that a list which moves meanwhile changes nothing), sees how
many they are, and hands back the token of that count. What is shown afterwards is what the database holds.
"""

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from console.access import ConsoleRequest, Viewer, page
from console.acting.refusals import sentence
from console.fleet.asked import asked_of
from console.fleet.reading import MOST_MATCHING, matching_ids
from console.fleet.views import fleet_asked, links_of
from dispatch.models import EmergencyOrder
from dispatch.policy import current_policy
from dispatch.scope_words import scope_text
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
from dispatch.services.bulk import Among
from dispatch.services.orders import Counted, Selection, count_selection, release_order, send_order
from dispatch.words import cause_text
from esm import clock
from people.rights import Right
from plants.errors import DomainError, Invalid, Several
from plants.models import Plant
from plants.texts import number_of, numbers_of
from plants.words import local_text
from vcp import EmergencyType, ProtocolError

MANY = 10
"""From so many plants on their number must be typed."""
NAMED = 8
ROWS = 50
_LOOKS = {
    WAITING: ("wait", "clock"),
    UNSENT: ("wait", "inbox"),
    SENT: ("move", "send"),
    TAKEN: ("move", "check"),
    DONE: ("ok", "check-check"),
    DOUBT: ("fail", "octagon-alert"),
    REFUSED: ("fail", "shield-x"),
    ENDED: ("wait", "ban"),
}


class OrderForm(forms.Form):
    """The emergency. `plants`: ids and ranges of ids, "" = all plants; `number`: how many, typed by the person."""

    type = forms.ChoiceField(choices=[("STOP", "STOP"), ("HOLD", "HOLD")], initial="STOP")
    reason = forms.CharField(max_length=500)
    number = forms.IntegerField(required=False)
    plants = forms.CharField(required=False, max_length=1_000_000)
    token = forms.CharField(max_length=64)
    key = forms.RegexField(r"^[0-9a-f-]{36}\Z", max_length=36)

    def __init__(self, *args: Any, counted: Counted, typed: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._counted, self._typed = counted, typed

    def clean_number(self) -> int | None:
        number: int | None = self.cleaned_data["number"]
        if self._typed and number != self._counted.count:
            raise ValidationError(
                _("Type %(count)d, the number of plants.") % {"count": self._counted.count},
                code="NUMBER_DIFFERS",
            )
        return number

    def add_problems(self, error: Exception) -> None:
        """What the service refused, at its field or above the form."""
        problems: list[DomainError] = [Invalid(str(error))]
        if isinstance(error, Several):
            problems = list(error.problems)
        elif isinstance(error, DomainError):
            problems = [error]
        elif isinstance(error, ProtocolError):
            problems = [Invalid(error.words, path=error.path, code=error.code)]
        for problem in problems:
            field = "reason" if problem.path in ("reason", "payload.reason") else None
            text = sentence(local_text(problem.words))
            if problem.code == "IDEMPOTENCY_KEY_REUSED":
                text = _(
                    "This form was sent before, and something else was asked for. Open it anew to send this."
                )
            self.add_error(field, ValidationError(text, code=problem.code))


class ReasonForm(forms.Form):
    """Why the emergency is released."""

    reason = forms.CharField(max_length=500)


@page(Right.ACT)
@require_http_methods(["GET", "POST"])
def ask(request: ConsoleRequest) -> HttpResponse:
    """The dialog that says how many plants it reaches, and the sending."""
    chosen = request.POST.get("plants", "") if request.method == "POST" else _chosen(request)
    organisation = request.viewer.organisation
    try:
        selection = _selection(chosen)
        counted = count_selection(organisation_id=organisation.pk, selection=selection)
    except Invalid as error:
        return _answer(request, "console/fleet/_order_none.html", {"error": error}, status=422)
    everybody = Plant.objects.filter(organisation_id=organisation.pk).count()
    typed = counted.count >= MANY or (counted.count == everybody and everybody > 1)
    form = OrderForm(
        request.POST if request.method == "POST" else None,
        counted=counted,
        typed=typed,
        initial={"key": str(uuid.uuid4()), "plants": chosen, "token": counted.token},
    )
    if request.method == "POST" and form.is_valid():
        sent = _send(request, form, selection)
        if sent is not None:
            return _go(request, reverse("console:fleet:order", args=[sent.pk]))
    context = {
        "form": form,
        "counted": counted,
        "typed": typed,
        "everybody": counted.count == everybody and everybody > 1,
        "names": _names(organisation.pk, selection),
        "more": max(0, counted.count - NAMED),
    }
    return _answer(request, "console/fleet/_order_ask.html", context, status=422 if form.is_bound else 200)


def _chosen(request: ConsoleRequest) -> str:
    """The plants that the list was asked for: those that are ticked, or all that match. "all" = every plant."""
    if "all" not in request.GET:
        return ranges_of(_numbers(request.GET.getlist("plant")))
    wanted = asked_of(request.GET)
    at = clock.now()
    organisation = request.viewer.organisation
    about = fleet_asked(organisation, links_of(organisation, at), at)
    ids = matching_ids(about, wanted)
    return ranges_of(ids)


def _numbers(texts: list[str]) -> list[int]:
    return sorted(set(numbers_of(texts)))


def ranges_of(ids: list[int]) -> str:
    """Ascending ids as text, neighbours put together: "3-9,12"."""
    pieces: list[tuple[int, int]] = []
    for pk in ids:
        if pieces and pieces[-1][1] == pk - 1:
            pieces[-1] = (pieces[-1][0], pk)
        else:
            pieces.append((pk, pk))
    return ",".join(f"{low}-{high}" if low < high else str(low) for low, high in pieces)


def ids_of(text: str) -> frozenset[int]:
    """The ids of such a text. Raises `Invalid` (NOTHING_SELECTED, TOO_MANY)."""
    found: set[int] = set()
    for piece in text.split(","):
        low, dash, high = piece.partition("-")
        first, last = number_of(low), number_of(high if dash else low)
        if first is None or last is None:
            raise Invalid(_("no plant is selected"), path="selection", code="NOTHING_SELECTED")
        if last - first + len(found) >= MOST_MATCHING:
            raise Invalid(_("too many plants at once"), path="selection", code="TOO_MANY")
        found.update(range(first, last + 1))
    return frozenset(found)


def _selection(text: str) -> Selection:
    return Selection(plant_ids=ids_of(text))


def _names(organisation_id: int, selection: Selection) -> list[str]:
    rows = Plant.objects.filter(Among(selection.plant_ids or ()), organisation_id=organisation_id)
    return list(rows.order_by("name", "pk").values_list("name", flat=True)[:NAMED])


def _send(request: ConsoleRequest, form: OrderForm, selection: Selection) -> EmergencyOrder | None:
    """Its batches are transactions of their own, so that the first plants are told while the last still wait."""
    at, viewer, asked = clock.now(), request.viewer, form.cleaned_data
    try:
        order = send_order(
            organisation_id=viewer.organisation.pk,
            selection=selection,
            token=asked["token"],
            type=EmergencyType(asked["type"]),
            reason=asked["reason"].strip(),
            key=asked["key"],
            actor=viewer.actor,
            at=at,
            policy=current_policy(),
            noted=lambda order: _write_down(viewer, order, at=at),
        )
    except (DomainError, ProtocolError) as error:
        form.add_problems(error)
        return None
    return order


def _write_down(viewer: Viewer, order: EmergencyOrder, *, at: datetime) -> None:
    viewer.record(
        "emergency.sent",
        at=at,
        subject=f"{order.type}, {order.scope}"[:200],
        subject_path=reverse("console:fleet:order", args=[order.pk]),
        reason=order.reason,
        after={"type": order.type, "plants": order.asked, "order": order.pk},
    )


def _go(request: HttpRequest, address: str) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)


def _answer(request: HttpRequest, template: str, context: dict[str, Any], *, status: int) -> HttpResponse:
    """The dialog alone for htmx, on a page of its own without JavaScript."""
    if request.headers.get("HX-Request"):
        return render(request, template, context, status=status)
    return render(request, "console/fleet/order_dialog.html", context | {"dialog": template}, status=status)


# --- following and releasing ------------------------------------------------------------------------------------------


@page()
@require_GET
def orders(request: ConsoleRequest) -> HttpResponse:
    """The organisation's emergencies for many plants, newest first."""
    rows = EmergencyOrder.objects.filter(organisation_id=request.viewer.organisation.pk).order_by("-pk")
    before = number_of(request.GET.get("before", ""))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    shown = list(rows[: ROWS + 1])
    more = len(shown) > ROWS
    context = {"rows": shown[:ROWS], "before": shown[ROWS - 1].pk if more else None}
    return render(request, "console/fleet/orders.html", context)


@page()
@require_GET
def order(request: ConsoleRequest, order_id: int) -> HttpResponse:
    """How far an order is: counts, and each plant; the part alone for htmx."""
    found = _order(request, order_id)
    template = "_order.html" if request.headers.get("HX-Target") == "order" else "order.html"
    return render(request, f"console/fleet/{template}", _order_context(request, found))


def _order(request: ConsoleRequest, order_id: int) -> EmergencyOrder:
    rows = EmergencyOrder.objects.filter(organisation_id=request.viewer.organisation.pk, pk=order_id)
    found = rows.first()
    if found is None:
        raise Http404
    return found


def _order_context(request: ConsoleRequest, found: EmergencyOrder) -> dict[str, Any]:
    progress = progress_of(order=found)
    wanted = request.GET.get("counted", "")
    wanted = wanted if wanted in COUNTS else ""
    listed = Paginator(plants_of_order(order=found, counted_as=wanted), ROWS).get_page(request.GET.get("p"))
    for row in listed:
        row.why = _why(row)  # type: ignore[attr-defined]
    return {
        "order": found,
        "scope": scope_text(found),
        "progress": progress,
        "counts": counts_of(progress, wanted),
        "wanted": wanted,
        "listed": listed,
        "latched": latched_by_order(order=found),
        "is_moving": bool(
            progress.counts.get(WAITING) or progress.counts.get(UNSENT) or progress.counts.get(SENT)
        ),
    }


def _why(row: Any) -> str:
    """Why a plant stands where it does, in words."""
    if row.command is not None:
        return cause_text(row.command.cause)
    if row.decided_at is None:
        return _("Waits for its turn")
    # The row keeps its detail in English: a page in another language has the words of the code.
    if not row.detail or get_language() != settings.LANGUAGE_CODE:
        return cause_text(row.refusal)
    return f"{row.detail[:1].upper()}{row.detail[1:]}"


def counts_of(progress: Progress, wanted: str) -> list[dict[str, Any]]:
    """What there is of each count, with its share of a bar, in percent."""
    words = {
        WAITING: _("Waiting for their turn"),
        UNSENT: _("Not delivered yet"),
        SENT: _("Delivered, not answered"),
        TAKEN: _("Taken by Voke"),
        DONE: _("Done"),
        DOUBT: _("Need a person"),
        REFUSED: _("Not sent"),
        ENDED: _("Withdrawn"),
    }
    total = sum(progress.counts.values()) or 1
    found, x = [], 0.0
    for name in (DONE, TAKEN, SENT, UNSENT, WAITING, ENDED, DOUBT, REFUSED):
        count = progress.counts.get(name, 0)
        if not count:
            continue
        family, icon = _LOOKS[name]
        width = 100.0 * count / total
        found.append(
            {
                "name": name,
                "word": words[name],
                "count": count,
                "family": family,
                "icon": icon,
                "x": f"{x:.2f}",
                "width": f"{width:.2f}",
                "chosen": name == wanted,
            }
        )
        x += width
    return found


@page(Right.ACT)
@require_http_methods(["GET", "POST"])
def release(request: ConsoleRequest, order_id: int) -> HttpResponse:
    """One release for every latch that the order set."""
    found = _order(request, order_id)
    here = reverse("console:fleet:order", args=[found.pk])
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        at, latched = clock.now(), latched_by_order(order=found)
        try:
            release_order(
                organisation_id=found.organisation_id,
                order_id=found.pk,
                actor=request.viewer.actor,
                reason=form.cleaned_data["reason"].strip(),
                at=at,
                policy=current_policy(),
                noted=lambda order: request.viewer.record(
                    "emergency.released",
                    at=at,
                    subject=f"{order.type}, {order.scope}"[:200],
                    subject_path=here,
                    reason=order.release_reason,
                    before={"latched": latched},
                ),
            )
        except DomainError as error:
            text = sentence(local_text(error.words))
            form.add_error(
                "reason" if error.path == "reason" else None, ValidationError(text, code=error.code)
            )
        else:
            return _go(request, here)
    latched = latched_by_order(order=found)
    context = {
        "form": form,
        "order": found,
        "scope": scope_text(found),
        "latched": latched,
        "question": ngettext("Release %(count)d plant?", "Release %(count)d plants?", latched)
        % {"count": latched},
    }
    return _answer(request, "console/fleet/_release_ask.html", context, status=422 if form.is_bound else 200)
