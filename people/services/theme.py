"""How pages look for a person."""

from django.utils.translation import gettext as _

from plants.errors import Invalid
from plants.models import Theme, User


def set_theme(*, user: User, theme: str) -> None:
    """Raises Invalid for a theme that there is not."""
    if theme not in Theme.values:
        raise Invalid(_("Choose light, dark or as the device."), path="theme")
    user.theme = theme
    User.objects.filter(pk=user.pk).update(theme=theme)
