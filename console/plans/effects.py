"""What publishing or cancelling would do, counted and in words, before anybody decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext, ngettext

from console.plans.day import PlannedDay
from console.plans.words import ask_words, span_words
from dispatch.models import Kind
from dispatch.requests import FAMILY
from plants.models import CancelPolicy, Connection, ConnectionMode, ScheduleCarrier
from schedules.diffs import SlotChange, diff
from schedules.mapping import rest_of, schedules_of
from schedules.models import PlanVersion, VokeSchedule
from schedules.slots import PlannedSlot, current_slot
from vcp import must_be_signed

_MOST_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One thing that would happen. `family`: wait, ok, doubt or fail as chips have it."""

    icon: str
    text: str
    family: str = "wait"


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What publishing a version would do; `changes`: what differs from the version in force, of what is not over."""

    messages: int
    left: int
    changes: Sequence[tuple[str, str, str]]
    more_changes: int
    effects: Sequence[Effect]


def publication_of(day: PlannedDay, version: PlanVersion, *, at: datetime, lead: timedelta) -> Publication:
    """Counted as the carriers will do it."""
    before = day.published
    new, old = day.slots(version), day.slots(before)
    left = [slot for slot in new if slot.end_at > at]
    changes = [one for one in diff(old, new) if one.span.end_at > at] if before is not None else []
    changed = {(one.span.start_at, one.span.end_at) for one in changes}
    fresh = left if before is None else [one for one in left if (one.start_at, one.end_at) in changed]
    voke = day.plant.schedule_carrier == ScheduleCarrier.VOKE
    messages = _schedules(day, left, at) if voke else len(left)
    effects = [_who(len(left), messages, voke=voke), _signing(day.plant.connection, voke=voke)]
    running = current_slot(fresh, at)
    if running is not None:
        effects.append(
            Effect(
                icon="send",
                text=gettext("The slot that runs now (%(span)s) is sent at once.")
                % {"span": span_words(running, zone=day.zone)},
            )
        )
    if before is not None:
        effects.append(_replaced(before, len(changes), at, left, day, lead))
    effects += _obstacles(day)
    return Publication(
        messages=messages,
        left=len(left),
        changes=[_change_row(one, day.zone) for one in changes[:_MOST_SHOWN]],
        more_changes=max(0, len(changes) - _MOST_SHOWN),
        effects=effects,
    )


def _schedules(day: PlannedDay, left: Sequence[PlannedSlot], at: datetime) -> int:
    """What Voke is told: a schedule for each priority, and the end of each that it has."""
    made = sum(1 for _ in schedules_of([rest_of(one, at=at) for one in left]))
    if day.plan is None:
        return made
    live = VokeSchedule.objects.filter(version__plan=day.plan, gone_at__isnull=True, unwanted_at__isnull=True)
    return made + live.count()


def _who(left: int, messages: int, *, voke: bool) -> Effect:
    if voke:
        text = ngettext(
            "%(n)d message to Voke, which carries %(left)d slots out itself.",
            "%(n)d messages to Voke, which carries %(left)d slots out itself.",
            messages,
        )
    else:
        text = ngettext(
            "%(n)d setpoint message, sent shortly before its slot begins.",
            "%(n)d setpoint messages, each sent shortly before its slot begins.",
            messages,
        )
    return Effect(icon="send", text=text % {"n": messages, "left": left})


def _signing(connection: Connection | None, *, voke: bool) -> Effect:
    if connection is None:
        return Effect(
            icon="unplug",
            family="fail",
            text=gettext("The plant has no connection to Voke: nothing is sent until it has one."),
        )
    family = FAMILY[Kind.SCHEDULE_CREATE if voke else Kind.SITE_SETPOINT]
    if must_be_signed(family, connection.signed_families):
        text = gettext("Each message is signed with the key of %(name)s.") % {"name": connection.name}
        return Effect(icon="signature", text=text)
    text = gettext("Voke does not ask for a signature on these messages (%(name)s).")
    return Effect(icon="signature", text=text % {"name": connection.name})


def _replaced(
    before: PlanVersion,
    changes: int,
    at: datetime,
    left: Sequence[PlannedSlot],
    day: PlannedDay,
    lead: timedelta,
) -> Effect:
    first = next((one for one in left if one.start_at - lead > at), None)
    text = ngettext(
        "v%(number)d ends now. %(n)d slot differs; what is the same is not sent again.",
        "v%(number)d ends now. %(n)d slots differ; what is the same is not sent again.",
        changes,
    ) % {"number": before.number, "n": changes}
    if first is not None:
        more = gettext("The next slot begins at %(time)s.") % {
            "time": span_words(first, zone=day.zone).partition("–")[0]
        }
        text = f"{text} {more}"
    return Effect(icon="history", text=text)


def _obstacles(day: PlannedDay) -> list[Effect]:
    """What would keep it from being carried out, though it is published."""
    found = []
    connection = day.plant.connection
    if connection is not None and connection.mode != ConnectionMode.ACTIVE:
        text = gettext("%(name)s only observes: nothing is sent until it is active.")
        found.append(Effect(icon="eye", family="doubt", text=text % {"name": connection.name}))
    if not day.plant.dispatch_enabled:
        text = gettext("Dispatch is switched off for this plant: nothing is sent until it is on.")
        found.append(Effect(icon="ban", family="doubt", text=text))
    return found


def _change_row(change: SlotChange, zone: str) -> tuple[str, str, str]:
    """(when, before, after) in words."""
    return span_words(change.span, zone=zone), ask_words(change.before), ask_words(change.after)


def cancel_effects(day: PlannedDay, version: PlanVersion, *, at: datetime) -> list[Effect]:
    """What cancelling would send and what stops."""
    left = sum(slot.end_at > at for slot in day.slots(version))
    stops = ngettext(
        "%(n)d slot that is not over is not carried out.",
        "%(n)d slots that are not over are not carried out.",
        left,
    ) % {"n": left}
    effects = [Effect(icon="ban", text=stops)]
    if version.carrier == ScheduleCarrier.VOKE:
        text = gettext("Voke is told at once to cancel its schedules of this plan.")
        return [*effects, Effect(icon="send", text=text)]
    policy = CancelPolicy(day.plant.cancel_policy)
    words = {
        CancelPolicy.BASE_MODE: gettext("For what Voke has already, the plant's base mode is sent."),
        CancelPolicy.EXPIRE: gettext("What Voke has already ends by itself with its validity."),
        CancelPolicy.ZERO: gettext("For what Voke has already, a setpoint of 0 kW is sent."),
    }
    return [*effects, Effect(icon="send", text=words[policy])]
