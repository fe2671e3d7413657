"""Connections to Voke: imported, looked after, switched. `dispatch.admin` adds outbox and mode and registers it.

Secrets are never shown: only whether they are set, and under which key version they are encrypted.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import RefusableForm, RefusalsInForm, without_secrets
from plants.admin.connection_forms import DECODINGS, SCOPES, AttachForm, BundleForm, ImportForm, SwitchForm
from plants.admin.link_health import (
    half_cell,
    half_facts,
    health_of,
    stream_facts,
    whole_cell,
    whole_facts,
)
from plants.admin.looks import mode_chip, switch_chip
from plants.admin.marks import NOTHING, change_url, lines, moment, mono, muted, stack
from plants.admin.pages import Page, found_or_404, posted, require, run_page
from plants.admin.theme import RelatedDropdownFilter, action, display, widgets
from plants.models import Connection
from plants.selectors.link_health import ConnectionHealth
from plants.selectors.secrets import SecretMark, secret_marks
from plants.services.connection_settings import replace_secrets, save_connection
from plants.services.connections import attach_plants, import_bundle, set_connection_dispatch
from vcp import Family, KeyDecoding, parse_bundle

OUT_FAMILIES = [(family.value, family.value) for family in Family if not family.value.startswith("event.")]
_SECRET_NAMES: Mapping[str, str] = {
    "amqps_uri": "AMQPS address",
    "api_key": "API key",
    "signing_key": "Signing key",
}


class ConnectionForm(RefusableForm):
    """The settings that people may change; address and secrets come from bundles only."""

    scopes = forms.MultipleChoiceField(
        required=False,
        choices=[(scope, scope) for scope in SCOPES],
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="As told by Voke's administrator, unverified. With none ticked no command is refused for its scope.",
    )
    signed_families = forms.MultipleChoiceField(
        required=False,
        choices=OUT_FAMILIES,
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="Voke drops unsigned device commands, modes and schedules without a word.",
    )
    key_decoding = forms.ChoiceField(choices=DECODINGS, widget=widgets.UnfoldAdminSelectWidget())
    realtime_period_s = forms.FloatField(
        label="Realtime, seconds",
        required=False,
        min_value=1,
        max_value=86_400,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Between two realtime messages of a plant; empty: learnt. After three of them the link is silent.",
    )
    meter_period_s = forms.FloatField(
        label="Meters, seconds",
        required=False,
        min_value=1,
        max_value=86_400,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Between two meter messages of a plant; empty: learnt.",
    )
    rest_base_url = forms.URLField(
        label="REST address",
        required=False,
        max_length=200,
        assume_scheme="https",
        widget=widgets.UnfoldAdminURLInputWidget(),
    )

    class Meta:
        labels = {
            "site_id_kind": "Site id",
            "rest_base_url": "REST address",
            "signature_kid": "Signature key id",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "queues" in self.fields:
            self.fields["queues"].widget.attrs["rows"] = 4
        for name in ("scopes", "signed_families"):
            if name in self.fields:
                self._offer_unknown(name)

    def _offer_unknown(self, name: str) -> None:
        """A word that this version does not know was told at import: saving the form must not lose it."""
        field: Any = self.fields[name]
        known = {value for value, _ in field.choices}
        field.choices = [
            *field.choices,
            *((word, word) for word in getattr(self.instance, name) if word not in known),
        ]


class ConnectionAdmin(RefusalsInForm):
    """List and settings of connections; writes through `import_bundle`, `save_connection` and the switches."""

    form = ConnectionForm
    list_display: tuple[str, ...] = (
        "connection",
        "mode_now",
        "link_now",
        "publishing",
        "consuming",
        "plant_count",
    )
    list_filter = (("organisation", RelatedDropdownFilter), "mode", "dispatch_enabled")
    search_fields = ("name", "vhost", "slug", "key_id", "organisation__name")
    search_help_text = "Name, vhost, slug or key id"
    ordering = ("organisation__name", "name")
    actions_detail = ["attach", {"title": "More", "items": ["switch_dispatch", "new_bundle"]}]
    change_form_template = "admin/plants/connection/change_form.html"
    readonly_fields = ("organisation", "address", "secrets", "created", "activated")
    fieldsets = (
        (None, {"fields": (("name", "organisation"), ("source", "site_id_kind"), "rest_base_url")}),
        ("Address and secrets", {"fields": ("address", "secrets")}),
        ("Signing", {"fields": ("signed_families", ("key_decoding", "signature_kid"))}),
        ("Scopes, unverified", {"fields": ("scopes",)}),
        ("Expected messages", {"fields": (("realtime_period_s", "meter_period_s"),)}),
        ("Names at Voke", {"fields": (("queue_prefix", "routing_prefix"), "queues")}),
        ("Kept by the platform", {"fields": (("created", "activated"),)}),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = (
            super().get_queryset(request).select_related("organisation").prefetch_related("health", "streams")
        )
        counted: QuerySet[Any] = without_secrets(rows).annotate(plants_reached=Count("plants"))
        return counted

    def get_urls(self) -> Any:
        # Before the theme's: `add` is the import page.
        return [
            path("add/", self.admin_site.admin_view(self.import_view), name="plants_connection_add"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        connection = kwargs.get("obj")
        if connection is not None:
            health, now = self.health(connection), clock.now()
            context["link_whole"] = whole_facts(health, at=now)
            context["halves"] = [half_facts(half, at=now) for half in (health.publish, health.consume)]
            context["streams"] = [stream_facts(stream, at=now) for stream in health.streams]
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        save_connection(connection=obj)

    # --- pages ------------------------------------------------------------------------------------------------

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Import a bundle: the new connection only observes."""
        require(request, "plants.add_connection")
        form = ImportForm(posted(request), request.FILES or None)
        page = Page(
            title="Import a connection",
            lead=(
                "Paste the bundle that Voke showed once. The new connection observes: it consumes and serves, "
                "and publishes nothing until you switch it to active."
            ),
            submit="Import",
            back=reverse("admin:plants_connection_changelist"),
            multipart=True,
        )
        return run_page(self, request, page=page, form=form, act=lambda _: self._import(request, form))

    def _import(self, request: HttpRequest, form: ImportForm) -> HttpResponse:
        asked = form.cleaned_data
        connection = import_bundle(
            organisation=asked["organisation"],
            bundle=parse_bundle(form.content()),
            name=asked["name"],
            source=asked["source"],
            scopes=asked["scopes"],
            sign_emergency=asked["sign_emergency"],
            key_decoding=KeyDecoding(asked["key_decoding"]),
            at=clock.now(),
        )
        self.log_addition(request, connection, "Imported a bundle.")
        messages.success(request, f"{connection.name} is imported and observes. Attach its plants next.")
        return redirect(change_url(connection))

    @action(description="New bundle", url_path="bundle", icon="key", permissions=["change"])
    def new_bundle(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Voke issued a new key: take address and secrets from its bundle."""
        connection: Connection = found_or_404(self, request, object_id)
        form = BundleForm(
            posted(request), request.FILES or None, initial={"key_decoding": connection.key_decoding}
        )
        page = Page(
            title=f"New bundle for {connection.name}",
            lead="Address, key, signing key and queue names are taken from the new bundle.",
            effects=(
                "Relay and consumer connect anew within seconds.",
                "Plants, mode, scopes and history stay.",
            ),
            submit="Replace",
            back=change_url(connection),
            multipart=True,
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            bundle = parse_bundle(form.content())
            decoding = KeyDecoding(asked["key_decoding"])
            replace_secrets(connection=connection, bundle=bundle, key_decoding=decoding)
            self.log_change(request, connection, "Replaced address and secrets by a new bundle.")
            messages.success(request, f"{connection.name} uses the new bundle.")
            return redirect(change_url(connection))

        return run_page(self, request, page=page, form=form, act=act, row=connection)

    @action(description="Dispatch switch", url_path="dispatch", icon="toggle_on", permissions=["change"])
    def switch_dispatch(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop or allow publishing on one connection."""
        connection: Connection = found_or_404(self, request, object_id)
        turn_on = not connection.dispatch_enabled
        form = SwitchForm(posted(request), initial={"enabled": "on" if turn_on else "off"})
        page = Page(
            title=f"Switch dispatch of {connection.name} {'on' if turn_on else 'off'}?",
            submit="Switch on" if turn_on else "Switch off",
            effects=_DISPATCH_EFFECTS[turn_on],
            facts=(("Now", switch_chip(enabled=connection.dispatch_enabled)),),
            back=change_url(connection),
            danger=not turn_on,
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            set_connection_dispatch(connection_id=connection.pk, enabled=asked["enabled"])
            word = "on" if asked["enabled"] else "off"
            self.log_change(request, connection, f"Switched dispatch {word}.")
            messages.success(request, f"Dispatch of {connection.name} is {word}.")
            return redirect(change_url(connection))

        return run_page(self, request, page=page, form=form, act=act, row=connection)

    @action(description="Attach plants", url_path="attach", icon="add_link", permissions=["change"])
    def attach(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Reach plants of the organisation over this connection."""
        connection: Connection = found_or_404(self, request, object_id)
        form = AttachForm(posted(request), connection=connection)
        page = Page(
            title=f"Attach plants to {connection.name}",
            lead=f"Plants of {connection.organisation.name} that shall be commanded and heard over this connection.",
            effects=(
                "A plant that is attached elsewhere moves over; events for it count only on this connection then.",
                "While the connection is active, topology and limits of the plants are published at once.",
            ),
            submit="Attach",
            back=change_url(connection),
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            ids = [plant.external_plant_id for plant in asked["plants"]]
            count = attach_plants(connection=connection, external_plant_ids=ids)
            self.log_change(request, connection, f"Attached {', '.join(ids)}."[:2000])
            messages.success(request, "1 plant attached." if count == 1 else f"{count} plants attached.")
            return redirect(change_url(connection))

        return run_page(self, request, page=page, form=form, act=act, row=connection)

    # --- columns and fields -----------------------------------------------------------------------------------

    def health(self, row: Any) -> ConnectionHealth:
        """How the connection does; its rows were fetched with the page."""
        return health_of(row, has_plants=bool(row.plants_reached), at=clock.now())

    @display(description="Connection", ordering="name")
    def connection(self, row: Connection) -> SafeString:
        return stack(row.name, f"{row.organisation.name}, {row.vhost}")

    @display(description="Mode", ordering="mode")
    def mode_now(self, row: Connection) -> SafeString:
        return mode_chip(row)

    @display(description="Link")
    def link_now(self, row: Connection) -> SafeString:
        return whole_cell(self.health(row), at=clock.now())

    @display(description="Publishing")
    def publishing(self, row: Connection) -> SafeString:
        return half_cell(self.health(row).publish, at=clock.now())

    @display(description="Consuming")
    def consuming(self, row: Connection) -> SafeString:
        return half_cell(self.health(row).consume, at=clock.now())

    @display(description="Plants", ordering="plants_reached")
    def plant_count(self, row: Any) -> int:
        return int(row.plants_reached)

    @display(description="Address")
    def address(self, row: Connection) -> SafeString:
        told = [("vhost", row.vhost), ("user", row.slug), ("key id", row.key_id)]
        return lines(format_html("{} {}", muted(name), mono(value)) for name, value in told)

    @display(description="Secrets")
    def secrets(self, row: Connection) -> SafeString:
        return lines(_mark_line(mark) for mark in secret_marks(connection_id=row.pk))

    @display(description="Imported")
    def created(self, row: Connection) -> SafeString:
        return moment(row.created_at)

    @display(description="Last switched to active")
    def activated(self, row: Connection) -> SafeString:
        return moment(row.activated_at)


_DISPATCH_EFFECTS = {
    True: ("What waits in the outbox is published at once, unless its time has passed.",),
    False: (
        "Nothing more is published on this connection: no command, no emergency, no site config.",
        "Commands are refused while the switch is off; those already waiting stay until their time passes.",
        "Events are still received.",
    ),
}


def _mark_line(mark: SecretMark) -> SafeString:
    name = _SECRET_NAMES[mark.field]
    if not mark.key_version:
        return format_html("{}: {}", name, NOTHING)
    if mark.problem:
        return format_html('{}: <strong class="field-error">unusable, {}</strong>', name, mark.problem)
    return format_html("{}: set, key version {}", name, mark.key_version)
