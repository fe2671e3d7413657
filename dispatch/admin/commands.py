"""Commands: a read-only list, a page that tells one command's life from request to proof, and taking one back."""

import uuid
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatch.admin.emergencies import emergency_view, release_view
from dispatch.admin.life import steps_of
from dispatch.admin.looks import EXECUTION_OVERDUE, outcome_chip, signature_chip, state_chip
from dispatch.admin.proof import ProofFilter, proof_facts, proof_mark
from dispatch.admin.sending import send_view
from dispatch.admin.silence import SilenceFilter, silence_view
from dispatch.admin.taking_back import cancel_view, may_be_taken_back
from dispatch.admin.timed import timed_facts, timed_of
from dispatch.models import Command, CommandEvent, OutboundMessage
from dispatch.selectors import DOUBTFUL, messages_of, timeline
from dispatch.signatures import check_signature
from dispatch.states import State
from dispatch.words import STATE_WORDS, cause_text, command_title
from esm import clock
from plants.admin.base import MachineOwned, without_secrets
from plants.admin.bytes_view import BytesView, view_of
from plants.admin.marks import (
    EMPTY,
    NOTHING,
    ago,
    chip,
    chips,
    link,
    moment,
    mono,
    muted,
    plain,
    stack,
)
from plants.admin.pages import found_or_404, require
from plants.admin.theme import (
    AutocompleteSelectFilter,
    DropdownFilter,
    RelatedDropdownFilter,
    action,
    display,
)
from plants.models import Connection
from plants.texts import number_of
from plants.words import age_text

_DAY = timedelta(hours=24)


class StateFilter(DropdownFilter):
    """One state, or what needs a person's eye."""

    title = "state"
    parameter_name = "state"
    ATTENTION = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.ATTENTION, "Needs attention"), *((state.value, STATE_WORDS[state]) for state in State)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        if wanted == self.ATTENTION:
            doubtful = Q(state__in=[state.value for state in DOUBTFUL]) | Q(execution_overdue=True)
            return queryset.filter(doubtful, requested_at__gte=clock.now() - _DAY)
        return queryset.filter(state=wanted) if wanted in State.__members__ else queryset


class CauseFilter(DropdownFilter):
    """The causes that people look for."""

    title = "cause"
    parameter_name = "cause"
    CAUSES = (
        "ACK_OVERDUE", "NEVER_CONFIRMED", "DELIVER_BY_PASSED", "CONSTRAINT_VIOLATION", "INVALID_COMMAND",
        "INVALID_PAYLOAD", "DEVICE_OFFLINE", "DEVICE_FAULT", "UNSUPPORTED_FOR_TOPOLOGY", "EMERGENCY", "CANCELLED",
        "BROKER_RETURNED", "BROKER_REFUSED", "EXECUTION_FAILED", "EXECUTION_DEVIATED",
    )  # fmt: skip

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(cause, cause_text(cause)) for cause in self.CAUSES]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(cause=self.value()) if self.value() else queryset


