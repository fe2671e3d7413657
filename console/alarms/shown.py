"""What the inbox and one alarm of it show, gathered for the templates: a bounded number of statements for each."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext, gettext_lazy, ngettext

from console.access import ConsoleRequest, Viewer
from console.alarms.asked import Asked
from console.alarms.values import compared, unit_of
from console.words import Look, look_of
from dispatch.selectors_around import commands_around
from dispatch.words import command_title
from plants.models import AlarmCase, AlarmNote, AlarmOccurrence, Plant, User
from plants.selectors.alarm_inbox import (
    COUNTED,
    NOTES_SHOWN,
    OCCURRENCES_SHOWN,
    OTHER_SEVERITIES,
    Inbox,
    Tab,
    choices_of,
    counts_of,
    notes_of,
    occurrences_of,
    page_of,
    possible_owners,
)
from plants.severity import KNOWN
from plants.words import label_text, local_number, span_text
from watch.models import Notification
from watch.selectors_told import told_of

AROUND = timedelta(minutes=30)
FLAPS_FROM = 3
"""So many raises of one problem are called flapping."""
_TAB_WORDS = {
    Tab.OPEN: gettext_lazy("Open"),
    Tab.MINE: gettext_lazy("Mine"),
    Tab.UNOWNED: gettext_lazy("Unowned"),
    Tab.CLOSED: gettext_lazy("Closed"),
}
_NOTE_LOOKS = {
    AlarmNote.Word.ACKNOWLEDGED: {"icon": "check"},
    AlarmNote.Word.TAKEN_BACK: {"icon": "undo-2"},
    AlarmNote.Word.ASSIGNED: {"icon": "user-check"},
    AlarmNote.Word.COMMENT: {"icon": "message-square"},
    AlarmNote.Word.CLOSED: {"icon": "archive"},
    AlarmNote.Word.REOPENED: {"icon": "archive-restore"},
    AlarmNote.Word.WORSENED: {"icon": "trending-up"},
}


def inbox_of(viewer: Viewer) -> Inbox:
    """The alarms that concern a person; the installation's are for its staff."""
    return Inbox(
        organisation_id=viewer.organisation.pk,
        user_id=viewer.user.pk,
        with_installation=viewer.user.organisation_id is None,
    )


@dataclass(frozen=True, kw_only=True)
class Row:
    """One alarm in words."""

    case: AlarmCase
    look: Look
    title: str
    place: str
    zone: str
    is_mine: bool
    is_listed: bool = True

    @property
    def times(self) -> str:
        """`12 ×, flapping`, `2 ×`, or '' for what was raised once."""
        return times_text(self.case.occurrences)

    @property
    def initials(self) -> str:
        """Of the owner, '' = nobody."""
        return "" if self.case.owner is None else initials_of(self.case.owner)

    @property
    def owner_name(self) -> str:
        """Of the owner, '' = nobody."""
        return "" if self.case.owner is None else name_of(self.case.owner)

    @property
    def message(self) -> str:
        """What the newest of its alarms says."""
        return "" if self.case.latest is None else self.case.latest.text


def row_of(case: AlarmCase, viewer: Viewer, *, is_listed: bool = True) -> Row:
    """A case as it is shown."""
    return Row(
        case=case,
        look=look_of(case.severity),
        title=label_text(case.code),
        place=_place(case),
        zone=zone_of(case),
        is_mine=case.owner_id == viewer.user.pk,
        is_listed=is_listed,
    )


def _place(case: AlarmCase) -> str:
    if case.plant is not None:
        return case.plant.name
    if case.connection is not None:
        return gettext("Connection %(name)s") % {"name": case.connection.name}
    return gettext("This organisation") if case.organisation_id is not None else gettext("This installation")


def zone_of(case: AlarmCase) -> str:
    """The plant's clock; what is about no plant is told in UTC."""
    return "UTC" if case.plant is None else case.plant.time_zone


