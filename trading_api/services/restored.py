"""After a restore: what was told and allowed since the backup is not known, so nothing is built on it."""

from django.db.models import F

from trading_api.models import Credential, ServedVersion

AHEAD = 1000


def forget_what_was_served() -> int:
    """Hold every update until Voke has been given the config again; answers how many memories were dropped.

    Voke may have been given versions that no longer exist, and their numbers come again with other content.
    """
    return ServedVersion.objects.all().delete()[0]


def revoke_tokens() -> int:
    """Make every token that is out worthless: one that was revoked since the backup would be valid again."""
    return Credential.objects.update(revision=F("revision") + AHEAD)
