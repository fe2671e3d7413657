"""What people did: everybody's for organisation admins, one's own for each; filters in the address, export as CSV."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from console.access import ConsoleRequest, page
from console.account.asking import PersonRequest, is_partial, part, signed_in, typed, zone_shown
from console.account.words import GROUPS, action_words, field_word, role_word
from esm import clock
from metering.days import LocalDay, local_day
from people.models import AuditEntry
from people.rights import Right, Role
from people.selectors.audit import EXPORT_MOST, AuditFilter, entries, export, people_in
from plants.texts import number_of
from schedules.slots import FIRST_DAY, LAST_DAY

_HEAD = (
    "id", "at_utc", "person", "staff", "action", "subject", "subject_path", "reason", "before", "after", "address",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One member of what changed, as text; "" = it was not there."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry with its words."""

    entry: AuditEntry
    words: str
    differences: list[Difference]


@require_GET
@page(Right.MANAGE)
def everybody(request: ConsoleRequest) -> HttpResponse:
    """The organisation's audit."""
    organisation_id = request.viewer.organisation.pk
    asked = _asked(request.GET)
    of = _filter(request, asked, organisation_id=organisation_id, user_id=number_of(asked["person"]))
    context = {"nav": "audit", "people": people_in(organisation_id=organisation_id), "all": True}
    return _list(request, of, asked, context)


@require_GET
@signed_in
def own_acts(request: PersonRequest) -> HttpResponse:
    """What the person did, wherever."""
    asked = _asked(request.GET)
    of = _filter(request, asked, organisation_id=None, user_id=request.person.pk)
    return _list(request, of, asked, {"nav": "account", "all": False, "layout": request.layout})


def _list(
    request: HttpRequest, of: AuditFilter, asked: Mapping[str, str], context: Mapping[str, Any]
) -> HttpResponse:
    found, following = entries(of=of, before=number_of(request.GET.get("before", "")))
    kept = {name: value for name, value in asked.items() if value}
    whole = {
        "rows": [_row(entry) for entry in found],
        "following": following,
        "is_first": not request.GET.get("before"),
        "asked": asked,
        "kept": urlencode(kept),
        "groups": GROUPS.items(),
        "layout": "console/base.html",
        "zone": zone_shown(request),
        **context,
    }
    template = "parts/audit_rows.html" if is_partial(request) else "audit.html"
    return part(request, f"console/account/{template}", whole)


@require_GET
@page(Right.MANAGE)
def export_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    """The filtered entries, the newest EXPORT_MOST, as a file whose cells no spreadsheet takes for formulas."""
    asked, at = _asked(request.GET), clock.now()
    organisation = request.viewer.organisation
    of = _filter(request, asked, organisation_id=organisation.pk, user_id=number_of(asked["person"]))
    request.viewer.record(
        "audit.exported", at=at, after={name: value for name, value in asked.items() if value}
    )
    response = StreamingHttpResponse(_lines(of), content_type="text/csv; charset=utf-8")
    name = f"audit-{organisation.slug}-{at:%Y%m%d-%H%M}.csv"
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    response["Cache-Control"] = "no-store"
    response["X-Rows-Most"] = str(EXPORT_MOST)
    return response


class _Echo:
    """What csv writes into: the line itself is the answer."""

    def write(self, line: str) -> str:
        return line


def _lines(of: AuditFilter) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield str(writer.writerow(_HEAD))
    for entry in export(of=of):
        cells = (
            entry.pk,
            f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            entry.user_name,
            "yes" if entry.as_staff else "",
            entry.action,
            entry.subject,
            entry.subject_path,
            entry.reason,
            _flat(entry.before),
            _flat(entry.after),
            entry.address,
        )
        yield str(writer.writerow([safe_cell(str(cell)) for cell in cells]))


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} else text


def _flat(values: Mapping[str, Any] | None) -> str:
    return "" if not values else "; ".join(f"{name}={value}" for name, value in values.items())


def _row(entry: AuditEntry) -> Row:
    before, after = entry.before or {}, entry.after or {}
    names = [*before, *(name for name in after if name not in before)]
    return Row(
        entry=entry,
        words=action_words(entry.action),
        differences=[
            Difference(name=field_word(name), before=old, after=new)
            for name in names
            if (old := _text(name, before.get(name))) + (new := _text(name, after.get(name)))
        ],
    )


def _text(name: str, value: Any) -> str:
    if name == "role" and value in Role.values:
        return role_word(Role(value))
    match value:
        case None | "":
            return ""
        case bool():
            return _("yes") if value else _("no")
        case _:
            return str(value)[:200]


def _asked(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: typed(given, name, most=80) for name in ("person", "action", "q", "from", "to")}


def _filter(
    request: HttpRequest, asked: Mapping[str, str], *, organisation_id: int | None, user_id: int | None
) -> AuditFilter:
    since, until = (_day(asked[name], request) for name in ("from", "to"))
    return AuditFilter(
        organisation_id=organisation_id,
        user_id=user_id,
        action=asked["action"],
        text=asked["q"].strip(),
        since=None if since is None else since.start_at,
        until=None if until is None else until.end_at,
    )


def _day(text: str, request: HttpRequest) -> LocalDay | None:
    """The day as the rows' times are shown; None for what is no day that anybody means."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return local_day(day, zone=zone_shown(request)) if FIRST_DAY <= day <= LAST_DAY else None
