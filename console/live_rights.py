"""Whether people whose screens are open may still hear what they hear: asked every minute for all streams at once."""

from collections.abc import Sequence

from esm import clock
from live.grants import Grant
from people.rights import Right, may
from people.selectors.sessions import still_signed_in


def still_allowed(grants: Sequence[Grant]) -> list[Grant]:
    """The grants whose session lives, as the same person, who still has the right to look; one query."""
    people = still_signed_in({grant.session_key for grant in grants}, at=clock.now())
    kept = []
    for grant in grants:
        user = people.get(grant.session_key)
        if user is None or user.pk != grant.user_id or not may(user, Right.SEE):
            continue
        if user.organisation_id in (None, grant.organisation_id):
            kept.append(grant)
    return kept
