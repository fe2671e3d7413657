"""The organisation's page as this room completes it: an emergency for all of its plants."""

from django.contrib import admin

from dispatch.admin.order_scope import AsksForAll
from plants.admin.tenancy import OrganisationAdmin
from plants.models import Organisation


@admin.register(Organisation)
class DispatchedOrganisationAdmin(AsksForAll, OrganisationAdmin):
    actions_detail = ["emergency"]
    scope_name = "organisation"
