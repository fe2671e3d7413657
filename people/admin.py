"""The audit in the admin: to be read, by nobody to be changed."""

import json

from django.contrib import admin
from django.utils.safestring import SafeString

from people.models import AuditEntry
from plants.admin.base import MachineOwned
from plants.admin.marks import NOTHING, moment, muted, stack
from plants.admin.theme import RelatedDropdownFilter, display


@admin.register(AuditEntry)
class AuditEntryAdmin(MachineOwned):
    list_display = ("what", "who", "organisation", "why", "when")
    list_filter = (("organisation", RelatedDropdownFilter), "as_staff")
    list_select_related = ("organisation",)
    search_fields = ("action__startswith", "user_name", "subject")
    search_help_text = "Action, person or subject"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("action", "subject", "who", "organisation", "why", "when_precise", "address")}),
        ("Changed", {"fields": ("before_text", "after_text")}),
    )

    @display(description="What", ordering="action")
    def what(self, row: AuditEntry) -> SafeString:
        return stack(row.action, row.subject)

    @display(description="Who", ordering="user_name")
    def who(self, row: AuditEntry) -> SafeString:
        return stack(row.user_name, "staff" if row.as_staff else "")

    @display(description="Reason")
    def why(self, row: AuditEntry) -> SafeString:
        return muted(row.reason[:120]) if row.reason else NOTHING

    @display(description="When", ordering="id")
    def when(self, row: AuditEntry) -> SafeString:
        return moment(row.at)

    @display(description="When")
    def when_precise(self, row: AuditEntry) -> SafeString:
        return moment(row.at, precise=True)

    @display(description="Before")
    def before_text(self, row: AuditEntry) -> SafeString:
        return _as_json(row.before)

    @display(description="After")
    def after_text(self, row: AuditEntry) -> SafeString:
        return _as_json(row.after)


def _as_json(values: object) -> SafeString:
    return NOTHING if values is None else muted(json.dumps(values, ensure_ascii=False, indent=2))
