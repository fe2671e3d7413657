"""Outbox -> broker: the loop that publishes what dispatch has signed and stored.

`relay_once` claims a window (committed), hands it to the link, and records what the broker said; no transaction is
open while it is on the network. A crash between the two leaves attempted messages behind: the next turn sends the same
bytes again, within their replay margin.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.models import Outcome
from dispatch.policy import Policy
from dispatch.services.claim import claim, drop_lease, has_sendable, is_called
from dispatch.services.confirms import Word, forget_attempts, note_nacked, record
from link import metrics
from link.broker import Clock, Fate, Outgoing, Publisher, Sent
from plants.models import Connection

_OUTCOMES: Mapping[Fate, Outcome] = {
    Fate.CONFIRMED: Outcome.CONFIRMED,
    Fate.RETURNED: Outcome.RETURNED,
    Fate.REFUSED: Outcome.REFUSED,
}


@dataclass(frozen=True, kw_only=True)
class RelayOptions:
    """How a relay works: its name in the lease, how long the lease lasts, how many messages go at once."""

    holder: str
    lease_ttl: timedelta
    window: int


def relay_once(
    *,
    connection: Connection,
    publisher: Publisher,
    clock: Clock,
    policy: Policy,
    options: RelayOptions,
    called: bool = False,
) -> int:
    """Publish one window of a connection's outbox; answers how many messages the broker settled.

    `called`: there is reason to expect something that can be sent (a ring, a window before this one), so a claim finds
    out as cheaply as a search before it would.
    0 = nothing to do, or nothing that the broker would take now (it blocks, its queues are full): wait before the next
    turn. Raises `LinkError` after recording what was known when the link broke within the window.
    """
    at = clock()
    look = is_called if called else has_sendable
    if not look(connection=connection, holder=options.holder, at=at):
        return 0
    until, claimed = claim(
        connection=connection,
        holder=options.holder,
        ttl=options.lease_ttl,
        window=options.window,
        at=at,
        policy=policy,
    )
    if until is None or not claimed:
        return 0
    began = time.monotonic()
    sent = publisher.publish(
        [
            Outgoing(
                outbound_id=one.outbound_id,
                routing_key=one.routing_key,
                message_id=one.message_id,
                correlation_id=one.correlation_id,
                body=one.body,
                not_after=one.not_after,
            )
            for one in claimed
        ],
        # A byte that waits in our socket when another relay takes over would arrive after what that one sends: a
        # setpoint after a STOP.
        within_s=(until - clock()).total_seconds(),
    )
    metrics.published(connection, sent, took_s=time.monotonic() - began)
    _write_down(sent, at=clock(), policy=policy)
    if any(one.fate in (Fate.UNKNOWN, Fate.NOT_SENT) for one in sent):
        publisher.keep_alive()  # raises when the link is gone; a broker that only blocks keeps its link
    return sum(one.fate in _OUTCOMES for one in sent)


def _write_down(sent: Sequence[Sent], *, at: datetime, policy: Policy) -> None:
    words = [
        Word(outbound_id=one.outbound_id, outcome=_OUTCOMES.get(one.fate), detail=one.detail) for one in sent
    ]
    record(words=words, at=at, policy=policy)
    nacked = [one.outbound_id for one in sent if one.fate is Fate.NACKED]
    if nacked:
        note_nacked(outbound_ids=nacked, at=at)
    unsent = [one.outbound_id for one in sent if one.fate in (Fate.TOO_LATE, Fate.NOT_SENT)]
    if unsent:
        forget_attempts(outbound_ids=unsent)


def release_lease(*, connection: Connection, clock: Clock, options: RelayOptions) -> None:
    """At shutdown: let another relay take over at once."""
    drop_lease(connection_id=connection.pk, holder=options.holder, at=clock())
