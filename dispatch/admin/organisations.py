"""The organisation's page as this room completes it: an emergency for all of its plants."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dispatch.admin.order_scope import ask_url
from plants.admin.tenancy import OrganisationAdmin
from plants.admin.theme import ActionVariant, action
from plants.models import Organisation


@admin.register(Organisation)
class DispatchedOrganisationAdmin(OrganisationAdmin):
    actions_detail = ["emergency"]

    @action(
        description="Emergency for all plants",
        url_path="emergency",
        icon="emergency_home",
        variant=ActionVariant.DANGER,
        permissions=["send_emergency"],
    )
    def emergency(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the confirmation page, with all plants of the organisation."""
        return redirect(ask_url(organisation=object_id))

    def has_send_emergency_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may send emergencies."""
        return request.user.has_perm("dispatch.send_emergency")
