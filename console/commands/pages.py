"""What the templates of the command screen are given: one function for the list, one for a command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _

from console.access import Viewer
from console.commands import filters as choices
from console.commands.diagnosis import Card, card_of
from console.commands.filters import GROUP_WORDS, KIND_WORDS, ORIGIN_WORDS, Filters, Group, Origin
from console.commands.life import Life, life_of
from console.commands.messages import choices_of, shown_of
from console.commands.proof import Numbers, numbers_of
from console.commands.report import report_text
from console.commands.selectors import CommandPage, commands_page, plants_named
from console.commands.strip import steps_of
from console.commands.taking_back import is_offered
from console.commands.timeline import timeline_of
from console.commands.verdict import verdict_of
from console.commands.words import Chip, full_title, head_chips, origin_of, row_chip, title_of, wanted_by
from console.dates import day_text
from dispatch.models import Command, DiagnosisStage, Kind
from dispatch.words import cause_text, state_word
from metering.days import local_day_of
from plants.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Row:
    """A command in the list."""

    command: Command
    title: str
    chip: Chip
    url: str
    day: str


def row_of(command: Command, filters: Filters, *, at: datetime) -> Row:
    """One row; its address keeps the list as it is, and its day is told where it is not today."""
    zone = command.plant.time_zone
    asked = command.requested_at.astimezone(ZoneInfo(zone))
    today = local_day_of(at, zone=zone).day == asked.date()
    return Row(
        command=command,
        title=title_of(command),
        chip=row_chip(command),
        url=reverse("console:commands:command", args=[command.pk]) + filters.here,
        day="" if today else day_text(asked, "brief"),
    )


def list_context(
    viewer: Viewer, filters: Filters, *, at: datetime, chosen: int | None = None
) -> dict[str, Any]:
    """The list's pane."""
    found = commands_page(organisation_id=viewer.organisation.pk, filters=filters, at=at)
    base = _base(chosen)
    plants = plants_named(organisation_id=viewer.organisation.pk)
    return {
        "filters": filters,
        "base": base,
        "rows": [row_of(command, filters, at=at) for command in found.rows],
        "chosen": chosen,
        "newest": found.rows[0].pk if found.rows and filters.before is None else None,
        "page": found,
        "older": base + filters.query(before=found.older) if found.older is not None else "",
        "first": base + filters.newest,
        "groups": [(choice, base + query) for choice, query in choices.group_choices(filters)],
        "plants": plants,
        "states": choices.state_choices(filters),
        "kinds": choices.kind_choices(filters),
        "causes": choices.cause_choices(filters),
        "origins": choices.origin_choices(filters),
        "times": choices.since_choices(filters),
        "applied": _applied(filters, plants, base),
        "empty": _empty(filters, found),
    }


def _base(chosen: int | None) -> str:
    return (
        reverse("console:commands:list")
        if chosen is None
        else reverse("console:commands:command", args=[chosen])
    )


def _applied(filters: Filters, plants: Sequence[tuple[int, str]], base: str) -> list[tuple[str, str]]:
    """(what is filtered by, the address without it), for those that a hidden form would not show."""
    names = {
        "state": state_word(filters.state) if filters.state and filters.state not in {*Group} else "",
        "plant": dict(plants).get(filters.plant, f"#{filters.plant}") if filters.plant is not None else "",
        "kind": str(KIND_WORDS[Kind(filters.kind)]) if filters.kind else "",
        "cause": _cause_word(filters.cause),
        "origin": str(ORIGIN_WORDS[Origin(filters.origin)]) if filters.origin else "",
        "since": str(choices.SINCE[filters.since][0]) if filters.since else "",
        "day": day_text(filters.day) if filters.day is not None else "",
    }
    return [
        (word, base + filters.query(**{name: None, "before": None})) for name, word in names.items() if word
    ]


def _cause_word(cause: str) -> str:
    return cause_text(cause) if cause else ""


def _empty(filters: Filters, found: CommandPage) -> tuple[str, str] | None:
    """(title, sentence) where the page has no rows."""
    if found.rows:
        return None
    if found.cut:
        return _("Nothing found so far"), _("None of the commands that were looked through is one of these.")
    if filters.before is not None:
        return _("No older commands"), _("This is where the list ends.")
    if filters.narrowed:
        group = GROUP_WORDS[Group(filters.state)] if filters.state in {*Group} else ""
        text = _("No command is one of these.") if not group else _("No command is in this group.")
        return _("Nothing found"), text
    return _("No commands yet"), _(
        "Whatever is sent to a plant, by a person or a plan, stands here from then on."
    )


# --- one command ------------------------------------------------------------------------------------------------------


def life_or_404(viewer: Viewer, command_id: int, *, at: datetime) -> Life:
    """A command of the viewer's organisation; another's is one that does not exist."""
    try:
        return life_of(organisation_id=viewer.organisation.pk, command_id=command_id, at=at)
    except NotFound as missing:
        raise Http404 from missing


def command_context(
    viewer: Viewer, life: Life, asked: Mapping[str, str], *, notice: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Both panes of a command; `notice`: (tone, sentence) of what was just done."""
    command, verdict, card, entries = life.command, verdict_of(life), card_of(life), timeline_of(life)
    numbers: Numbers | None = numbers_of(life)
    return {
        "life": life,
        "command": command,
        "plant": command.plant,
        "title": full_title(command),
        "chips": head_chips(command),
        "origin": ORIGIN_WORDS[origin_of(command)],
        "wanted_by": wanted_by(command),
        "verdict": verdict,
        "card": card,
        "steps": steps_of(life),
        "entries": entries,
        "numbers": numbers,
        "report": report_text(life, verdict, card, entries),
        "offers_cancel": is_offered(life),
        "offers_check": _offers_check(life, card),
        "has_next": verdict.do_not_resend or (card is not None and card.step is not None),
        "linked": linked_of(life),
        "notice": notice,
        "query": asked.get("list", ""),
        **message_context(life, asked),
    }


def _offers_check(life: Life, card: Card | None) -> bool:
    row = life.diagnosis
    return card is not None and row is not None and row.ended_at is None and row.stage == DiagnosisStage.DONE


def message_context(life: Life, asked: Mapping[str, str]) -> dict[str, Any]:
    """The viewer of one message."""
    found = choices_of(life)
    try:
        shown = shown_of(life, found, key=asked.get("m", ""), tab=asked.get("tab", ""))
    except NotFound as missing:
        raise Http404 from missing
    return {
        "messages_of": found,
        "shown": shown,
        "tabs": _tabs(),
        "command": life.command,
        "plant": life.command.plant,
    }


def _tabs() -> list[tuple[str, str]]:
    return [("pretty", _("Pretty")), ("raw", _("Raw")), ("headers", _("Headers"))]


def linked_of(life: Life) -> list[tuple[str, Command]]:
    """Commands that belong to this one: (how, which)."""
    found: list[tuple[str, Command]] = []
    if life.retraction is not None and life.retraction.by_command is not None:
        found.append((_("Taken back by"), life.retraction.by_command))
    if life.timed is not None and life.timed.stop is not None:
        found.append((_("Stopped by"), life.timed.stop))
    return found
