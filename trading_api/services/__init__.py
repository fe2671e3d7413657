"""The only writers of this room's tables; keyword-only, `at` comes from the caller's clock."""

from trading_api.journal import prune_journal
from trading_api.services.credentials import (
    IssuedCredentials,
    disable_credential,
    enable_credential,
    issue_credentials,
    renew_secret,
)
from trading_api.services.updates import (
    UpdateAnswer,
    approve_update,
    prune_updates,
    refuse_update,
    request_update,
)

__all__ = [
    "IssuedCredentials",
    "UpdateAnswer",
    "approve_update",
    "disable_credential",
    "enable_credential",
    "issue_credentials",
    "prune_journal",
    "prune_updates",
    "refuse_update",
    "renew_secret",
    "request_update",
]
