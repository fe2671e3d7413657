"""Who is who: organisations, people, groups, and the switch of the whole installation.

`dispatch.admin` completes the organisation's page and registers it.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import RefusalsInForm, RoomAdmin
from plants.admin.connection_forms import SwitchForm
from plants.admin.looks import switch_chip
from plants.admin.marks import Family, Look, ago, chip, moment, stack
from plants.admin.pages import Page, posted, require, run_page
from plants.admin.theme import (
    AdminPasswordChangeForm,
    RelatedDropdownFilter,
    UserChangeForm,
    UserCreationForm,
    display,
)
from plants.models import Installation, Organisation, User
from plants.services.organisations import create_organisation, rename_organisation, set_installation_dispatch
from plants.staff_login import STAFF_RULE


class OrganisationAdmin(RefusalsInForm):
    list_display = ("organisation", "plant_count", "connection_count", "created")
    search_fields = ("name", "slug")
    search_help_text = "Name or slug"
    ordering = ("name",)
    readonly_fields = ("revision_now", "created")
    fieldsets = ((None, {"fields": ("name", "slug")}),)
    kept_fieldset = ("Kept by the platform", {"fields": ("revision_now", "created")})

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        counted: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                plants_owned=Count("plants", distinct=True),
                connections_owned=Count("connections", distinct=True),
            )
        )
        return counted

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = tuple(super().get_fieldsets(request, obj))
        return (*found, self.kept_fieldset) if obj is not None else found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Scripts and client ids name an organisation by its slug.
        return (*self.readonly_fields, "slug") if obj is not None else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        if change:
            rename_organisation(organisation_id=obj.pk, name=obj.name)
            return
        made = create_organisation(name=obj.name, slug=obj.slug, at=clock.now())
        obj.pk, obj.created_at = made.pk, made.created_at
        obj._state.adding = False

    @display(description="Organisation", ordering="name")
    def organisation(self, row: Organisation) -> SafeString:
        return stack(row.name, row.slug)

    @display(description="Plants", ordering="plants_owned")
    def plant_count(self, row: Any) -> int:
        return int(row.plants_owned)

    @display(description="Connections", ordering="connections_owned")
    def connection_count(self, row: Any) -> int:
        return int(row.connections_owned)

    @display(description="Created", ordering="created_at")
    def created(self, row: Organisation) -> SafeString:
        return moment(row.created_at)

    @display(description="Revision")
    def revision_now(self, row: Organisation) -> int:
        return row.revision


@admin.register(Installation)
class InstallationAdmin(RoomAdmin):
    """One row, one switch: the list is the page that turns it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return self._switch(request)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._switch(request)

    def _switch(self, request: HttpRequest) -> HttpResponse:
        require(request, "plants.change_installation")
        row = Installation.objects.filter(pk=1).first() or Installation(pk=1)
        turn_on = not row.dispatch_enabled
        form = SwitchForm(posted(request), initial={"enabled": "on" if turn_on else "off"})
        page = Page(
            title=f"Switch dispatch of the whole installation {'on' if turn_on else 'off'}?",
            facts=(("Now", switch_chip(enabled=row.dispatch_enabled)),),
            effects=_SWITCH_EFFECTS[turn_on],
            submit="Switch on" if turn_on else "Switch off",
            danger=not turn_on,
        )

        def act(asked: dict[str, Any]) -> HttpResponse:
            saved = set_installation_dispatch(enabled=asked["enabled"])
            word = "on" if asked["enabled"] else "off"
            self.log_change(request, saved, f"Switched dispatch {word}.")
            messages.success(request, f"Dispatch of the installation is {word}.")
            return HttpResponse(status=302, headers={"Location": request.path})

        return run_page(self, request, page=page, form=form, act=act)


_SWITCH_EFFECTS = {
    True: (
        "What waits in the outboxes of active connections is published at once, unless its time has passed.",
    ),
    False: (
        "Nothing at all is published to Voke any more, for any organisation: no command, no emergency, no site config.",
        "Commands are refused while the switch is off; those already waiting stay until their time passes.",
        "Events are still received, and the reverse channel still answers.",
    ),
}


class PersonForm(UserChangeForm):
    """A person; being staff and belonging to an organisation exclude each other."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        powerful = cleaned.get("is_staff") or cleaned.get("is_superuser")
        if powerful and cleaned.get("organisation") is not None:
            self.add_error("organisation", STAFF_RULE)
        return cleaned


@admin.register(User)
class UserAdmin(DjangoUserAdmin, RoomAdmin):
    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("person", "organisation", "role", "seen")
    list_filter = (("organisation", RelatedDropdownFilter), "is_staff", "is_superuser", "is_active", "groups")
    list_select_related = ("organisation",)
    search_fields = ("username", "first_name", "last_name", "email")
    search_help_text = "Name or e-mail"
    ordering = ("username",)
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": (("first_name", "last_name"), "email", ("organisation", "role"))}),
        ("Rights", {"fields": (("is_active", "is_staff", "is_superuser"), "groups", "user_permissions")}),
        ("Dates", {"fields": (("last_login", "date_joined"),)}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "organisation", "password1", "password2")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    @display(description="Person", ordering="username")
    def person(self, row: User) -> SafeString:
        return stack(row.get_full_name() or row.username, row.username if row.get_full_name() else row.email)

    @display(description="Role", ordering="is_staff")
    def role(self, row: User) -> SafeString:
        if not row.is_active:
            return chip(Look(icon="block", word="Disabled", family=Family.WAIT))
        if row.is_superuser:
            return chip(Look(icon="shield", word="Administrator", family=Family.MOVE))
        if row.is_staff:
            return chip(Look(icon="shield", word="Staff", family=Family.OK))
        return chip(Look(icon="person", word="Member", family=Family.WAIT))

    @display(description="Last login", ordering="last_login")
    def seen(self, row: User) -> SafeString:
        return ago(row.last_login, now=clock.now())


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, RoomAdmin):
    search_help_text = "Name"
    list_display = ("name", "people")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Group]":
        return super().get_queryset(request).annotate(members=Count("user"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    @display(description="People", ordering="members")
    def people(self, row: Any) -> int:
        return int(row.members)
