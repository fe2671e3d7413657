"""How the states of this room are drawn."""

from collections.abc import Mapping

from django.utils.safestring import SafeString

from plants.admin.marks import Family, Look, chip
from trading_api.models import Credential, PullJournal, UpdateState

_UPDATES: Mapping[str, Look] = {
    UpdateState.OPEN: Look(icon="pending_actions", word="Waiting for review", family=Family.DOUBT),
    UpdateState.APPLIED: Look(icon="done_all", word="Applied", family=Family.OK),
    UpdateState.REFUSED: Look(icon="block", word="Refused", family=Family.FAIL),
    UpdateState.INVALID: Look(icon="dangerous", word="Breaks the rules", family=Family.FAIL),
    UpdateState.SUPERSEDED: Look(icon="cached", word="Replaced", family=Family.WAIT),
}


def update_chip(state: str) -> SafeString:
    """What became of a config update."""
    return chip(_UPDATES[state])


def credential_chip(credential: Credential) -> SafeString:
    """Whether the credential opens anything."""
    if credential.enabled:
        return chip(Look(icon="key", word="Enabled", family=Family.OK))
    return chip(Look(icon="block", word="Disabled", family=Family.WAIT))


def status_chip(row: PullJournal) -> SafeString:
    """The HTTP status with what it means; a refusal of ours is no failure of ours."""
    if row.status >= 500:
        return chip(Look(icon="report", word=str(row.status), family=Family.FAIL))
    if row.status >= 400:
        return chip(Look(icon="block", word=str(row.status), family=Family.DOUBT))
    if row.status == 304:
        return chip(
            Look(icon="equal", word="304", family=Family.WAIT), title="Not changed since it was last pulled"
        )
    return chip(Look(icon="check", word=str(row.status), family=Family.OK))
