"""How far the event queues of a connection that was taken over are read: the proofs of all its consumers together.

Several consumers share the queues. "No message waits" is the same for all of them; what each was given and has not
stored yet is known to itself alone. So a moment is proven when every consumer has proven it on a link that did not
break in between: what one of them held and gave back would have been given to another one.

A process that is gone proves nothing. What it held goes back to the queues when the broker notices, so that others must
have proven a moment after that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from plants.models import Connection, LinkHealth, LinkState, StreamHealth
from plants.selectors.connections import SECRET_FIELDS
from plants.selectors.link_health import expected_period_s

_NOT_LINKED = (LinkState.DOWN, LinkState.REFUSED, LinkState.CONNECTING)
LONGEST_PERIOD_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is proven of a connection's queues: what the broker had confirmed before `until` is stored.

    `since`: the first moment that is proven without interruption. Both None = nothing is. `readers`: consumers that are
    connected. `unread`: messages at the last look, None = not known.
    """

    readers: int
    unread: int | None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class DrainingConnection:
    """A connection that was taken over and is not retired. `period_s`: expected between two messages of a plant."""

    connection_id: int
    successor_id: int
    since: datetime
    period_s: float


def is_draining(*, connection_id: int) -> bool:
    """Whether another connection took over from it and it is not retired yet."""
    rows = Connection.objects.filter(pk=connection_id, succeeded_by__isnull=False, retired_at__isnull=True)
    return rows.exists()


def draining_connections() -> list[DrainingConnection]:
    """Every connection that was taken over and is not retired yet, by id."""
    rows = Connection.objects.defer(*SECRET_FIELDS).filter(
        succeeded_by__isnull=False, handed_over_at__isnull=False, retired_at__isnull=True
    )
    found = list(rows.order_by("pk"))
    realtime = StreamHealth.Stream.REALTIME
    learnt = dict(
        StreamHealth.objects.filter(connection__in=[row.pk for row in found], stream=realtime).values_list(
            "connection_id", "period_s"
        )
    )
    return [
        DrainingConnection(
            connection_id=row.pk,
            successor_id=row.succeeded_by_id,
            since=row.handed_over_at,
            period_s=min(expected_period_s(row, realtime, learnt.get(row.pk))[0] or 0.0, LONGEST_PERIOD_S),
        )
        for row in found
        if row.succeeded_by_id is not None and row.handed_over_at is not None
    ]


def reading_of(*, connection_id: int, at: datetime, gone_after: timedelta) -> Reading:
    """What its consumers have proven; one that said nothing for `gone_after` is gone."""
    rows = LinkHealth.objects.filter(connection_id=connection_id, role=LinkHealth.Role.CONSUME)
    return together(list(rows), at=at, gone_after=gone_after)


def together(rows: Iterable[LinkHealth], *, at: datetime, gone_after: timedelta) -> Reading:
    """The proofs of several consumers as one; no query."""
    linked: list[LinkHealth] = []
    given_back: list[datetime] = []  # when at the latest what a consumer held is in the queues again
    for row in rows:
        if at - row.seen_at > gone_after:
            given_back.append(row.seen_at + gone_after)
        elif row.state in _NOT_LINKED:
            given_back.append(row.since + gone_after)
        else:
            linked.append(row)
    counts = [row.unread for row in linked if row.unread is not None]
    said = Reading(readers=len(linked), unread=max(counts) if counts else None)
    proofs = [
        (row.read_since, row.read_until)
        for row in linked
        if row.read_since is not None and row.read_until is not None
    ]
    if not linked or len(proofs) < len(linked):
        return said
    since, until = max(proof[0] for proof in proofs), min(proof[1] for proof in proofs)
    if since > until or any(moment > until for moment in given_back):
        return said
    return Reading(readers=said.readers, unread=said.unread, since=since, until=until)
