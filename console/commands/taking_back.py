"""Taking a command back: what that would send, said before it is done, and what became of it, said after."""

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from console.acting.refusals import sentence
from console.commands.life import Life
from console.commands.words import precise_text, time_in
from dispatch.models import Kind, Retraction, TimedCommand
from dispatch.services.inverse import Undoing, undoing_of
from dispatch.services.undoing import IN_FORCE
from dispatch.states import BEFORE_SENT, State
from dispatch.words import cause_text, command_title
from plants.errors import DomainError
from plants.words import label_text, local_text
from vcp import to_wire

_How = Retraction.How
_REFUSALS: Mapping[str, str] = {
    "RELEASE_INSTEAD": gettext_noop("An emergency is released on the page of its plant, not cancelled."),
    "USE_THE_PLAN": gettext_noop("A plan's schedule ends with its plan: cancel or replace the plan."),
    "NOTHING_TO_TAKE_BACK": gettext_noop(
        "Nothing undoes it: a stop or the base mode is replaced by a new command."
    ),
}


def is_offered(life: Life) -> bool:
    """Whether taking it back makes sense: nothing of it was sent, or it may be in force at Voke."""
    if life.command.kind in (Kind.EMERGENCY, Kind.SCHEDULE_CANCEL) or life.retraction is not None:
        return False
    until = time_in(life.command.payload, "validUntil")
    return life.state in IN_FORCE and (until is None or until > life.at)


def refusal_text(refusal: DomainError) -> str:
    """Why it can't be taken back, in words; a code that is not known in the service's own."""
    told = _REFUSALS.get(refusal.code)
    return _(told) if told else sentence(local_text(refusal.words))


def effects_of(life: Life) -> list[str]:
    """What taking it back does now, and what it does when the message leaves meanwhile. Raises as `retract` does."""
    command = life.command
    unsent = life.state in BEFORE_SENT
    try:
        text = _effect(life, undoing_of(command.plant, command, reason="", at=life.at))
    except DomainError as refusal:
        if not unsent or life.attempted:
            raise
        text = refusal_text(refusal)
    if unsent and not life.attempted:
        open_end = life.timed is not None and life.timed.ended_at is None
        first = _("Nothing of it was sent yet: it is taken back, and nothing goes to Voke.")
        found = [first, _("Should it leave before you press the button: %(text)s") % {"text": text}]
        if open_end:
            found.insert(1, _("Its stop is not sent either."))
        return [*found, *_made_again(life)]
    if unsent:
        return [_("It may be on its way to Voke, so it counts as sent; it is not sent again."), text]
    return [text]


def _made_again(life: Life) -> list[str]:
    """Of an unsent stop: taking it back ends nothing."""
    of = TimedCommand.objects.filter(stop=life.command, ended_at__isnull=True).first()
    if of is None:
        return []
    return [_("It is the stop of #%(of)s: another one is made while that has not ended.") % {"of": of.pk}]


def _effect(life: Life, undoing: Undoing) -> str:
    command, zone = life.command, life.zone
    mode = label_text(command.plant.base_mode)
    match undoing.how:
        case _How.OVER:
            return _("It is over already: nothing is sent.")
        case _How.EXPIRE:
            return _("By the plant's policy nothing is sent: it runs out by itself.")
        case _How.FOLLOWED if undoing.by is not None:
            return _("Command #%(by)s has taken its place: nothing is sent.") % {"by": undoing.by.pk}
        case _How.FOLLOWED:
            return _("A newer command takes its place: nothing is sent.")
        case _How.BASE_MODE if undoing.due_at is not None:
            words = {"mode": mode, "due": precise_text(undoing.due_at, zone)[:-4]}
            return (
                _(
                    "It is not in force yet. The base mode (%(mode)s) is sent at %(due)s, unless something newer "
                    "holds then."
                )
            ) % words
        case _How.BASE_MODE:
            return _("One message: the plant's base mode, %(mode)s, is sent.") % {"mode": mode}
        case _How.ZERO:
            return _("One message: by the plant's policy 0 kW is sent, for the rest of its time.")
        case _How.STOP if undoing.payload is not None:
            return _stop_text(life, command_title(Kind.DEVICE, to_wire(undoing.payload)))
        case _:
            return _("One message: the schedule is cancelled at Voke.")


def _stop_text(life: Life, stop: str) -> str:
    timed = life.timed
    if timed is None or timed.ended_at is not None:
        return _("One message: its devices are stopped (%(stop)s).") % {"stop": stop}
    words = {"due": precise_text(timed.stop_at, life.zone)[:-4], "stop": stop}
    return _("One message: its stop goes out at once, not at %(due)s (%(stop)s).") % words


def told(life: Life, row: Retraction | None) -> tuple[str, str]:
    """(tone, sentence) of what became of it, as the database holds it."""
    number = life.command.pk
    if row is None:
        return "ok", _("Command #%(number)s is cancelled; nothing of it was sent.") % {"number": number}
    by = row.by_command
    words = {"number": number, "how": row.get_how_display().lower()}
    if by is not None and by.state == State.CANCELLED:
        words["why"] = cause_text(by.cause)
        return "doubt", _("Command #%(number)s is taken back, but nothing was sent: %(why)s.") % words
    if by is not None and row.how != _How.FOLLOWED:
        words |= {"by": str(by.pk), "title": command_title(by.kind, by.payload)}
        return "move", _("Command #%(number)s is taken back by #%(by)s, %(title)s: it is on its way.") % words
    return "ok", _("Command #%(number)s is taken back: %(how)s.") % words
