"""What an emergency order is for, in words: stored in English, said by pages in their language."""

from django.utils.translation import gettext, ngettext

from dispatch.models import EmergencyOrder

_WHOLE = "all plants of the organisation"
_OF_CONNECTION = "all plants of connection "


def stored_scope(*, selected: int | None, connection_name: str | None) -> str:
    """As the order keeps it: so many selected plants, a connection's, or all of them."""
    if selected is not None:
        return "1 selected plant" if selected == 1 else f"{selected} selected plants"
    return _WHOLE if connection_name is None else f"{_OF_CONNECTION}{connection_name}"[:200]


def scope_text(order: EmergencyOrder) -> str:
    """The same in the language of the page."""
    if order.scope == _WHOLE:
        return gettext("all plants of the organisation")
    if order.scope.startswith(_OF_CONNECTION):
        return gettext("all plants of connection %(name)s") % {
            "name": order.scope.removeprefix(_OF_CONNECTION)
        }
    if order.scope == stored_scope(selected=order.asked, connection_name=None):
        words = ngettext("%(count)s selected plant", "%(count)s selected plants", order.asked)
        return words % {"count": order.asked}
    return order.scope
