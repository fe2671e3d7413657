"""Dead letters: what could not be used, why, and what people decided; replayed after a fix or discarded with a note."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from esm import clock
from link.replay import MOST_REPLAYED, Replayed, ReplayOutcome, replay
from plants.admin.base import without_secrets
from plants.admin.filters import ConnectionFilter
from plants.admin.inbox import Received
from plants.admin.marks import (
    NOTHING,
    Family,
    Look,
    change_url,
    chip,
    lines,
    link,
    moment,
    mono,
    muted,
    stack,
)
from plants.admin.pages import Page, PageForm, posted, require, run_page, show_page
from plants.admin.theme import ActionVariant, DropdownFilter, action, display
from plants.models import DeadLetter, DeadLetterEvent
from plants.services.dead_letters import DISCARDED, OPEN, REPLAYED, TOO_LARGE, discard
from plants.texts import numbers_of

MOST_AT_ONCE = MOST_REPLAYED
_HISTORY = 50
_REASONS = 50
_LOOKS = {
    OPEN: Look(icon="unsubscribe", word="Open", family=Family.FAIL),
    REPLAYED: Look(icon="replay", word="Replayed", family=Family.OK),
    DISCARDED: Look(icon="delete_sweep", word="Discarded", family=Family.WAIT),
}
_OUTCOMES = {
    ReplayOutcome.APPLIED: "applied",
    ReplayOutcome.DUPLICATE: "had been applied before",
    ReplayOutcome.DEAD_AGAIN: "still dead",
    ReplayOutcome.NOT_WHOLE: "not replayed, because only the first bytes were kept",
    ReplayOutcome.SETTLED: "settled by somebody else",
    ReplayOutcome.MISSING: "gone",
}


class ReasonFilter(DropdownFilter):
    """By the code of what was wrong: the codes that occur."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        reasons = DeadLetter.objects.order_by("reason").values_list("reason", flat=True).distinct()
        return [(reason, reason) for reason in reasons[:_REASONS]]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(reason=self.value()) if self.value() else queryset


