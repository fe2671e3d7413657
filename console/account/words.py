"""Words for roles and for what people did."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from people.rights import Right, Role, least_role

_ACTIONS: Mapping[str, str | Promise] = {
    "session.started": _("Signed in"),
    "session.ended": _("Signed out"),
    "organisation.entered": _("Entered as staff"),
    "account.password_changed": _("Changed the password"),
    "account.factor_set": _("Set up a second factor"),
    "account.factor_removed": _("Removed the second factor"),
    "account.recovery_codes_made": _("Made new recovery codes"),
    "account.sessions_ended": _("Ended sessions"),
    "person.invited": _("Invited"),
    "person.invitation_withdrawn": _("Withdrew the invitation"),
    "person.joined": _("Joined by invitation"),
    "person.password_link": _("Made a password link"),
    "person.password_set_by_link": _("Set a password by link"),
    "person.role_changed": _("Changed the role"),
    "person.deactivated": _("Deactivated"),
    "person.reactivated": _("Reactivated"),
    "person.factor_reset": _("Reset the second factor"),
    "audit.exported": _("Exported the audit"),
    "command.sent": _("Sent a command"),
    "command.cancelled": _("Cancelled a command"),
    "emergency.sent": _("Sent an emergency"),
    "emergency.released": _("Released an emergency"),
    "override.begun": _("Began an override"),
    "override.changed": _("Moved an override's end"),
    "override.ended": _("Ended an override"),
    "plan.published": _("Published a plan"),
    "plan.cancelled": _("Cancelled a plan"),
    "alarm.acknowledged": _("Acknowledged an alarm"),
    "alarm.assigned": _("Assigned an alarm"),
    "alarm.commented": _("Commented on an alarm"),
    "alarm.closed": _("Closed an alarm"),
    "connection.activated": _("Activated a connection"),
    "connection.created": _("Connected a Voke"),
    "credential.issued": _("Issued credentials"),
    "update.approved": _("Approved an update"),
    "update.refused": _("Refused an update"),
}
GROUPS: Mapping[str, str | Promise] = {
    "session": _("Signing in"),
    "account": _("Own account"),
    "person": _("People"),
    "command": _("Commands"),
    "emergency": _("Emergencies"),
    "override": _("Overrides"),
    "plan": _("Plans"),
    "alarm": _("Alarms"),
    "connection": _("Connections"),
    "credential": _("Credentials"),
    "update": _("Updates from Voke"),
}
_FIELDS: Mapping[str, str | Promise] = {
    "role": _("role"),
    "active": _("may sign in"),
    "sessions_ended": _("sessions ended"),
    "second_factor": _("second factor"),
    "browser": _("browser"),
    "email": _("e-mail"),
    "invited_by": _("invited by"),
    "link_made_by": _("link made by"),
    "rows": _("rows"),
}


def action_words(action: str) -> str:
    """What was done in words; a word that is not known stays as it is, with its dots as gaps."""
    known = _ACTIONS.get(action)
    return str(known) if known is not None else action.replace(".", " ").replace("_", " ")


def role_word(role: Role) -> str:
    """The role in one word."""
    return str(role.label).partition(":")[0]


def field_word(name: str) -> str:
    """A member of `before` and `after` in words."""
    known = _FIELDS.get(name)
    return str(known) if known is not None else name.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table of roles: what may be done, and which roles may."""

    text: str
    may: tuple[bool, ...]


_RIGHT_TEXTS: tuple[tuple[Right, str | Promise], ...] = (
    (Right.SEE, _("See plants, commands, plans, alarms, messages")),
    (Right.ACT, _("Send commands, overrides and emergencies")),
    (Right.ACT, _("Draft and publish plans")),
    (Right.ACT, _("Acknowledge, assign and close alarms")),
    (Right.CONNECT, _("Connect a Voke, map sites, activate")),
    (Right.CONNECT, _("Issue reverse-channel credentials")),
    (Right.CONNECT, _("Approve or refuse updates from Voke")),
    (Right.MANAGE, _("Invite people, change roles, reset second factors")),
    (Right.MANAGE, _("Read everybody's audit")),
)


def matrix_lines() -> list[Line]:
    """The table of roles."""
    order = list(Role)
    return [
        Line(
            text=str(text),
            may=tuple(order.index(role) >= order.index(least_role(right)) for role in order),
        )
        for right, text in _RIGHT_TEXTS
    ]
