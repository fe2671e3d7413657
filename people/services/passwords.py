"""New passwords: what they must be like, and whom they sign out."""

from datetime import datetime

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from people.services.acts import Doer, write_down
from people.services.sessions import end_sessions
from plants.errors import Invalid
from plants.models import User


def check_new_password(password: str, *, user: User, path: str = "password") -> None:
    """Raises Invalid with every rule that it breaks."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), path=path) from None


@transaction.atomic
def change_password(*, doer: Doer, old: str, new: str, keep_session: str | None, at: datetime) -> int:
    """The person's own new password; answers how many other sessions it ended. Raises Invalid at `old` or `new`."""
    user = User.objects.select_for_update().get(pk=doer.user.pk)
    if not user.check_password(old):
        raise Invalid(_("This is not your present password."), path="old", code="WRONG_PASSWORD")
    check_new_password(new, user=user, path="new")
    user.set_password(new)
    user.save(update_fields=["password"])
    ended = end_sessions(user=user, keep=keep_session)
    write_down(doer, "account.password_changed", at=at, after={"sessions_ended": ended})
    doer.user.password = user.password  # the request's own object: its session is bound to the new hash
    return ended
