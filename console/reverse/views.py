"""The reverse channel: has Voke pulled, which config does it hold, what waits for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from console.access import ConsoleRequest, page
from console.reverse.blocks import Comparison, compare
from console.reverse.lanes import picture
from esm import clock
from people.rights import Right
from plants.errors import DomainError, Several
from plants.selectors.plants import blocks_of_versions
from plants.services.time_config import Author
from plants.texts import number_of
from plants.time_config import Block
from trading_api.mapping import Outcome, ResultCode, result_code
from trading_api.models import ConfigUpdateRequest, Credential
from trading_api.paths import Endpoint
from trading_api.selectors import count_waiting_updates
from trading_api.selectors_pulls import (
    ANSWERS,
    Wanted,
    cells_of_day,
    decided_updates,
    holding,
    last_pull,
    plants_behind,
    pull_of,
    pulls,
    update_of,
    waiting_updates,
)
from trading_api.services.updates import approve_update, refuse_update

APPROVE, REFUSE = "approve", "refuse"
_REASON_CHARS = 500
_BEHIND = 20
_WAITING, _COUNTED = 20, 10_000


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """An update that waits, with what it would change."""

    update: ConfigUpdateRequest
    comparison: Comparison


@page()
@require_GET
def overview(request: ConsoleRequest) -> HttpResponse:
    """The screen; the day's picture and the plants that are behind are read after it is shown."""
    whose = request.viewer.organisation.pk
    context = {
        "last": last_pull(organisation_id=whose),
        "waiting": _compared(waiting_updates(organisation_id=whose, limit=_WAITING)),
        "waiting_count": count_waiting_updates(organisation_id=whose, limit=_COUNTED),
        "decided": decided_updates(organisation_id=whose),
        "credentials": list(Credential.objects.filter(organisation_id=whose).order_by("client_id")[:20]),
        **_journal(request),
    }
    return render(request, "console/reverse/overview.html", context)


@page()
@require_GET
def journal(request: ConsoleRequest) -> HttpResponse:
    """A page of the journal as rows."""
    context = _journal(request)
    return render(request, "console/reverse/_journal.html", context)


@page()
@require_GET
def day(request: ConsoleRequest) -> HttpResponse:
    """The last 24 hours as a picture, and what Voke holds."""
    whose, at, zone = request.viewer.organisation.pk, clock.now(), request.viewer.zone
    drawn = picture(cells_of_day(organisation_id=whose, at=at), at=at, zone=zone)
    context = {"picture": drawn, "holding": holding(organisation_id=whose), "at": at}
    return render(request, "console/reverse/_day.html", context)


@page()
@require_GET
def behind(request: ConsoleRequest) -> HttpResponse:
    """Plants of which Voke does not hold the config in force."""
    after = number_of(request.GET.get("after", "")) or 0
    found = plants_behind(organisation_id=request.viewer.organisation.pk, after=after, limit=_BEHIND + 1)
    context = {
        "plants": found[:_BEHIND],
        "next_after": found[_BEHIND - 1].pk if len(found) > _BEHIND else None,
    }
    return render(request, "console/reverse/_behind.html", context)


@page()
@require_GET
def pull(request: ConsoleRequest, pull_id: int) -> HttpResponse:
    """One request and its answer, as far as they are kept."""
    row = pull_of(organisation_id=request.viewer.organisation.pk, pull_id=pull_id)
    if row is None:
        raise Http404
    return render(request, "console/reverse/_pull.html", {"row": row})


@page(Right.CONNECT)
@require_http_methods(["GET", "POST"])
def decide(request: ConsoleRequest, update_id: int, word: str) -> HttpResponse:
    """GET asks, POST approves or refuses an update that waits."""
    update = update_of(organisation_id=request.viewer.organisation.pk, update_id=update_id)
    if update is None or word not in {APPROVE, REFUSE}:
        raise Http404
    reason = request.POST.get("reason", "").strip()
    if request.method == "GET":
        return _ask(request, update, word)
    if word == REFUSE and not reason:
        return _ask(request, update, word, problems=[gettext("Say why: Voke is told your reason.")])
    if len(reason) > _REASON_CHARS:
        return _ask(request, update, word, reason=reason, problems=[gettext("At most 500 characters.")])
    try:
        _decide(request, update, word, reason)
    except DomainError as error:
        problems = error.problems if isinstance(error, Several) else [error]
        return _ask(request, update, word, reason=reason, problems=[str(one) for one in problems])
    answer = HttpResponse(status=204)
    answer["HX-Redirect"] = reverse("console:reverse:overview")
    return answer


def _decide(request: ConsoleRequest, update: ConfigUpdateRequest, word: str, reason: str) -> None:
    at, viewer = clock.now(), request.viewer
    author = Author(name=viewer.name, user=viewer.user)
    with transaction.atomic():
        if word == APPROVE:
            version = approve_update(update_id=update.pk, author=author, at=at, note=reason)
            after = {"version": version.number}
        else:
            refuse_update(update_id=update.pk, author=author, at=at, note=reason)
            after = {}
        viewer.record(
            "update.approved" if word == APPROVE else "update.refused",
            at=at,
            subject=update.plant.name,
            subject_path=reverse("console:reverse:overview"),
            reason=reason,
            before={"version": update.plant.time_config.number if update.plant.time_config else 0},
            after=after,
        )


def _ask(
    request: ConsoleRequest,
    update: ConfigUpdateRequest,
    word: str,
    *,
    reason: str = "",
    problems: list[str] | None = None,
) -> HttpResponse:
    context = {
        "update": update,
        "word": word,
        "waiting": _compared([update])[0],
        "told": _told(Outcome.APPLIED if word == APPROVE else Outcome.REJECTED),
        "reason": reason,
        "problems": problems or [],
    }
    return render(request, "console/reverse/_decide.html", context, status=422 if problems else 200)


def _told(outcome: Outcome) -> ResultCode:
    return result_code(outcome)


def _compared(updates: Sequence[ConfigUpdateRequest]) -> list[Waiting]:
    """Each with what it would change; one statement for all."""
    versions = [one.plant.time_config_id for one in updates if one.plant.time_config_id is not None]
    blocks = blocks_of_versions(versions)
    return [
        Waiting(
            update=one,
            comparison=compare(
                blocks.get(one.plant.time_config_id or 0, []), [Block(**item) for item in one.blocks]
            ),
        )
        for one in updates
    ]


def _journal(request: ConsoleRequest) -> dict[str, Any]:
    wanted = Wanted(
        endpoint=request.GET.get("endpoint", ""),
        answer=request.GET.get("answer", ""),
        plant_ref=request.GET.get("plant", "")[:128],
        before=number_of(request.GET.get("before", "")),
    )
    rows, following = pulls(organisation_id=request.viewer.organisation.pk, wanted=wanted)
    return {
        "rows": rows,
        "next_before": following,
        "wanted": wanted,
        "endpoints": [one.value for one in Endpoint],
        "answers": ANSWERS,
    }
