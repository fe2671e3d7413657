"""New passwords: what they must be like, and whom they sign out."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from people.errors import TooManyAttempts
from people.services.acts import Doer, write_down
from people.services.sessions import end_sessions
from people.services.throttle import Gate, admit, forgive
from plants.errors import Invalid
from plants.models import User


def check_new_password(password: str, *, user: User, path: str = "password") -> None:
    """Raises Invalid with every rule that it breaks."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), path=path) from None


def change_password(*, doer: Doer, old: str, new: str, keep_session: str | None, at: datetime) -> int:
    """The person's own new password; answers how many other sessions it ended.

    Raises Invalid at `old` or `new`, TooManyAttempts: a browser that was left open is no place to guess.
    """
    gates = [Gate(kind="own password", value=str(doer.user.pk), free=settings.SIGN_IN_FREE_ATTEMPTS)]
    wait_s = admit(gates=gates, at=at)
    if wait_s:
        raise TooManyAttempts(_("Too many wrong passwords."), wait_s=wait_s, path="old")
    if not doer.user.check_password(old):
        raise Invalid(_("This is not your present password."), path="old", code="WRONG_PASSWORD")
    forgive(gates=gates)
    return _set_own(doer=doer, old=old, new=new, keep_session=keep_session, at=at)


@transaction.atomic
def _set_own(*, doer: Doer, old: str, new: str, keep_session: str | None, at: datetime) -> int:
    user = User.objects.select_for_update().get(pk=doer.user.pk)
    if not user.check_password(old):  # changed in this very moment
        raise Invalid(_("This is not your present password."), path="old", code="WRONG_PASSWORD")
    check_new_password(new, user=user, path="new")
    user.set_password(new)
    user.save(update_fields=["password"])
    ended = end_sessions(user=user, keep=keep_session)
    write_down(doer, "account.password_changed", at=at, after={"sessions_ended": ended})
    doer.user.password = user.password  # the request's own object: its session is bound to the new hash
    return ended