def times_text(occurrences: int) -> str:
    """How often it was raised, '' for once."""
    if occurrences < 2:
        return ""
    text = f"{occurrences}\u202f×"
    return gettext("%(times)s, flapping") % {"times": text} if occurrences >= FLAPS_FROM else text


def name_of(user: User) -> str:
    """How a person is called."""
    return user.get_full_name() or user.get_username()


def initials_of(user: User) -> str:
    """`JD`; of a name without parts its first two letters."""
    words = name_of(user).split()
    return (words[0][0] + words[-1][0] if len(words) > 1 else name_of(user)[:2]).upper()


# --- the list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TabShown:
    """A tab with its count; '' = not counted."""

    tab: Tab
    word: str
    count: str
    query: str
    is_current: bool


def tabs_of(inbox: Inbox, asked: Asked) -> list[TabShown]:
    """The tabs; one statement."""
    counts = counts_of(inbox)
    return [
        TabShown(
            tab=tab,
            word=str(word),
            count="" if tab not in counts else _count_text(counts[tab]),
            query=asked.at_tab(tab).query,
            is_current=tab is asked.tab,
        )
        for tab, word in _TAB_WORDS.items()
    ]


def _count_text(count: int) -> str:
    return f"{count:,}" if count < COUNTED else f"{COUNTED - 1:,}+"


def list_context(request: ConsoleRequest, asked: Asked) -> dict[str, Any]:
    """What the list shows. Raises Invalid for a wrong place."""
    inbox = inbox_of(request.viewer)
    page = page_of(inbox, tab=asked.tab, filters=asked.filters, after=asked.after)
    choices = choices_of(inbox, tab=asked.tab)
    plants = list(choices.plants)
    wanted = asked.filters.plant_id
    if wanted is not None and wanted not in dict(plants):
        named = Plant.objects.filter(pk=wanted, organisation=request.viewer.organisation)
        plants = [*named.values_list("pk", "name"), *plants]
    code = asked.filters.code
    codes = [code, *choices.codes] if code and code not in choices.codes else choices.codes
    severities = [(word, str(look_of(word).word)) for word in reversed(KNOWN)]
    return {
        "asked": asked,
        "tabs": tabs_of(inbox, asked),
        "rows": [row_of(case, request.viewer) for case in page.rows],
        "next": page.next,
        "plants": plants,
        "codes": [(one, label_text(one)) for one in codes],
        "severities": [*severities, (OTHER_SEVERITIES, gettext("Other words"))],
        "is_narrowed": bool(asked.filters),
        **_over(asked, page.rows),
    }


def _over(asked: Asked, cases: Sequence[AlarmCase]) -> dict[str, Any]:
    """What of the page is over and may be closed at once."""
    over = [] if asked.tab is Tab.CLOSED else [case.pk for case in cases if not case.is_raised]
    return {"over_ids": ",".join(str(pk) for pk in over), "over_count": len(over)}


# --- one alarm --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NoteShown:
    """An entry of the history."""

    note: AlarmNote
    icon: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Span:
    """A raise with its clear; `lasted` '' = it stands, or its end was never told."""

    row: AlarmOccurrence
    lasted: str


def case_context(request: ConsoleRequest, case: AlarmCase, asked: Asked, *, at: datetime) -> dict[str, Any]:
    """What the pane about one alarm shows; seven statements."""
    viewer = request.viewer
    raises = occurrences_of(case_id=case.pk)
    people = possible_owners(organisation_id=case.organisation_id, but=viewer.user.pk)
    return {
        "row": row_of(case, viewer),
        "case": case,
        "asked": asked,
        "zone": zone_of(case),
        "at": at,
        "facts": facts_of(case),
        "spans": [_span(row) for row in raises],
        "unshown": max(case.occurrences - OCCURRENCES_SHOWN, 0),
        "notes": _notes(case),
        "commands": _commands(case),
        "commands_query": _commands_query(case),
        "told": _told(viewer, case),
        "people": people,
        "owner_listed": case.owner_id in {person.pk for person in people},
        "acknowledged_name": "" if case.acknowledged_by is None else name_of(case.acknowledged_by),
        "closed_name": gettext("this platform") if case.closed_by is None else name_of(case.closed_by),
        "chart_to": case.last_raised_at + AROUND,
        "request_key": uuid.uuid4().hex,
        "chart_from": case.last_raised_at - AROUND,
    }


