"""What the list of commands is filtered by: everything is in the address, and nothing in it can break a query. Pure.

An address written by hand, or by a later version, may hold anything: what is not understood does not filter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlencode

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from dispatch.diagnosis import Cause
from dispatch.diagnosis_words import cause_words
from dispatch.models import Kind
from dispatch.selectors import DOUBTFUL
from dispatch.states import NEVER_SENT, State
from dispatch.words import cause_text, state_word
from plants.texts import number_of
from schedules.slots import FIRST_DAY, LAST_DAY

LONGEST_SEARCH: Final = 128


class Group(StrEnum):
    """States as people ask for them."""

    OPEN = "open"
    DOUBT = "doubt"
    FAILED = "failed"
    DONE = "done"
    CLOSED = "closed"


_FAILED = frozenset({State.REJECTED, State.FAILED, State.RETURNED, State.REFUSED})
GROUPS: Final[Mapping[Group, frozenset[State]]] = {
    Group.OPEN: frozenset(
        {
            State.SCHEDULED,
            State.QUEUED,
            State.SENT,
            State.ACCEPTED,
            State.QUEUED_BY_VOKE,
            State.EXECUTING,
        }
    ),
    Group.DOUBT: frozenset(DOUBTFUL) - _FAILED,
    Group.FAILED: _FAILED,
    Group.DONE: frozenset({State.COMPLETED}),
    Group.CLOSED: frozenset(NEVER_SENT),
}
GROUP_WORDS: Final[Mapping[Group, "str | Promise"]] = {
    Group.OPEN: gettext_lazy("Open"),
    Group.DOUBT: gettext_lazy("In doubt"),
    Group.FAILED: gettext_lazy("Failed"),
    Group.DONE: gettext_lazy("Done"),
    Group.CLOSED: gettext_lazy("Unsent"),
}


class Origin(StrEnum):
    """Who wanted a command."""

    PERSON = "person"
    PLAN = "plan"
    OVERRIDE = "override"
    API = "api"


ORIGIN_WORDS: Final[Mapping[Origin, "str | Promise"]] = {
    Origin.PERSON: gettext_lazy("A person"),
    Origin.PLAN: gettext_lazy("A day plan"),
    Origin.OVERRIDE: gettext_lazy("An override"),
    Origin.API: gettext_lazy("The platform or an API"),
}
SINCE: Final[Mapping[str, tuple["str | Promise", timedelta]]] = {
    "1h": (gettext_lazy("Last hour"), timedelta(hours=1)),
    "24h": (gettext_lazy("Last 24 hours"), timedelta(hours=24)),
    "7d": (gettext_lazy("Last 7 days"), timedelta(days=7)),
}
KIND_WORDS: Final[Mapping[Kind, "str | Promise"]] = {
    Kind.SITE_SETPOINT: gettext_lazy("Site setpoint"),
    Kind.DEVICE: gettext_lazy("Device command"),
    Kind.MODE: gettext_lazy("Operating mode"),
    Kind.EMERGENCY: gettext_lazy("Emergency"),
    Kind.SCHEDULE_CREATE: gettext_lazy("Schedule"),
    Kind.SCHEDULE_CANCEL: gettext_lazy("Schedule cancellation"),
}
# The codes that people look for beside the causes of a silence.
TOLD_CAUSES: Final = (
    "CONSTRAINT_VIOLATION", "INVALID_COMMAND", "INVALID_PAYLOAD", "DEVICE_OFFLINE", "DEVICE_FAULT",
    "UNSUPPORTED_FOR_TOPOLOGY", "EXECUTION_FAILED", "EXECUTION_DEVIATED", "EMERGENCY", "CANCELLED", "TAKEN_BACK",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What the address asks for; '' and None do not filter. `before`: the page begins below this command."""

    state: str = ""
    plant: int | None = None
    kind: str = ""
    cause: str = ""
    origin: str = ""
    since: str = ""
    day: date | None = None
    q: str = ""
    before: int | None = None

    @property
    def states(self) -> frozenset[State]:
        """The states of the group, or the one state, that is asked for; empty = any."""
        if self.state in GROUPS:
            return GROUPS[Group(self.state)]
        return frozenset({State(self.state)}) if self.state in State.__members__ else frozenset()

    @property
    def narrowed(self) -> bool:
        """Whether anything but the page is asked for."""
        return replace(self, before=None) != Filters()

    def query(self, **changes: object) -> str:
        """The address's query, `?state=open&plant=3`, with changes; '' where nothing is asked for."""
        asked = {field.name: getattr(self, field.name) for field in fields(self)} | changes
        told = {name: value for name, value in asked.items() if value not in ("", None)}
        return f"?{urlencode(told)}" if told else ""

    @property
    def kept(self) -> list[tuple[str, object]]:
        """(name, value) of what another search keeps: everything but the page."""
        asked = [(field.name, getattr(self, field.name)) for field in fields(self) if field.name != "before"]
        return [(name, value) for name, value in asked if value not in ("", None)]

    @property
    def here(self) -> str:
        """The query of this very page of the list."""
        return self.query()

    @property
    def newest(self) -> str:
        """The query of the first page."""
        return self.query(before=None)


