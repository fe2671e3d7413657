"""Config updates that Voke asked for: what would change, and the decision about those that wait for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import Case, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import MachineOwned
from plants.admin.marks import NOTHING, ago, change_url, copyable, link, moment, stack
from plants.admin.pages import Page, PageForm, found_or_404, posted, require, run_page
from plants.admin.plant import author_of
from plants.admin.theme import ActionVariant, AutocompleteSelectFilter, RelatedDropdownFilter, action, display
from plants.selectors.plants import blocks_of_version
from plants.time_config import Block, minute_text, span_changes
from trading_api.admin.forms import NoteForm, RefusalForm
from trading_api.admin.looks import update_chip
from trading_api.mapping import Outcome, result_code
from trading_api.models import ConfigUpdateRequest, UpdateState
from trading_api.services.updates import approve_update, refuse_update


@dataclass(frozen=True, kw_only=True)
class BlockChange:
    """One row of the comparison; `mark` is added, removed, changed or same."""

    mark: str
    span: str
    before: str
    after: str


def compare(before: Sequence[Block], after: Sequence[Block]) -> list[BlockChange]:
    """What each span of the day is now and what it would be."""
    return [
        BlockChange(
            mark=one.mark,
            span=f"{minute_text(one.start_minute)} to {minute_text(one.end_minute)}",
            before=_text(one.before),
            after=_text(one.after),
        )
        for one in span_changes(before, after)
    ]


def _text(block: Block | None) -> str:
    if block is None:
        return ""
    return (
        f"battery {block.p_bat_min_kw:g} to {block.p_bat_max_kw:g}\u202fkW, "
        f"SoC {block.soc_min_pct:g} to {block.soc_max_pct:g}\u202f%"
    )


@admin.register(ConfigUpdateRequest)
class ConfigUpdateAdmin(MachineOwned):
    list_display = ("plant_link", "state_mark", "held", "asked", "decided", "client")
    list_filter = (
        "state",
        "held_because",
        ("plant", AutocompleteSelectFilter),
        ("plant__organisation", RelatedDropdownFilter),
    )
    search_fields = ("=request_id", "plant__name", "plant__external_plant_id", "credential__client_id")
    search_help_text = "Request id, plant or client id"
    # What waits for a person comes first.
    ordering = (Case(When(state=UpdateState.OPEN, then=0), default=1), "-id")
    actions_detail = ["approve", "refuse"]
    change_form_template = "admin/trading_api/update.html"
    fields = (
        "request_copy",
        "plant_link",
        "state_mark",
        "held",
        "based",
        "asked",
        "client",
        "decided",
        "note",
        "made",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ConfigUpdateRequest]":
        rows = super().get_queryset(request)
        return rows.select_related("plant", "plant__time_config", "credential", "version")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        update = kwargs.get("obj")
        if update is not None:
            context["changes"] = changes_of(update)
            context["waits"] = update.state == UpdateState.OPEN
            context["in_force"] = update.plant.time_config
        return super().render_change_form(request, context, *args, **kwargs)

    # --- deciding ---------------------------------------------------------------------------------------------

    @action(
        description="Approve",
        url_path="approve",
        icon="check",
        variant=ActionVariant.PRIMARY,
        permissions=["decide"],
    )
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make the asked-for blocks the plant's."""
        update: ConfigUpdateRequest = found_or_404(self, request, object_id)

        def act(asked: dict[str, Any]) -> HttpResponse:
            version = approve_update(
                update_id=update.pk, author=author_of(request), at=clock.now(), note=asked["note"]
            )
            messages.success(request, f"{update.plant.name} has time config v{version.number} now.")
            return redirect(change_url(update))

        effects = (
            "The blocks become a new version of the plant's time config at once.",
            f"Voke is told {_told(Outcome.APPLIED)} when it asks again, and pulls the new version.",
        )
        page = _page(update, f"Approve the update of {update.plant.name}?", "Approve", effects)
        return self._decide(request, update, page, NoteForm(posted(request)), act)

    @action(
        description="Refuse",
        url_path="refuse",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["decide"],
    )
    def refuse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Leave the plant as it is."""
        update: ConfigUpdateRequest = found_or_404(self, request, object_id)

        def act(asked: dict[str, Any]) -> HttpResponse:
            refuse_update(update_id=update.pk, author=author_of(request), at=clock.now(), note=asked["note"])
            messages.success(request, f"The update of {update.plant.name} is refused.")
            return redirect(change_url(update))

        effects = (
            "The plant's time config stays as it is.",
            f"Voke is told {_told(Outcome.REJECTED)} and your reason when it asks for the same again.",
        )
        page = _page(update, f"Refuse the update of {update.plant.name}?", "Refuse", effects, danger=True)
        return self._decide(request, update, page, RefusalForm(posted(request)), act)

    def _decide(
        self, request: HttpRequest, update: ConfigUpdateRequest, page: Page, form: PageForm, act: Any
    ) -> HttpResponse:
        require(request, "trading_api.change_configupdaterequest")
        return run_page(
            self, request, page=page, form=form, act=act, row=update, template="admin/trading_api/decide.html"
        )

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change updates, while one waits."""
        if not request.user.has_perm("trading_api.change_configupdaterequest"):
            return False
        return (
            object_id is None
            or ConfigUpdateRequest.objects.filter(pk=object_id, state=UpdateState.OPEN).exists()
        )

    # --- columns ----------------------------------------------------------------------------------------------

    @display(description="Plant", ordering="plant__name")
    def plant_link(self, row: ConfigUpdateRequest) -> SafeString:
        return stack(row.plant.name, row.plant.external_plant_id)

    @display(description="State", ordering="state")
    def state_mark(self, row: ConfigUpdateRequest) -> SafeString:
        return update_chip(row.state)

    @display(description="Held because", ordering="held_because")
    def held(self, row: ConfigUpdateRequest) -> SafeString | str:
        return row.get_held_because_display() if row.held_because else NOTHING

    @display(description="Asked", ordering="asked_at")
    def asked(self, row: ConfigUpdateRequest) -> SafeString:
        return ago(row.asked_at, now=clock.now(), zone=row.plant.time_zone)

    @display(description="Decided", ordering="decided_at")
    def decided(self, row: ConfigUpdateRequest) -> SafeString:
        if row.decided_at is None:
            return NOTHING
        return stack(row.decided_by_name or "This platform", moment(row.decided_at, zone=row.plant.time_zone))

    @display(description="Client", ordering="credential__client_id")
    def client(self, row: ConfigUpdateRequest) -> SafeString:
        return link(row.credential, row.credential.client_id)

    @display(description="Request id")
    def request_copy(self, row: ConfigUpdateRequest) -> SafeString:
        return copyable(str(row.request_id))

    @display(description="Voke had last seen")
    def based(self, row: ConfigUpdateRequest) -> SafeString | str:
        if row.based_on is None:
            return NOTHING
        return f"v{row.based_on}" if row.based_on else "that there is no version yet"

    @display(description="Version")
    def made(self, row: ConfigUpdateRequest) -> SafeString | str:
        return NOTHING if row.version is None else f"v{row.version.number}"


def _page(
    update: ConfigUpdateRequest, title: str, submit: str, effects: Sequence[str], *, danger: bool = False
) -> Page:
    extra = {"changes": changes_of(update)}
    return Page(
        title=title, submit=submit, effects=effects, danger=danger, back=change_url(update), extra=extra
    )


def _told(outcome: Outcome) -> str:
    """The wire's word for an outcome, as this installation is set up."""
    code = result_code(outcome)
    return f"{code.name} ({'terminal' if code.terminal else 'not terminal'})"


def changes_of(update: ConfigUpdateRequest) -> list[BlockChange]:
    """The asked-for blocks against those in force now."""
    version_id = update.plant.time_config_id
    before = [] if version_id is None else blocks_of_version(version_id)
    return compare(before, [Block(**item) for item in update.blocks])