def facts_of(case: AlarmCase) -> list[tuple[str, str]]:
    """What was measured and what was expected, by name; only what was told."""
    alarm = case.latest
    if alarm is None:
        return []
    tolerance = None if alarm.tolerance_pct is None else f"{local_number(f'{alarm.tolerance_pct:g}')}\u202f%"
    actual, expected = compared(alarm.actual_value, alarm.expected_value, unit=unit_of(alarm))
    found = (
        (gettext("Actual"), actual),
        (gettext("Expected"), expected),
        (gettext("Tolerance"), tolerance),
        (gettext("Breached"), alarm.breached_field or None),
        (gettext("Device"), case.device_id or None),
    )
    return [(name, value) for name, value in found if value is not None]


def _span(row: AlarmOccurrence) -> Span:
    return Span(row=row, lasted="" if row.cleared_at is None else span_text(row.cleared_at - row.raised_at))


def _notes(case: AlarmCase) -> list[NoteShown]:
    notes = notes_of(case_id=case.pk, limit=NOTES_SHOWN)
    return [
        NoteShown(note=note, icon=_NOTE_LOOKS[AlarmNote.Word(note.word)]["icon"], words=_words(note))
        for note in notes
    ]


def _words(note: AlarmNote) -> str:
    match AlarmNote.Word(note.word):
        case AlarmNote.Word.ACKNOWLEDGED:
            return gettext("acknowledged it")
        case AlarmNote.Word.TAKEN_BACK:
            return gettext("took the acknowledgement back")
        case AlarmNote.Word.ASSIGNED:
            to = note.data.get("to")
            if not to:
                return gettext("left it to nobody")
            return (
                gettext("took it")
                if to == note.by_name
                else gettext("assigned it to %(name)s") % {"name": to}
            )
        case AlarmNote.Word.CLOSED:
            return gettext("closed it while raised") if note.data.get("raised") else gettext("closed it")
        case AlarmNote.Word.REOPENED:
            return gettext("opened it again")
        case AlarmNote.Word.WORSENED:
            pair = {name: str(look_of(str(note.data.get(name))).word) for name in ("from", "to")}
            return gettext("Grew worse, from %(from)s to %(to)s: to be acknowledged again") % pair
        case _:
            return ""


@dataclass(frozen=True, kw_only=True)
class CommandShown:
    """A command near the moment."""

    pk: int
    requested_at: datetime
    title: str
    state: str


def _commands(case: AlarmCase) -> list[CommandShown]:
    if case.plant_id is None:
        return []
    first, last = case.last_raised_at - AROUND, case.last_raised_at + AROUND
    return [
        CommandShown(
            pk=row.pk,
            requested_at=row.requested_at,
            title=command_title(row.kind, row.payload),
            state=row.state,
        )
        for row in commands_around(plant_id=case.plant_id, from_at=first, to_at=last)
    ]


def _commands_query(case: AlarmCase) -> str:
    return "" if case.plant_id is None else f"?plant={case.plant_id}"


def _told(viewer: Viewer, case: AlarmCase) -> Sequence[Notification]:
    return told_of(
        case_id=case.pk,
        organisation_id=viewer.organisation.pk,
        with_installation=viewer.user.organisation_id is None,
    )


def count_text(count: int) -> str:
    """`3 alarms closed`."""
    return ngettext("%(count)d alarm closed", "%(count)d alarms closed", count) % {"count": count}