def filters_of(asked: Mapping[str, str]) -> Filters:
    """The filters of an address; what is not understood is left out."""
    return Filters(
        state=_one_of(asked.get("state", ""), [*GROUPS, *State]),
        plant=number_of(asked.get("plant", "")),
        kind=_one_of(asked.get("kind", ""), Kind.values),
        cause=_one_of(asked.get("cause", ""), [*Cause, *TOLD_CAUSES]),
        origin=_one_of(asked.get("origin", ""), Origin),
        since=_one_of(asked.get("since", ""), SINCE),
        day=_day(asked.get("day", "")),
        q=asked.get("q", "").replace("\x00", "").strip()[:LONGEST_SEARCH],
        before=number_of(asked.get("before", "")),
    )


def _one_of(text: str, known: Iterable[str]) -> str:
    return text if text in {str(one) for one in known} else ""


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= LAST_DAY else None


class Choice(NamedTuple):
    """One entry of a list to choose from."""

    value: str
    word: "str | Promise"
    chosen: bool


class Choices(NamedTuple):
    """A list to choose from, perhaps under a heading."""

    heading: "str | Promise"
    entries: list[Choice]


def group_choices(filters: Filters) -> list[tuple[Choice, str]]:
    """The groups of states, each with the query that chooses it (or lets go of it again)."""
    every = Choice("", gettext_lazy("All"), not filters.state)
    found = [(every, filters.query(state="", before=None))]
    for group in Group:
        choice = Choice(group.value, GROUP_WORDS[group], filters.state == group)
        found.append((choice, filters.query(state=group.value, before=None)))
    return found


def state_choices(filters: Filters) -> list[Choices]:
    """Groups, then single states."""
    groups = [Choice(one.value, GROUP_WORDS[one], filters.state == one) for one in Group]
    states = [Choice(one.value, state_word(one), filters.state == one) for one in State]
    return [Choices(gettext_lazy("Groups"), groups), Choices(gettext_lazy("States"), states)]


def cause_choices(filters: Filters) -> list[Choices]:
    """Why there was silence, then what Voke or the platform said."""
    silent = [Choice(one.value, cause_words(one).title, filters.cause == one) for one in Cause]
    told = [Choice(one, cause_text(one), filters.cause == one) for one in TOLD_CAUSES]
    return [Choices(gettext_lazy("Explains a silence"), silent), Choices(gettext_lazy("Was told"), told)]


def kind_choices(filters: Filters) -> list[Choice]:
    """The kinds of commands."""
    return [Choice(kind.value, word, filters.kind == kind) for kind, word in KIND_WORDS.items()]


def origin_choices(filters: Filters) -> list[Choice]:
    """Who wanted it."""
    return [Choice(one.value, word, filters.origin == one) for one, word in ORIGIN_WORDS.items()]


def since_choices(filters: Filters) -> list[Choice]:
    """How far back."""
    return [Choice(key, word, filters.since == key) for key, (word, _) in SINCE.items()]
