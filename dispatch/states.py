"""A command's life as one table, pure: which word may follow which, and what a late or repeated word does.

SCHEDULED -> QUEUED (signed, in the outbox) -> SENT (confirmed and routed) -> ACCEPTED | QUEUED_BY_VOKE | PARTIAL |
REJECTED; then EXECUTING -> COMPLETED | DEVIATED | FAILED. Source: docs/protocol.md (acknowledgement and execution).

Edge cases (the concurrency policy):
- A reply may overtake our own bookkeeping: QUEUED may jump to anything that Voke says.
- A word of lower rank (an ACK after COMPLETED, a confirm after the ACK) adds an event and leaves the state.
- UNCONFIRMED is our presumption: attempted but never confirmed in time, or sent and no ACK in time. Only a word from
  Voke may correct it.
- RETURNED and REFUSED are the broker's word on one attempt. An attempt before it may have arrived (its confirm was
  lost), and then Voke's own word is the better evidence and corrects them.
- CANCELLED, SUPERSEDED and EXPIRED promise that nothing was sent: the service takes them only while no message of the
  command was attempted.
- DEVIATED may still become COMPLETED or FAILED. REJECTED, COMPLETED and FAILED are final, and so is what was never
  sent.
"""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """States of a command."""

    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    SENT = "SENT"
    ACCEPTED = "ACCEPTED"
    QUEUED_BY_VOKE = "QUEUED_BY_VOKE"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    DEVIATED = "DEVIATED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SUPERSEDED = "SUPERSEDED"
    EXPIRED = "EXPIRED"
    RETURNED = "RETURNED"
    REFUSED = "REFUSED"
    UNCONFIRMED = "UNCONFIRMED"


class Verdict(StrEnum):
    """What a word does to a command in its present state."""

    APPLIED = "APPLIED"
    DUPLICATE = "DUPLICATE"
    STALE = "STALE"


_S = State
_OUTCOME = frozenset({_S.COMPLETED, _S.DEVIATED, _S.FAILED})
_EXECUTION = _OUTCOME | {_S.EXECUTING}
_ACK = frozenset({_S.ACCEPTED, _S.QUEUED_BY_VOKE, _S.PARTIAL, _S.REJECTED})
FROM_VOKE = _ACK | _EXECUTION
NEVER_SENT = frozenset({_S.CANCELLED, _S.SUPERSEDED, _S.EXPIRED})

TRANSITIONS: Mapping[State, frozenset[State]] = {
    _S.SCHEDULED: NEVER_SENT | {_S.QUEUED},
    _S.QUEUED: NEVER_SENT | FROM_VOKE | {_S.SENT, _S.RETURNED, _S.REFUSED, _S.UNCONFIRMED},
    _S.SENT: FROM_VOKE | {_S.UNCONFIRMED},
    _S.UNCONFIRMED: FROM_VOKE,
    # Voke's own queue answers twice: QUEUED now, the real word when the site is back.
    _S.QUEUED_BY_VOKE: _EXECUTION | {_S.ACCEPTED, _S.PARTIAL, _S.REJECTED},
    _S.ACCEPTED: _EXECUTION,
    _S.PARTIAL: _EXECUTION,
    _S.EXECUTING: _OUTCOME,
    _S.DEVIATED: frozenset({_S.COMPLETED, _S.FAILED}),
    _S.REJECTED: frozenset(),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.SUPERSEDED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.RETURNED: FROM_VOKE,
    _S.REFUSED: FROM_VOKE,
}

FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
# Nothing more is awaited, though a late word of Voke may still correct what the broker said.
ENDED = FINAL | {_S.RETURNED, _S.REFUSED}
OPEN = frozenset(State) - FINAL
BEFORE_SENT = frozenset({_S.SCHEDULED, _S.QUEUED})


def judge(current: State, to: State) -> Verdict:
    """Whether a word moves the command, repeats what is known, or came too late to matter."""
    if to in TRANSITIONS[current]:
        return Verdict.APPLIED
    return Verdict.DUPLICATE if to is current else Verdict.STALE
