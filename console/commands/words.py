"""What a command is called and how its state is drawn: title, origin, chips; for lists, pages and records alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from console import words
from console.commands.filters import Origin
from console.dates import day_text
from console.words import look_of
from dispatch.models import Command, Graded, Kind, Proof, Verification
from dispatch.states import State
from dispatch.targets import WITHOUT_EFFECT
from dispatch.words import command_title
from plants.words import decimal_text, span_text
from vcp import ProtocolError, parse_timestamp

_OVERRIDE, _PLAN = "override:", "plan:"
_CARRIED = frozenset({State.ACCEPTED, State.EXECUTING, State.COMPLETED, State.SENT})
_STANDS = WITHOUT_EFFECT | {State.FAILED}


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One chip: `state` names the family and icon, `word` what it says; `icon` where it is another than the state's."""

    state: str
    word: str

    @property
    def family(self) -> str:
        """The class of its colour."""
        return look_of(self.state).family

    @property
    def icon(self) -> str:
        """The icon of its state."""
        return look_of(self.state).icon


def proof_of(command: Command) -> Verification | None:
    """The measured proof that a command has, which is read along; None = commands of its kind have none."""
    return getattr(command, "verification", None)


def title_of(command: Command) -> str:
    """What it asks for: `Export 275 kW`, `Slot 13:30, export 180 kW`, `Export 275 kW, override`."""
    title = command_title(command.kind, command.payload)
    if command.kind != Kind.SITE_SETPOINT:
        return title
    if command.batch_ref.startswith(_OVERRIDE):
        return _("%(title)s, override") % {"title": title}
    begins_at = time_in(command.payload, "validFrom")
    if command.batch_ref.startswith(_PLAN) and begins_at is not None:
        words = {"at": clock_text(begins_at, command.plant.time_zone), "title": title[:1].lower() + title[1:]}
        return _("Slot %(at)s, %(title)s") % words
    return title


def full_title(command: Command) -> str:
    """The title with its end: `Export 275 kW until 14:15`."""
    until = time_in(command.payload, "validUntil")
    if until is None:
        return title_of(command)
    words = {"title": title_of(command), "until": clock_text(until, command.plant.time_zone)}
    return _("%(title)s until %(until)s") % words


def time_in(payload: Mapping[str, Any], name: str) -> datetime | None:
    """A time of a stored payload; None where it holds none."""
    told = payload.get(name)
    if not isinstance(told, str):
        return None
    try:
        return parse_timestamp(told)
    except ProtocolError:
        return None


def clock_text(moment: datetime, zone: str) -> str:
    """`14:15` on the plant's clock; the second of two equal times of a day is `02:15 B`."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%H:%M} B" if local.fold else f"{local:%H:%M}"


def dated_text(moment: datetime, zone: str, *, at: datetime) -> str:
    """`14:15` on the plant's clock, and the day where it is not today's: `3 Jan 14:15`."""
    local = moment.astimezone(ZoneInfo(zone))
    today = local.date() == at.astimezone(ZoneInfo(zone)).date()
    return f"{local:%H:%M}" if today else f"{day_text(local, 'brief')} {local:%H:%M}"


def due_text(moment: datetime, zone: str, *, at: datetime) -> str:
    """`at 14:15`, and on another day its date alone: `on 3 Jan`; for a caption with little room."""
    local = moment.astimezone(ZoneInfo(zone))
    if local.date() == at.astimezone(ZoneInfo(zone)).date():
        return _("at %(due)s") % {"due": f"{local:%H:%M}"}
    return _("on %(day)s") % {"day": day_text(local, "brief")}


def precise_text(moment: datetime, zone: str) -> str:
    """`13:38:29.412` on the plant's clock."""
    return f"{moment.astimezone(ZoneInfo(zone)):%H:%M:%S.%f}"[:-3]


def origin_of(command: Command) -> Origin:
    """Who wanted it, as far as its row says."""
    if command.batch_ref.startswith(_OVERRIDE):
        return Origin.OVERRIDE
    if command.batch_ref.startswith(_PLAN) or command.automatic:
        return Origin.PLAN
    return Origin.API if command.requested_by_id is None else Origin.PERSON


def lasted(span: timedelta) -> str:
    """How long something took: `12 ms`, `69.0 s`, and from two minutes on rounded minutes."""
    seconds = abs(span.total_seconds())
    if 60 <= seconds < 120:
        return f"{decimal_text(seconds, 1)}\u202fs"
    if 120 <= seconds < 3570:
        return f"{seconds / 60:.0f}\u202fmin"
    return span_text(span)


def wanted_by(command: Command) -> str:
    """`by Jana Dvořáková`, `by its day plan`: for the line under a title."""
    name = command.requested_by_name or _("this platform")
    match origin_of(command):
        case Origin.PLAN if command.batch_ref.startswith(_PLAN):
            return _("by its day plan")
        case Origin.PLAN:
            return _("automatically, by %(name)s") % {"name": name}
        case Origin.OVERRIDE:
            return _("override by %(name)s") % {"name": name}
        case _:
            return _("by %(name)s") % {"name": name}


def state_chip(command: Command) -> Chip:
    """The state in its own word."""
    return Chip(state=command.state, word=str(look_of(command.state).word))


def row_chip(command: Command) -> Chip:
    """The one chip of a row: the state and, where it is known, what the measurement says.

    A word of failure stands: nothing was measured of what changed nothing.
    """
    state, proof = State(command.state), proof_of(command)
    verdict = "" if proof is None or state in _STANDS else proof.verdict
    if proof is not None and verdict == Proof.OFF_TARGET:
        return Chip(state="OFF_TARGET", word=missed_text(proof))
    if verdict == Proof.VERIFIED and state in _CARRIED:
        return Chip(state="VERIFIED", word=_("Verified"))
    if verdict == Proof.VERIFIED and state is State.UNCONFIRMED:
        return Chip(state="UNCONFIRMED", word=_("Verified, no ACK"))
    if is_overdue(command):
        return Chip(state="UNCONFIRMED", word=_("Report overdue"))
    return state_chip(command)


def is_overdue(command: Command) -> bool:
    """Whether a report of its execution is overdue."""
    return command.execution_overdue and not command.is_final


def head_chips(command: Command) -> list[Chip]:
    """At most two: what the measurement says, and what Voke said last."""
    proof, found = proof_of(command), []
    if proof is not None and proof.verdict == Proof.VERIFIED:
        found.append(Chip(state="VERIFIED", word=_("Verified")))
    elif proof is not None and proof.verdict == Proof.OFF_TARGET:
        found.append(Chip(state="OFF_TARGET", word=missed_text(proof)))
    elif proof is not None and proof.verdict == Proof.NO_DATA:
        found.append(Chip(state="NO_DATA", word=_("Not measured")))
    if is_overdue(command):
        found.append(Chip(state="UNCONFIRMED", word=_("Report overdue")))
    elif command.state == State.UNCONFIRMED and command.cause == "ACK_OVERDUE":
        found.append(Chip(state="UNCONFIRMED", word=_("No ACK")))
    else:
        found.append(state_chip(command))
    return found[:2]


def missed_text(proof: Graded) -> str:
    """By how much a target was missed."""
    return words.missed_text(off_by=proof.off_by, target=proof.target, unit=proof.unit)
