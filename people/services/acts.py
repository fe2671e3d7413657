"""Who does something to people, and how it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from people.services.audit import record
from plants.errors import NotFound
from plants.models import User


@dataclass(frozen=True, kw_only=True)
class Doer:
    """The person who acts, in which organisation, from which address."""

    user: User
    organisation_id: int | None
    address: str = ""

    @property
    def home(self) -> int:
        """The organisation, for acts that happen in one; raises NotFound where there is none."""
        if self.organisation_id is None:
            raise NotFound(_("Choose an organisation first."))
        return self.organisation_id

    @property
    def name(self) -> str:
        """How the person is called."""
        return self.user.get_full_name() or self.user.get_username()


def write_down(
    doer: Doer,
    action: str,
    *,
    at: datetime,
    subject: str = "",
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """One audit entry, in the transaction of the act."""
    record(
        user=doer.user,
        organisation_id=doer.organisation_id,
        action=action,
        at=at,
        subject=subject,
        reason=reason,
        before=before,
        after=after,
        address=doer.address,
    )
