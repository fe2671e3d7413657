"""The cancel page of a command: it says before what will be sent for it, and does that."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html

from dispatch.admin.forms import ReasonForm
from dispatch.admin.looks import state_chip
from dispatch.admin.sending import actor_of
from dispatch.admin.timed import timed_of
from dispatch.models import Command, Kind, Retraction, TimedCommand
from dispatch.policy import current_policy
from dispatch.services.inverse import Undoing, undoing_of
from dispatch.services.retracting import retract
from dispatch.services.undoing import IN_FORCE
from dispatch.states import BEFORE_SENT, State
from dispatch.words import cause_text, command_title
from esm import clock
from plants.admin.marks import change_url, moment
from plants.admin.pages import Page, posted, run_page
from plants.errors import DomainError
from plants.words import label_text, local_text
from vcp import to_wire

_How = Retraction.How


def may_be_taken_back(command_id: int | str) -> bool:
    """Whether the button is offered: nothing of it was sent, or it may be in force at Voke."""
    open_states = [state.value for state in IN_FORCE]
    rows = Command.objects.filter(pk=command_id, state__in=open_states)
    return rows.exclude(kind__in=[Kind.EMERGENCY, Kind.SCHEDULE_CANCEL]).exists()


def cancel_view(model_admin: "ModelAdmin[Any]", request: HttpRequest, command: Command) -> HttpResponse:
    """Ask why, say what happens, take it back."""
    page = Page(
        title=f"Cancel command #{command.pk}?",
        facts=(
            ("Command", command_title(command.kind, command.payload)),
            ("Plant", command.plant),
            ("State", state_chip(command)),
        ),
        effects=_effects(command),
        submit="Cancel the command",
        danger=True,
        back=change_url(command),
    )

    def act(asked: dict[str, Any]) -> HttpResponse:
        row = retract(
            command_id=command.pk,
            organisation_id=command.organisation_id,
            actor=actor_of(request),
            reason=asked["reason"],
            at=clock.now(),
            policy=current_policy(),
        )
        level, text = _told(command, row)
        messages.add_message(request, level, text)
        return redirect(change_url(command))

    form = ReasonForm(posted(request))
    return run_page(model_admin, request, page=page, form=form, act=act, row=command)


def _effects(command: Command) -> list[object]:
    """What a cancel would do now, and what it would do when the message leaves meanwhile."""
    text: object
    try:
        text = _effect(command, undoing_of(command.plant, command, reason="", at=clock.now()))
    except DomainError as refusal:
        words = local_text(refusal.words)
        text = f"{words[:1].upper()}{words[1:]}."
    attempted = command.messages.filter(attempted_at__isnull=False).exists()
    if State(command.state) in BEFORE_SENT and not attempted:
        unsent = f"Nothing of it was sent yet: it is taken back, and nothing goes to Voke{_no_stop(command)}."
        return [
            unsent,
            format_html("Should it leave before you press the button: {}", text),
            *_made_again(command),
        ]
    if State(command.state) in BEFORE_SENT:
        return ["It may be on its way to Voke, so it counts as sent; it is not sent again.", text]
    return [text]


def _open_end(command: Command) -> TimedCommand | None:
    timed = timed_of(command)
    return None if timed is None or timed.ended_at is not None else timed


def _no_stop(command: Command) -> str:
    return "" if _open_end(command) is None else ", no stop either"


def _made_again(command: Command) -> list[str]:
    """Of an unsent stop: taking it back ends nothing."""
    of = TimedCommand.objects.filter(stop=command, ended_at__isnull=True).first()
    return (
        [] if of is None else [f"It is the stop of #{of.pk}: another one is made while that has not ended."]
    )


def _effect(command: Command, undoing: Undoing) -> object:
    zone = command.plant.time_zone
    match undoing.how:
        case _How.OVER:
            return "It is over already: nothing is sent."
        case _How.EXPIRE:
            until = command.payload.get("validUntil", "")
            return f"By the plant's policy nothing is sent: it runs out at {until}."
        case _How.FOLLOWED if undoing.by is not None:
            return f"Command #{undoing.by.pk} has taken its place: nothing is sent."
        case _How.FOLLOWED:
            return "A newer command takes its place: nothing is sent."
        case _How.BASE_MODE if undoing.due_at is not None:
            mode = label_text(command.plant.base_mode)
            return format_html(
                "It is not in force yet: the base mode ({}) is sent at {}, unless something newer holds then.",
                mode,
                moment(undoing.due_at, zone=zone),
            )
        case _How.BASE_MODE:
            return f"The plant's base mode is sent: {label_text(command.plant.base_mode)}."
        case _How.ZERO:
            return "By the plant's policy 0 kW is sent, for the rest of its time."
        case _How.STOP if undoing.payload is not None:
            return _stop_text(command, command_title(Kind.DEVICE, to_wire(undoing.payload)))
        case _:
            return "The schedule is cancelled at Voke."


def _stop_text(command: Command, stop: str) -> object:
    timed = _open_end(command)
    if timed is None:
        return f"Its devices are stopped: {stop}."
    due = moment(timed.stop_at, zone=command.plant.time_zone)
    return format_html("Its stop goes out at once, not at {}: {}.", due, stop)


def _told(command: Command, row: Retraction | None) -> tuple[int, str]:
    if row is None:
        return messages.SUCCESS, f"Command #{command.pk} is cancelled; nothing of it was sent."
    by = row.by_command
    if by is not None and by.state == State.CANCELLED:
        why = cause_text(by.cause)
        return messages.WARNING, f"Command #{command.pk} is taken back, but nothing was sent: {why}."
    if by is not None and row.how != _How.FOLLOWED:
        title = command_title(by.kind, by.payload)
        return messages.SUCCESS, f"Command #{command.pk} is taken back by #{by.pk}: {title}."
    return messages.SUCCESS, f"Command #{command.pk} is taken back: {row.get_how_display().lower()}."
