"""From the journal to the broker: pending events in order, each until the broker confirmed or returned it."""

from datetime import datetime, timedelta

from voke_sim.journal import Journal
from voke_sim.journal_schema import PublishedRow, PublishedState
from voke_sim.transport.port import Outbound, Sent, Transport

_BATCH = 100
_MAX_BATCHES = 50
_RETRY = timedelta(seconds=1)
_KEEP_TELEMETRY = 5_000
_BOUND_EVERY = timedelta(minutes=1)

_FINAL = {Sent.CONFIRMED: PublishedState.CONFIRMED, Sent.RETURNED: PublishedState.RETURNED}


class Outbox:
    """Sends what is due. No transaction is open while the network is waited for.

    Edge cases:
    - A crash between the broker's word and our note of it sends the same bytes again: receivers deduplicate
      by messageId, as the protocol asks them to.
    - After a refusal or a lost connection the rest of the batch is not asked again before a pause; the
      order within the outbox stays.
    """

    def __init__(self, journal: Journal, transport: Transport) -> None:
        self._journal = journal
        self._transport = transport
        self._pause_until: datetime | None = None
        self._bounded_at: datetime | None = None

    def flush(self, at: datetime) -> int:
        """Publish what is due; the number of events settled."""
        if not self._transport.is_connected:
            self._bound_backlog(at)
            return 0
        if self._pause_until is not None and at < self._pause_until:
            return 0
        self._pause_until = None
        settled = 0
        for _ in range(_MAX_BATCHES):
            rows = self._journal.due(at, _BATCH)
            if not rows:
                break
            done = self._send(rows, at)
            settled += done
            if done < len(rows):
                self._pause_until = at + _RETRY
                break
        return settled

    def _bound_backlog(self, at: datetime) -> None:
        """An outage may last: once a minute the oldest telemetry beyond the bound is given up,
        nothing else ever.
        """
        if self._bounded_at is None or at - self._bounded_at >= _BOUND_EVERY:
            self._bounded_at = at
            self._journal.drop_stale_telemetry(_KEEP_TELEMETRY, at)

    def _send(self, rows: list[PublishedRow], at: datetime) -> int:
        words = self._transport.publish([_outbound(row) for row in rows])
        settled = 0
        with self._journal.transaction():
            for word, state in _FINAL.items():
                seqs = [row.seq for row, said in zip(rows, words, strict=True) if said is word]
                self._journal.settle_published(seqs, state.value, at)
                settled += len(seqs)
        return settled


def _outbound(row: PublishedRow) -> Outbound:
    return Outbound(
        routing_key=row.routing_key,
        body=row.body or b"",
        message_id=row.message_id,
        correlation_id=row.correlation_id,
    )
