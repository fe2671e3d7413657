"""What a request stands above, beside or in the place of, and what goes on after it, in words."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from console.acting.asked import Asked, Route
from console.acting.finding import Finding, doubts, tells
from console.acting.situation import Situation
from console.plans.words import ask_words
from dispatch.words import command_title, device_text
from schedules.selectors.plans import Ahead, slots_ahead
from schedules.slots import PlannedSlot, local_text
from vcp import (
    Mode,
    to_wire,
)


def slot_ask(slot: PlannedSlot) -> str:
    """What a slot asks for, within a sentence."""
    text = ask_words(slot)
    return f"{text[:1].lower()}{text[1:]}"


def around_of(asked: Asked, situation: Situation) -> Iterator[Finding]:
    """What else has a word at the plant until the request is over."""
    until = asked.until_at
    match asked.route:
        case Route.OVERRIDE if until is not None:
            yield from _above(situation, until)
        case Route.SETPOINT if until is not None:
            end = local_text(until, zone=situation.zone)
            yield tells(
                _("Nothing is planned until %(end)s: a single setpoint, over then by itself") % {"end": end},
                icon="clock",
            )
        case Route.TIMED if until is not None:
            yield tells(_stop_text(asked, situation, until), icon="clock")
            yield from _beside_plan(situation)
        case Route.DEVICE:
            yield tells(_("No end: it runs until the device is commanded anew"), icon="clock")
            yield from _beside_plan(situation)
        case _:
            yield from _mode(asked, situation)


def _above(situation: Situation, until: datetime) -> Iterator[Finding]:
    if situation.override is not None:
        yield doubts(replaced_text(situation), icon="hand")
    if situation.ahead.current is not None or situation.ahead.following is not None:
        yield doubts(resume_text(situation, until), icon="hand")


def replaced_text(situation: Situation) -> str:
    """Which override it takes the place of; '' where none is open."""
    override = situation.override
    if override is None:
        return ""
    return _("Replaces the override of %(who)s that runs until %(end)s") % {
        "who": override.by_name,
        "end": local_text(override.until_at, zone=situation.zone),
    }


def resume_text(situation: Situation, until: datetime) -> str:
    """What goes on when an override is over; one statement."""
    return resumes_with(slots_ahead(plant_id=situation.plant.pk, at=until), until, situation)


def resumes_with(then: Ahead, until: datetime, situation: Situation) -> str:
    """`Plan v7 pauses, and resumes at 14:15 with export 185 kW`."""
    zone = situation.zone
    if then.current is not None:
        return _("Plan v%(number)s pauses, and resumes at %(when)s with %(what)s") % {
            "number": then.number, "when": local_text(until, zone=zone), "what": slot_ask(then.current),
        }  # fmt: skip
    if then.following is not None:
        return _("Plan v%(number)s pauses; its next slot begins at %(when)s with %(what)s") % {
            "number": then.number,
            "when": local_text(then.following.start_at, zone=zone),
            "what": slot_ask(then.following),
        }
    return _("Nothing is planned after %(when)s") % {"when": local_text(until, zone=zone)}


def _stop_text(asked: Asked, situation: Situation, until: datetime) -> str:
    stop = asked.stop
    word = ", ".join(device_text(one) for one in to_wire(stop)["commands"]) if stop is not None else ""
    return _("Its stop is a second command, %(what)s, sent at %(when)s") % {
        "what": word,
        "when": local_text(until, zone=situation.zone),
    }


def _beside_plan(situation: Situation) -> Iterator[Finding]:
    if situation.override is not None:
        yield doubts(
            _("The override of %(who)s stays in force beside it") % {"who": situation.override.by_name},
            icon="hand",
        )
    elif situation.ahead.current is not None:
        yield doubts(
            _("Plan v%(number)s stays in force beside it: %(what)s now")
            % {"number": situation.ahead.number, "what": slot_ask(situation.ahead.current)},
            icon="calendar-range",
        )


def _mode(asked: Asked, situation: Situation) -> Iterator[Finding]:
    zone = situation.zone
    if asked.until_at is None:
        yield tells(_("Holds until another mode is set"), icon="clock")
    else:
        yield tells(_("Holds until %(end)s") % {"end": local_text(asked.until_at, zone=zone)}, icon="clock")
    if (
        isinstance(asked.payload, Mode)
        and situation.state is not None
        and situation.state.mode == asked.payload.mode
    ):
        yield tells(_("The site is in this mode already"), icon="check")
    override, following = situation.override, situation.ahead.following
    if override is not None:
        told = _("A mode ends the setpoint in force: the override of %(who)s, %(what)s")
        yield doubts(
            told % {"who": override.by_name, "what": command_title("site-setpoint", override.payload)}, "hand"
        )
    elif situation.ahead.current is not None:
        told = _("A mode ends the setpoint in force: the plan's %(what)s")
        yield doubts(told % {"what": slot_ask(situation.ahead.current)}, icon="hand")
    if following is not None and following.start_at < situation.at + timedelta(hours=1):
        told = _("Plan v%(number)s speaks again with its next slot at %(when)s")
        when = local_text(following.start_at, zone=zone)
        yield tells(told % {"number": situation.ahead.number, "when": when}, icon="calendar-range")
