"""Credentials of the reverse channel: issued, renewed, disabled, enabled. A secret is shown once, on the answer."""

import json
import shlex
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import RoomAdmin
from plants.admin.marks import ago, change_url, copyable, moment, muted, stack
from plants.admin.pages import Page, PageForm, found_or_404, posted, require, run_page
from plants.admin.theme import ActionVariant, RelatedDropdownFilter, action, display
from plants.models import Organisation
from trading_api.admin.looks import credential_chip
from trading_api.models import Credential
from trading_api.services.credentials import (
    IssuedCredentials,
    disable_credential,
    enable_credential,
    issue_credentials,
    renew_secret,
)


class IssueForm(PageForm):
    """For whom, and under which name."""

    organisation = forms.ModelChoiceField(queryset=Organisation.objects.all())
    label = forms.CharField(
        required=False, max_length=80, help_text="For people here, for example “staging”."
    )
    client_id = forms.CharField(
        required=False,
        max_length=120,
        label="Client id",
        help_text="Empty: one is made from the organisation's slug.",
    )


class ConfirmForm(PageForm):
    """Nothing to fill in."""


@admin.register(Credential)
class CredentialAdmin(RoomAdmin):
    list_display = ("credential", "organisation", "state_mark", "used", "created")
    list_filter = (("organisation", RelatedDropdownFilter), "enabled")
    list_select_related = ("organisation",)
    search_fields = ("client_id", "label", "organisation__name")
    search_help_text = "Client id, label or organisation"
    ordering = ("organisation__name", "client_id")
    actions_detail = ["renew", "disable", "enable"]
    fields = ("client", "label", "organisation", "state_mark", "used", "created", "revision_now")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Rows are never edited; what people may do are the actions, which ask for `change_credential` themselves.
        return False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Credential]":
        return super().get_queryset(request).select_related("organisation")

    def get_urls(self) -> Any:
        return [
            path("add/", self.admin_site.admin_view(self.issue_view), name="trading_api_credential_add"),
            *super().get_urls(),
        ]

    # --- pages ------------------------------------------------------------------------------------------------

    def issue_view(self, request: HttpRequest) -> HttpResponse:
        """A new client id; its secret stands on the answer to this form and nowhere else."""
        require(request, "trading_api.add_credential")
        form = IssueForm(posted(request))
        page = Page(
            title="Issue credentials",
            lead="Voke pulls one organisation's plants with them. The secret is shown once, on the next page.",
            submit="Issue",
            back=reverse("admin:trading_api_credential_changelist"),
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            issued = issue_credentials(
                organisation=asked["organisation"],
                label=asked["label"],
                client_id=asked["client_id"] or None,
                at=clock.now(),
            )
            self.log_addition(request, issued.credential, "Issued credentials.")
            return self._issued_page(request, issued)

        return run_page(self, request, page=page, form=form, act=act)

    @action(description="New secret", url_path="renew", icon="lock_reset", permissions=["alter"])
    def renew(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A new secret for the same client id."""
        credential: Credential = found_or_404(self, request, object_id)
        page = Page(
            title=f"New secret for {credential.client_id}?",
            submit="Make a new secret",
            effects=(
                "The old secret stops working at once.",
                "Every token that is out is dead at once; Voke asks for a new one and needs the new secret for it.",
            ),
            danger=True,
            back=change_url(credential),
        )

        def act(_: dict[str, Any]) -> HttpResponse:
            issued = renew_secret(credential=credential)
            self.log_change(request, credential, "Made a new secret.")
            return self._issued_page(request, issued)

        return run_page(self, request, page=page, form=ConfirmForm(posted(request)), act=act, row=credential)

    @action(
        description="Disable",
        url_path="disable",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["disable"],
    )
    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """No token any more."""
        credential: Credential = found_or_404(self, request, object_id)
        page = Page(
            title=f"Disable {credential.client_id}?",
            submit="Disable",
            effects=(
                "No token is issued any more, and those that are out are dead at once.",
                f"Voke can't pull the plants of {credential.organisation.name} with them until they are enabled again.",
            ),
            danger=True,
            back=change_url(credential),
        )

        def act(_: dict[str, Any]) -> HttpResponse:
            disable_credential(credential=credential)
            self.log_change(request, credential, "Disabled.")
            messages.success(request, f"{credential.client_id} is disabled; its tokens are dead.")
            return redirect(change_url(credential))

        return run_page(self, request, page=page, form=ConfirmForm(posted(request)), act=act, row=credential)

    @action(description="Enable", url_path="enable", icon="key", permissions=["enable"])
    def enable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Tokens again."""
        credential: Credential = found_or_404(self, request, object_id)
        page = Page(
            title=f"Enable {credential.client_id}?",
            submit="Enable",
            effects=("Tokens are issued again; those from before stay dead.",),
            back=change_url(credential),
        )

        def act(_: dict[str, Any]) -> HttpResponse:
            enable_credential(credential=credential)
            self.log_change(request, credential, "Enabled.")
            messages.success(request, f"{credential.client_id} is enabled.")
            return redirect(change_url(credential))

        return run_page(self, request, page=page, form=ConfirmForm(posted(request)), act=act, row=credential)

    def _issued_page(self, request: HttpRequest, issued: IssuedCredentials) -> HttpResponse:
        secret = issued.secret.reveal()
        url = request.build_absolute_uri("/trading/token")
        body = json.dumps({"clientId": issued.credential.client_id, "clientSecret": secret})
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Credentials issued",
            "credential": issued.credential,
            "base_url": request.build_absolute_uri("/").rstrip("/"),
            "secret": copyable(secret),
            "client_id": copyable(issued.credential.client_id),
            "curl": f"curl -sS {shlex.quote(url)} -H 'Content-Type: application/json' -d {shlex.quote(body)}",
        }
        response = TemplateResponse(request, "admin/trading_api/issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    # --- who may --------------------------------------------------------------------------------------------------

    def has_alter_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may renew, disable and enable."""
        return request.user.has_perm("trading_api.change_credential")

    def has_disable_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """The button is there while the credential is enabled."""
        return self.has_alter_permission(request) and _is(object_id, enabled=True)

    def has_enable_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """The button is there while the credential is disabled."""
        return self.has_alter_permission(request) and _is(object_id, enabled=False)

    # --- columns --------------------------------------------------------------------------------------------------

    @display(description="Client", ordering="client_id")
    def credential(self, row: Credential) -> SafeString:
        return stack(row.client_id, row.label)

    @display(description="Client id")
    def client(self, row: Credential) -> SafeString:
        return copyable(row.client_id)

    @display(description="State", ordering="enabled")
    def state_mark(self, row: Credential) -> SafeString:
        return credential_chip(row)

    @display(description="Last token", ordering="last_token_at")
    def used(self, row: Credential) -> SafeString:
        return muted("never used") if row.last_token_at is None else ago(row.last_token_at, now=clock.now())

    @display(description="Issued", ordering="created_at")
    def created(self, row: Credential) -> SafeString:
        return moment(row.created_at)

    @display(description="Revision")
    def revision_now(self, row: Credential) -> int:
        return row.revision


def _is(object_id: Any, *, enabled: bool) -> bool:
    return object_id is None or Credential.objects.filter(pk=object_id, enabled=enabled).exists()
