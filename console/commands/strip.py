"""A command's way as seven nodes, from what is known alone: a step that nobody told stays hollow, whatever followed.

Captions are the times between steps. `broken`: the line before a node is dashed, because the node, or the one before
it, is not known.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from console.commands.life import Life
from console.commands.words import clock_text, due_text, lasted, missed_text, precise_text
from console.words import look_of
from dispatch.models import Outcome, Proof
from dispatch.states import NEVER_SENT, State

_LONG = timedelta(minutes=2)
_NOT_THERE = NEVER_SENT | {State.SCHEDULED, State.QUEUED}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One step. `family`: its colour; `hollow`: nobody told it; `broken`: the line before it is dashed."""

    name: str
    family: str
    icon: str
    caption: str
    at: datetime | None = None
    hollow: bool = False
    broken: bool = False


def steps_of(life: Life) -> list[Node]:
    """Requested, Signed, Sent, Broker, ACK, Executing, Verified."""
    made: Iterable[Callable[[Life], Node]] = (
        _requested,
        _signed,
        _sent,
        _broker,
        _ack,
        _executing,
        _verified,
    )
    return list(_joined(make(life) for make in made))


def _joined(nodes: Iterable[Node]) -> Iterator[Node]:
    known = True
    for node in nodes:
        yield replace(node, broken=node.hollow or not known)
        known = not node.hollow


def _hollow(name: str, caption: str, *, family: str = "wait", icon: str = "ellipsis") -> Node:
    return Node(name=name, family=family, icon=icon, caption=caption, hollow=True)


def _after(before: datetime, at: datetime, zone: str) -> str:
    """How long after the step before it; where that was long before, when."""
    span = at - before
    return clock_text(at, zone) if abs(span) > _LONG else lasted(max(span, timedelta()))


def _requested(life: Life) -> Node:
    at = life.command.requested_at
    caption = precise_text(at, life.zone)[:-4]
    return Node(name=_("Requested"), family="ok", icon="check", caption=caption, at=at)


def _signed(life: Life) -> Node:
    message = life.sent
    if message is None:
        if life.state is State.SCHEDULED:
            return _hollow(_("Signed"), due_text(life.command.due_at, life.zone, at=life.at), icon="clock")
        return _hollow(_("Signed"), _("not made"), icon="ban")
    name, caption = _("Signed"), _after(life.command.requested_at, message.made_at, life.zone)
    if not message.signed:
        name, caption = _("Made"), _("not signed")
    return Node(name=name, family="ok", icon="check", caption=caption, at=message.made_at)


def _sent(life: Life) -> Node:
    message = life.sent
    if message is not None and message.attempted_at is not None:
        caption = _after(message.made_at, message.attempted_at, life.zone)
        return Node(name=_("Sent"), family="ok", icon="check", caption=caption, at=message.attempted_at)
    if life.state in NEVER_SENT:
        return _hollow(_("Sent"), _("never sent"), icon="ban")
    if life.state in _NOT_THERE:
        return _hollow(_("Sent"), _("waits"))
    return _hollow(_("Sent"), _("not recorded"), family="doubt")


def _broker(life: Life) -> Node:
    name, message = _("Broker"), life.sent
    if message is None or message.attempted_at is None:
        return _hollow(name, "")
    at = message.outcome_at or message.attempted_at
    caption = _after(message.attempted_at, at, life.zone)
    match message.outcome:
        case Outcome.CONFIRMED:
            return Node(name=name, family="ok", icon="check", caption=caption, at=at)
        case Outcome.RETURNED:
            return Node(name=name, family="fail", icon="undo-2", caption=_("returned"), at=at)
        case Outcome.REFUSED:
            return Node(name=name, family="fail", icon="shield-x", caption=_("refused"), at=at)
        case Outcome.PENDING:
            return _hollow(name, _("awaited"), family="move", icon="loader")
        case _:
            return _hollow(name, _("never confirmed"), family="doubt", icon="clock-alert")


def _ack(life: Life) -> Node:
    name, event = _("ACK"), life.ack
    if event is not None:
        look = look_of(event.word)
        family = "ok" if event.word == State.ACCEPTED else look.family
        begun = life.sent.attempted_at if life.sent is not None else None
        caption = _after(begun or life.command.requested_at, event.at, life.zone)
        icon = "check" if family == "ok" else look.icon
        return Node(name=name, family=family, icon=icon, caption=caption, at=event.at)
    if life.state is State.UNCONFIRMED:
        return _hollow(name, _("missing"), family="doubt", icon="clock-alert")
    if life.execution is not None:
        return _hollow(name, _("not told"), family="doubt")
    if life.state is State.SENT or (life.state is State.QUEUED and life.attempted):
        return _hollow(name, _("awaited"), family="move", icon="loader")
    return _hollow(name, "")


def _executing(life: Life) -> Node:
    event = life.execution
    if event is not None:
        look = look_of(event.word)
        begun = life.ack.at if life.ack is not None else life.command.requested_at
        return Node(
            name=str(look.word),
            family=look.family,
            icon="check" if look.family == "ok" else look.icon,
            caption=_after(begun, event.at, life.zone),
            at=event.at,
        )
    name = _("Executing")
    if life.command.execution_overdue:
        return _hollow(name, _("overdue"), family="doubt", icon="clock-alert")
    if life.state is State.UNCONFIRMED:
        return _hollow(name, _("not told"), family="doubt")
    if life.state in (State.ACCEPTED, State.PARTIAL):
        return _hollow(name, _("awaited"), family="move", icon="loader")
    return _hollow(name, "")


def _verified(life: Life) -> Node:
    name, proof = _("Verified"), life.proof
    if proof is None:
        return _hollow(name, _("no target"), icon="circle-dashed")
    match proof.verdict:
        case Proof.VERIFIED:
            ended = proof.to_at or proof.judged_at or life.at
            caption = _after(life.command.requested_at, ended, life.zone)
            return Node(name=name, family="ok", icon="badge-check", caption=caption, at=proof.judged_at)
        case Proof.OFF_TARGET:
            return Node(
                name=_("Measured"),
                family="doubt",
                icon="eye-off",
                caption=missed_text(proof),
                at=proof.judged_at,
            )
        case Proof.NO_DATA:
            return _hollow(name, _("no data"), family="doubt", icon="circle-dashed")
        case Proof.NOT_IN_FORCE:
            return _hollow(name, _("not in force"), icon="ban")
        case _:
            if life.state in NEVER_SENT:
                return _hollow(name, "")
            return _hollow(name, due_text(proof.due_at, life.zone, at=life.at), icon="clock")
