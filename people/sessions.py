"""SESSION_ENGINE: Django's sessions in the database, in rows that know their person (`people.models.PersonSession`)."""

import re
from datetime import datetime
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from esm import clock
from people.models import PersonSession

_KEY = re.compile(r"[0-9a-z]{8,40}")
SIGNED_IN_AT, SEEN_AT, ADDRESS, BROWSER = "signed_in_at", "seen_at", "address", "browser"


class SessionStore(DatabaseStore):
    """Writes the columns that people and services look for beside the session itself."""

    @classmethod
    def get_model_class(cls) -> type[PersonSession]:
        return PersonSession

    def _validate_session_key(self, key: str | None) -> bool:
        """A cookie may hold anything: what can't be a key of ours is never looked for (databases take no U+0000)."""
        return key is not None and _KEY.fullmatch(key) is not None

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        """The row of a session; a new sign-in is stamped with its time, whichever door it came through."""
        person = data.get(SESSION_KEY)
        if person is not None and SIGNED_IN_AT not in data:
            data[SIGNED_IN_AT] = data[SEEN_AT] = clock.now().isoformat()
        row: Any = super().create_model_instance(data)
        row.user_id = None if person is None else int(person)
        row.address, row.browser = data.get(ADDRESS, "")[:45], data.get(BROWSER, "")[:80]
        row.signed_in_at, row.seen_at = moment_of(data.get(SIGNED_IN_AT)), moment_of(data.get(SEEN_AT))
        return row


def moment_of(text: str | None) -> datetime | None:
    """A time as the session holds it."""
    return None if text is None else datetime.fromisoformat(text)
