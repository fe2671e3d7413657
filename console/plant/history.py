"""What was changed about a plant and by whom: time config, plans, and what people did in the console; newest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext, gettext_noop, ngettext

from console.dates import day_text
from people.models import AuditEntry
from people.selectors.audit import entries_at
from plants.models import Plant, TimeConfigVersion
from plants.selectors.overview import versions_of
from plants.words import label_text
from schedules.models import PlanEvent
from schedules.selectors.plans import history_of_plant

EACH = 40
SHOWN = 80
PLANS_WITHIN = timedelta(days=90)
_PLAN_WORDS = {
    "MADE": gettext_noop("Plan drafted"),
    "EDITED": gettext_noop("Plan edited"),
    "CHECKED": gettext_noop("Plan checked"),
    "PUBLISHED": gettext_noop("Plan published"),
    "REPLACED": gettext_noop("Plan replaced"),
    "CANCELLED": gettext_noop("Plan cancelled"),
    "DONE": gettext_noop("Plan carried out"),
    "DISCARDED": gettext_noop("Draft discarded"),
    "RECONCILED": gettext_noop("Brought into line with Voke"),
    "GIVEN_UP": gettext_noop("Schedule at Voke given up"),
    "REFUSED": gettext_noop("Schedule refused by Voke"),
    "RESTORED": gettext_noop("Plan restored"),
    "SLOT_MISSED": gettext_noop("Slot missed"),
    "NOT_CANCELLED": gettext_noop("Schedule at Voke not cancelled"),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that was done. `lines`: what differs, one each; `path`: where it is seen in full."""

    at: datetime
    icon: str
    title: str
    by: str
    lines: Sequence[str] = ()
    reason: str = ""
    path: str = ""


def history_of(plant: Plant, *, at: datetime) -> list[Entry]:
    """The newest of all three, merged: three queries."""
    found = [*_configs(plant), *_plans(plant, at), *_acts(plant)]
    return sorted(found, key=lambda entry: entry.at, reverse=True)[:SHOWN]


def _configs(plant: Plant) -> Iterator[Entry]:
    versions: Sequence[TimeConfigVersion] = versions_of(plant_id=plant.pk, limit=EACH)
    for version in versions:
        yield Entry(
            at=version.made_at,
            icon="settings",
            title=gettext("Time config v%(number)d") % {"number": version.number},
            by=version.made_by_name,
            lines=[str(line) for line in version.changes],
            reason=str(version.get_origin_display()) if version.origin != "PERSON" else "",
        )


def _plans(plant: Plant, at: datetime) -> Iterator[Entry]:
    events: Sequence[PlanEvent] = history_of_plant(
        plant_id=plant.pk, since=(at - PLANS_WITHIN).date(), limit=EACH
    )
    for event in events:
        word = gettext(_PLAN_WORDS[event.word]) if event.word in _PLAN_WORDS else label_text(event.word)
        number = "" if event.version is None else f" v{event.version.number}"
        yield Entry(
            at=event.at,
            icon="calendar-range",
            title=f"{word}, {day_text(event.plan.day, 'month')}{number}",
            by=event.actor,
            lines=list(_told(event.detail)),
        )


def _told(detail: object) -> Iterator[str]:
    """What a plan's event says beside its word: only what people read."""
    if not isinstance(detail, dict):
        return
    slots = detail.get("slots")
    if isinstance(slots, int):
        yield ngettext("%(count)d slot", "%(count)d slots", slots) % {"count": slots}
    for name in ("reason", "why"):
        if isinstance(detail.get(name), str) and detail[name]:
            yield str(detail[name])


def _acts(plant: Plant) -> Iterator[Entry]:
    rows: Sequence[AuditEntry] = entries_at(
        organisation_id=plant.organisation_id, path=reverse("console:plant:page", args=[plant.pk]), limit=EACH
    )
    for row in rows:
        yield Entry(
            at=row.at,
            icon="scroll-text",
            title=_act_title(row),
            by=row.user_name,
            lines=list(_changes(row.before, row.after)),
            reason=row.reason,
            path=row.subject_path,
        )


def _act_title(row: AuditEntry) -> str:
    what, _, done = row.action.partition(".")
    return f"{label_text(what.upper())} {done.replace('_', ' ')}".strip()


def _changes(before: Any, after: Any) -> Iterator[str]:
    """What differs, as `name: was -> is`."""
    was = before if isinstance(before, dict) else {}
    now = after if isinstance(after, dict) else {}
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            old = f"{was[name]} \u2192 " if name in was else ""
            yield f"{name}: {old}{now.get(name, gettext('nothing'))}"
