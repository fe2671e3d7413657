"""Writing down how far the queues of a connection that was taken over are read, and why it still drains."""

from datetime import datetime

from plants.models import Connection, LinkHealth


def note_reading(
    *,
    connection_id: int,
    holder: str,
    unread: int | None,
    since: datetime | None,
    until: datetime | None,
    at: datetime,
) -> None:
    """What a consumer found at `at`, kept beside the health of its link.

    `unread`: messages that wait or are not stored yet, None = the broker does not say. `since` and `until`: see
    `plants.selectors.draining.Reading`; None = not proven. A process without health yet says it at its next look.
    """
    mine = LinkHealth.objects.filter(
        connection_id=connection_id, role=LinkHealth.Role.CONSUME, holder=holder[:80]
    )
    mine.update(unread=unread, unread_at=at, read_since=since, read_until=until)


def note_draining(*, connection_id: int, code: str, note: str) -> None:
    """Why the connection still drains (`plants.advice` has the words); written only when it changed."""
    rows = Connection.objects.filter(pk=connection_id, retired_at__isnull=True)
    rows.exclude(draining_code=code, draining_note=note[:200]).update(
        draining_code=code, draining_note=note[:200]
    )
