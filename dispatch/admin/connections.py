"""The connection's pages as this room completes them: the outbox, and the switch between observing and acting."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatch.admin.order_scope import AsksForAll
from dispatch.selectors import OUTBOX_COUNTED, with_outbox
from dispatch.services.site_config import switch_connection
from esm import clock
from plants.admin.connection import ConnectionAdmin
from plants.admin.connection_forms import ModeForm
from plants.admin.looks import mode_chip
from plants.admin.marks import age_span, change_url, muted
from plants.admin.pages import Page, found_or_404, posted, run_page
from plants.admin.theme import ActionVariant, action, display
from plants.models import Connection, ConnectionMode


@admin.register(Connection)
class DispatchedConnectionAdmin(AsksForAll, ConnectionAdmin):
    scope_name = "connection"
    list_display = (*ConnectionAdmin.list_display[:-1], "outbox", ConnectionAdmin.list_display[-1])
    actions_detail = ["switch_mode", *ConnectionAdmin.actions_detail, "emergency"]
    change_form_template = "admin/dispatch/connection/change_form.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Connection]":
        return with_outbox(super().get_queryset(request))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        connection = kwargs.get("obj")
        if connection is not None:
            context["mode_chip"] = mode_chip(connection)
            context["outbox"] = self.outbox(connection)
        return super().render_change_form(request, context, *args, **kwargs)

    @display(description="Outbox", ordering="outbox_size")
    def outbox(self, row: Any) -> SafeString:
        if not row.outbox_size:
            return muted("empty")
        waiting = "1 message" if row.outbox_size == 1 else f"{row.outbox_size} messages"
        if row.outbox_size >= OUTBOX_COUNTED:
            waiting = f"more than {OUTBOX_COUNTED - 1} messages"
        return format_html(
            "{} <small class='muted'>oldest waits {}</small>",
            waiting,
            age_span(row.outbox_since, now=clock.now()),
        )

    @action(
        description="Observe or act",
        url_path="mode",
        icon="bolt",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
    )
    def switch_mode(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Between OBSERVE and ACTIVE, with a page that says what that means."""
        connection: Connection = found_or_404(self, request, object_id)
        acting = connection.mode == ConnectionMode.ACTIVE
        target = ConnectionMode.OBSERVE if acting else ConnectionMode.ACTIVE
        form = ModeForm(posted(request), initial={"mode": target.value})
        page = Page(
            title=f"Switch {connection.name} to {'observe' if acting else 'active'}?",
            submit="Switch to observe" if acting else "Switch to active",
            facts=(("Now", mode_chip(connection)), ("Plants", connection.plants_reached)),  # type: ignore[attr-defined]
            effects=_EFFECTS[target],
            danger=not acting,
            back=change_url(connection),
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            mode = ConnectionMode(asked["mode"])
            switch_connection(connection=connection, mode=mode, at=clock.now())
            self.log_change(request, connection, f"Switched to {mode.value}.")
            messages.success(request, f"{connection.name} is now {mode.value}.")
            return redirect(change_url(connection))

        return run_page(self, request, page=page, form=form, act=act, row=connection)


_EFFECTS = {
    ConnectionMode.ACTIVE: (
        "Commands for its plants may be published to Voke from now on, and plants obey them.",
        "Topology and limits of every plant on it are published at once; Voke checks commands against them.",
        "What waits in the outbox and is still valid is published too.",
    ),
    ConnectionMode.OBSERVE: (
        "Nothing more is published: no command, no emergency, no site config.",
        "Commands are refused; those already waiting stay until their time passes.",
        "Events are still consumed and the reverse channel still answers.",
        "What plants were told before stays in force at Voke until it ends.",
    ),
}