class AgeFilter(DropdownFilter):
    """By when it last arrived."""

    title = "last arrived"
    parameter_name = "age"
    spans = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        within = [(name, f"Within the last {name}") for name in self.spans]
        return [*within, ("older", "More than a week ago")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        word = self.value()
        if word == "older":
            return queryset.filter(last_at__lt=clock.now() - self.spans["week"])
        return (
            queryset.filter(last_at__gte=clock.now() - self.spans[word]) if word in self.spans else queryset
        )


class DiscardForm(PageForm):
    note = forms.CharField(
        max_length=500,
        label="Why are they not needed?",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Kept in the history of each letter.",
    )


@admin.register(DeadLetter)
class DeadLetterAdmin(Received):
    list_display = ("why", "state_mark", "key", "times", "first", "last", "connection_link")
    list_filter = ("state", ReasonFilter, AgeFilter, ("connection", ConnectionFilter))
    search_fields = ("reason", "path", "routing_key", "=digest")
    search_help_text = "Reason, field or routing key"
    ordering = ("-last_at",)
    actions = ["replay_selected", "discard_selected"]
    actions_detail = ["replay_one", "discard_one"]
    fieldsets = (
        (None, {"fields": ("reason_mark", "state_mark", "field", "detail", "times", "first", "last")}),
        ("History", {"fields": ("history",)}),
        ("Delivery", {"fields": ("connection_link", "queue", "key", "headers", "sha256")}),
        ("As received", {"fields": ("content",)}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[DeadLetter]":
        rows = super().get_queryset(request).select_related("connection")
        return without_secrets(rows, "connection")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if request.user.has_perm("plants.view_deadletter_body"):
            return self.fieldsets
        return (*self.fieldsets[:-1], ("As received", {"fields": ("content_kept_back",)}))

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view
        return [
            path("replay/", view(self.replay_view), name="plants_deadletter_replay"),
            path("discard/", view(self.discard_view), name="plants_deadletter_discard"),
            *super().get_urls(),
        ]

    # --- deciding ---------------------------------------------------------------------------------------------

    @admin.action(description="Replay selected letters", permissions=["replay"])
    def replay_selected(self, request: HttpRequest, queryset: "QuerySet[DeadLetter]") -> HttpResponse:
        """To the page that asks."""
        return _to_page("replay", self._chosen(request, queryset))

    @admin.action(description="Discard selected letters", permissions=["discard"])
    def discard_selected(self, request: HttpRequest, queryset: "QuerySet[DeadLetter]") -> HttpResponse:
        """To the page that asks."""
        return _to_page("discard", self._chosen(request, queryset))

    @action(
        description="Replay",
        url_path="replay",
        icon="replay",
        variant=ActionVariant.PRIMARY,
        permissions=["replay"],
    )
    def replay_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the page that asks."""
        return _to_page("replay", [object_id])

    @action(description="Discard", url_path="discard", icon="delete_sweep", permissions=["discard"])
    def discard_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the page that asks."""
        return _to_page("discard", [object_id])

    def has_replay_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may replay letters."""
        return request.user.has_perm("plants.replay_deadletter")

    def has_discard_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may discard letters."""
        return request.user.has_perm("plants.discard_deadletter")

    def _chosen(self, request: HttpRequest, queryset: "QuerySet[DeadLetter]") -> list[int]:
        """The oldest of what was ticked, up to what one request does."""
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(ids) > MOST_AT_ONCE:
            messages.warning(request, f"These are the first {MOST_AT_ONCE}; repeat it for the others.")
        return ids[:MOST_AT_ONCE]

    def replay_view(self, request: HttpRequest) -> HttpResponse:
        """Ask, then replay: not within a transaction, because each letter is one of its own."""
        require(request, "plants.view_deadletter", "plants.replay_deadletter")
        letters = self._asked_for(request)
        if not letters:
            return self._none_chosen(request)
        if request.method == "POST":
            done = replay(
                letter_ids=[letter.pk for letter in letters],
                actor=request.user.get_username(),
                at=clock.now(),
                retention_days=settings.TELEMETRY_RETENTION_DAYS,
            )
            _tell(request, done)
            return redirect(_back(letters))
        page = Page(
            title=f"Replay {_named(letters)}?",
            submit="Replay",
            facts=_facts(letters),
            effects=(
                "The stored bytes pass through the inbox again, as if Voke had sent them now.",
                "What has been applied already is not applied twice; newer values are not replaced by older ones.",
                "A letter that fails again stays open with its new reason.",
                *_too_large(letters),
            ),
            back=_back(letters),
        )
        return show_page(self, request, page=page, form=PageForm())

    def discard_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the reason, then discard."""
        require(request, "plants.view_deadletter", "plants.discard_deadletter")
        letters = self._asked_for(request)
        if not letters:
            return self._none_chosen(request)
        page = Page(
            title=f"Discard {_named(letters)}?",
            submit="Discard",
            facts=_facts(letters),
            effects=(
                "They no longer count as open, and are forgotten after a month.",
                "One that arrives again is open again; until it is forgotten it can still be replayed.",
            ),
            back=_back(letters),
            danger=True,
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            ids = [letter.pk for letter in letters]
            settled = discard(
                letter_ids=ids, actor=request.user.get_username(), note=asked["note"], at=clock.now()
            )
            messages.success(request, f"{_counted(len(settled))} discarded.")
            if len(settled) < len(ids):
                messages.info(request, f"{_counted(len(ids) - len(settled))} had been settled before.")
            return redirect(_back(letters))

        return run_page(self, request, page=page, form=DiscardForm(posted(request)), act=act)

    def _asked_for(self, request: HttpRequest) -> list[DeadLetter]:
        ids = numbers_of(request.GET.get("letters", "").split(",")[:MOST_AT_ONCE])
        rows = self.get_queryset(request).defer("body", "headers").filter(pk__in=ids)
        return list(rows.order_by("pk"))

    def _none_chosen(self, request: HttpRequest) -> HttpResponse:
        messages.error(request, "Choose dead letters first; those that were named are gone.")
        return redirect("admin:plants_deadletter_changelist")

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Reason", ordering="reason")
    def why(self, row: DeadLetter) -> SafeString:
        return stack(row.reason, f"{row.path}: {row.detail}"[:160] if row.path else row.detail[:160])

    @display(description="State", ordering="state")
    def state_mark(self, row: DeadLetter) -> SafeString:
        return chip(_LOOKS[row.state])

    @display(description="Reason")
    def reason_mark(self, row: DeadLetter) -> SafeString:
        return chip(Look(icon="unsubscribe", word=row.reason, family=Family.FAIL))

    @display(description="Field")
    def field(self, row: DeadLetter) -> SafeString:
        return mono(row.path) if row.path else NOTHING

    @display(description="Routing key", ordering="routing_key")
    def key(self, row: DeadLetter) -> SafeString:
        return mono(row.routing_key)

    @display(description="Times", ordering="count")
    def times(self, row: DeadLetter) -> str:
        return "once" if row.count == 1 else f"{row.count} times"

    @display(description="First", ordering="first_at")
    def first(self, row: DeadLetter) -> SafeString:
        return moment(row.first_at)

    @display(description="Last", ordering="last_at")
    def last(self, row: DeadLetter) -> SafeString:
        return moment(row.last_at)

    @display(description="Connection", ordering="connection__name")
    def connection_link(self, row: DeadLetter) -> SafeString:
        return link(row.connection, row.connection.name)

    @display(description="SHA-256")
    def sha256(self, row: DeadLetter) -> SafeString:
        return mono(row.digest)

    @display(description="Decided")
    def history(self, row: DeadLetter) -> SafeString:
        return lines(_event_line(event) for event in row.events.order_by("-pk")[:_HISTORY])

    @display(description="Body")
    def content_kept_back(self, row: DeadLetter) -> SafeString:
        return muted(f"{len(bytes(row.body))} bytes, which you have no permission to see")


def _event_line(event: DeadLetterEvent) -> SafeString:
    told = event.note or event.result
    return format_html("{} {} by {}: {}", moment(event.at), event.get_action_display(), event.actor, told)


def _to_page(name: str, ids: Sequence[object]) -> HttpResponse:
    chosen = ",".join(str(one) for one in ids)
    return redirect(f"{reverse(f'admin:plants_deadletter_{name}')}?letters={chosen}")


def _back(letters: Sequence[DeadLetter]) -> str:
    return change_url(letters[0]) if len(letters) == 1 else reverse("admin:plants_deadletter_changelist")


def _counted(number: int) -> str:
    return "1 dead letter" if number == 1 else f"{number} dead letters"


def _named(letters: Sequence[DeadLetter]) -> str:
    return f"the dead letter {letters[0].reason}" if len(letters) == 1 else _counted(len(letters))


def _facts(letters: Sequence[DeadLetter]) -> list[tuple[str, object]]:
    """What was chosen, by reason and by state."""
    reasons = Counter(letter.reason for letter in letters)
    states = Counter(letter.get_state_display() for letter in letters)
    return [
        ("Reasons", lines(f"{reason}: {number}" for reason, number in sorted(reasons.items()))),
        ("States", lines(f"{state}: {number}" for state, number in sorted(states.items()))),
    ]


def _too_large(letters: Sequence[DeadLetter]) -> list[str]:
    count = sum(letter.reason == TOO_LARGE for letter in letters)
    if not count:
        return []
    return [f"{_counted(count)} can't be replayed: of a body that was too large only the beginning was kept."]


def _tell(request: HttpRequest, done: Sequence[Replayed]) -> None:
    """One message that says how it went; in red when something is not settled."""
    counts = Counter(one.outcome for one in done)
    told = [f"{counts[outcome]} {words}" for outcome, words in _OUTCOMES.items() if counts[outcome]]
    faults = Counter(
        f"{one.reason} {one.path}".strip() for one in done if one.outcome is ReplayOutcome.DEAD_AGAIN
    )
    why = "; ".join(f"{fault} ({number})" for fault, number in faults.most_common(5))
    level = messages.WARNING if faults or counts[ReplayOutcome.NOT_WHOLE] else messages.SUCCESS
    text = ", ".join(told)
    messages.add_message(request, level, f"{text}. Reasons: {why}." if why else f"{text}.")
