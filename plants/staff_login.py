"""Who may enter the admin: staff of the installation. The theme loads this form before any admin page is registered."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from django.contrib.admin.forms import AdminAuthenticationForm as AuthenticationForm
else:
    from unfold.forms import AuthenticationForm

STAFF_RULE = (
    "Staff of this installation see every organisation, so a person of an organisation can't be staff."
)


class StaffLoginForm(AuthenticationForm):
    """The login form; a person of an organisation has no place in the admin, whatever flags are set."""

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        if user.organisation_id is not None:
            raise ValidationError(STAFF_RULE, code="belongs_to_organisation")