@admin.register(Command)
class CommandAdmin(MachineOwned):
    list_display = ("command", "state_mark", "proof", "plant_link", "by", "age", "due", "batch")
    list_filter = (
        StateFilter,
        ProofFilter,
        "kind",
        CauseFilter,
        SilenceFilter,
        ("plant", AutocompleteSelectFilter),
        ("organisation", RelatedDropdownFilter),
        "automatic",
    )
    search_fields = ("=batch_ref", "plant__name", "plant__external_plant_id", "requested_by_name")
    search_help_text = "Number, message id, batch, plant or person"
    ordering = ("-id",)
    actions_list = ["send_link"]
    actions_detail = ["cancel_page"]
    change_form_template = "admin/dispatch/command/change_form.html"
    fields = ()

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Command]":
        rows = super().get_queryset(request)
        rows = rows.select_related("plant", "organisation", "connection", "verification")
        return without_secrets(rows, "connection")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Command]", search_term: str
    ) -> tuple["QuerySet[Command]", bool]:
        """A number is a command's own; a UUID is a message's or a correlation's."""
        term = search_term.strip().removeprefix("#")
        if (number := number_of(term)) is not None:
            return queryset.filter(pk=number), False
        try:
            wanted = uuid.UUID(term)
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        found = OutboundMessage.objects.filter(Q(message_id=wanted) | Q(correlation_id=wanted))
        return queryset.filter(pk__in=found.values("command_id")), False

    def get_urls(self) -> Any:
        wrap = self.admin_site.admin_view
        return [
            path("send/", wrap(self.send_page), name="dispatch_command_send"),
            path("emergency/", wrap(self.emergency_page), name="dispatch_command_emergency"),
            path("release/<int:plant_id>/", wrap(self.release_page), name="dispatch_command_release"),
            *super().get_urls(),
        ]

    # --- pages ------------------------------------------------------------------------------------------------

    def send_page(self, request: HttpRequest) -> HttpResponse:
        """Ask a plant for something."""
        require(request, "dispatch.send_command")
        return send_view(self, request)

    def emergency_page(self, request: HttpRequest) -> HttpResponse:
        """Stop or hold plants at once."""
        require(request, "dispatch.send_emergency")
        return emergency_view(self, request)

    def release_page(self, request: HttpRequest, plant_id: int) -> HttpResponse:
        """End a plant's emergency."""
        require(request, "dispatch.send_emergency")
        return release_view(self, request, plant_id)

    @action(description="Send a command", url_path="ask", icon="send", permissions=["send_command"])
    def send_link(self, request: HttpRequest) -> HttpResponse:
        """The button above the list."""
        return redirect("admin:dispatch_command_send")

    @action(description="Cancel", url_path="cancel", icon="block", permissions=["cancel_command"])
    def cancel_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a command back; the page says before what is sent for it."""
        return cancel_view(self, request, found_or_404(self, request, object_id))

    def has_send_command_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may send commands."""
        return request.user.has_perm("dispatch.send_command")

    def has_cancel_command_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may send may take back, while the command is one that can still be taken back."""
        if not request.user.has_perm("dispatch.send_command"):
            return False
        if object_id is None:
            return True
        return may_be_taken_back(object_id)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        command = kwargs.get("obj")
        if command is not None:
            context["life"] = self.life(command)
        return super().render_change_form(request, context, *args, **kwargs)

    def life(self, command: Command) -> dict[str, Any]:
        """Everything that the page of one command shows."""
        at = clock.now()
        events, timed = timeline(command_id=command.pk), timed_of(command)
        return {
            "title": command_title(command.kind, command.payload),
            "silence": silence_view(command),
            "chips": chips(self._chips(command)),
            "facts": [*self._facts(command), *timed_facts(command, timed, events, at=at)],
            "steps": steps_of(command, events, zone=command.plant.time_zone, at=at, timed=timed),
            "messages": self._messages(command),
            "heard": [_heard(event) for event in events if event.inbound is not None],
        }

    def _chips(self, command: Command) -> list[SafeString]:
        found = [state_chip(command)]
        if command.execution_overdue and not command.is_final:
            found.append(chip(EXECUTION_OVERDUE, title="No report of its execution in time"))
        return found

    @display(description="Measured")
    def proof(self, row: Command) -> SafeString:
        return proof_mark(row)

    def _facts(self, command: Command) -> list[tuple[str, object]]:
        zone = command.plant.time_zone
        facts: list[tuple[str, object]] = [
            ("Plant", link(command.plant)),
            ("Connection", link(command.connection, command.connection.name)),
            ("Asked for by", _asker(command)),
            ("Asked for", moment(command.requested_at, zone=zone, precise=True)),
            ("Due", moment(command.due_at, zone=zone)),
            ("Must be sent by", _deliver_by(command)),
            ("Cause", cause_text(command.cause) if command.cause else NOTHING),
        ]
        optional = (
            ("Reason", command.reason),
            ("Batch", command.batch_ref and mono(command.batch_ref)),
            ("Idempotency key", command.idempotency_key and mono(command.idempotency_key)),
        )
        return [*facts, *proof_facts(command), *((name, value) for name, value in optional if value)]

    def _messages(self, command: Command) -> list[dict[str, Any]]:
        rows = messages_of(command_id=command.pk)
        if not rows:
            return []
        connection = Connection.objects.defer("amqps_uri", "api_key", "signing_key").get(
            pk=command.connection_id
        )
        return [message_view(row, connection, zone=command.plant.time_zone) for row in rows]

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Command", ordering="id")
    def command(self, row: Command) -> SafeString:
        return stack(command_title(row.kind, row.payload), f"#{row.pk}")

    @display(description="State", ordering="state_at")
    def state_mark(self, row: Command) -> SafeString:
        cause = muted(cause_text(row.cause)) if row.cause and row.state in DOUBTFUL else ""
        return format_html('<span class="lines">{}<span>{}</span></span>', chips(self._chips(row)), cause)

    @display(description="Plant", ordering="plant__name")
    def plant_link(self, row: Command) -> SafeString:
        return stack(link(row.plant, row.plant.name), row.plant.external_plant_id)

    @display(description="Asked for by", ordering="requested_by_name")
    def by(self, row: Command) -> SafeString:
        return _asker(row)

    @display(description="Asked for", ordering="requested_at")
    def age(self, row: Command) -> SafeString:
        return ago(row.requested_at, now=clock.now(), zone=row.plant.time_zone)

    @display(description="Due", ordering="due_at")
    def due(self, row: Command) -> SafeString:
        return moment(row.due_at, zone=row.plant.time_zone)

    @display(description="Batch", ordering="batch_ref")
    def batch(self, row: Command) -> SafeString:
        return mono(row.batch_ref) if row.batch_ref else EMPTY


def message_view(row: OutboundMessage, connection: Connection, *, zone: str) -> dict[str, Any]:
    """One message of the outbox with its bytes and the verdict on its signature."""
    told = f"{age_text(row.outcome_at - row.made_at)} after it was made" if row.outcome_at else ""
    return {
        "row": row,
        "outcome": outcome_chip(row.outcome, title=row.detail or told),
        "signature": signature_chip(check_signature(message=row, connection=connection)),
        "made": moment(row.made_at, zone=zone, precise=True),
        "attempted": moment(row.attempted_at, zone=zone, precise=True),
        "bytes": view_of(row.body),
    }


def _heard(event: CommandEvent) -> dict[str, Any]:
    inbound: Any = event.inbound
    view: BytesView = view_of(inbound.body)
    return {"row": inbound, "link": link(inbound, inbound.message_id), "bytes": view}


def _asker(command: Command) -> SafeString:
    how = "automatically" if command.automatic else ""
    return plain(command.requested_by_name or "This platform", how)


def _deliver_by(command: Command) -> SafeString | str:
    if command.deliver_by_at is None:
        return "no end: issued again until it is delivered or withdrawn"
    return moment(command.deliver_by_at, zone=command.plant.time_zone)
