"""How the states of this room are drawn: commands, messages, signatures, latches."""

from collections.abc import Mapping

from django.utils.safestring import SafeString

from dispatch.models import Command, EmergencyLatch, Outcome
from dispatch.signatures import SignatureCheck, SignatureVerdict
from dispatch.states import State
from dispatch.words import OUTCOME_WORDS, STATE_WORDS, cause_text
from plants.admin.marks import Family, Look, chip

_STATES: Mapping[State, tuple[str, Family]] = {
    State.SCHEDULED: ("schedule", Family.WAIT),
    State.QUEUED: ("inbox", Family.WAIT),
    State.SENT: ("send", Family.MOVE),
    State.ACCEPTED: ("check", Family.MOVE),
    State.QUEUED_BY_VOKE: ("hourglass_top", Family.MOVE),
    State.EXECUTING: ("progress_activity", Family.MOVE),
    State.COMPLETED: ("done_all", Family.OK),
    State.PARTIAL: ("call_split", Family.DOUBT),
    State.DEVIATED: ("difference", Family.DOUBT),
    State.UNCONFIRMED: ("history_toggle_off", Family.DOUBT),
    State.REJECTED: ("dangerous", Family.FAIL),
    State.FAILED: ("report", Family.FAIL),
    State.RETURNED: ("undo", Family.FAIL),
    State.REFUSED: ("gpp_bad", Family.FAIL),
    State.CANCELLED: ("block", Family.WAIT),
    State.SUPERSEDED: ("back_hand", Family.WAIT),
    State.EXPIRED: ("timer_off", Family.WAIT),
}
STATE_LOOKS: Mapping[State, Look] = {
    state: Look(icon=icon, word=STATE_WORDS[state], family=family)
    for state, (icon, family) in _STATES.items()
}
_OUTCOMES: Mapping[str, tuple[str, Family]] = {
    Outcome.PENDING: ("inbox", Family.WAIT),
    Outcome.CONFIRMED: ("check", Family.OK),
    Outcome.RETURNED: ("undo", Family.FAIL),
    Outcome.REFUSED: ("gpp_bad", Family.FAIL),
    Outcome.REPLACED: ("cached", Family.WAIT),
    Outcome.WITHDRAWN: ("block", Family.WAIT),
    Outcome.ABANDONED: ("history_toggle_off", Family.DOUBT),
}
_SIGNATURES: Mapping[SignatureVerdict, Look] = {
    SignatureVerdict.MATCHES: Look(icon="verified_user", word="Signature matches", family=Family.OK),
    SignatureVerdict.DIFFERS: Look(icon="gpp_bad", word="Signature differs", family=Family.FAIL),
    SignatureVerdict.ABSENT: Look(icon="gpp_maybe", word="Signature required and absent", family=Family.FAIL),
    SignatureVerdict.NOT_REQUIRED: Look(icon="shield", word="Signature not required", family=Family.WAIT),
    SignatureVerdict.NOT_CHECKED: Look(icon="gpp_maybe", word="Signature not checked", family=Family.DOUBT),
}
EXECUTION_OVERDUE = Look(icon="running_with_errors", word="Report overdue", family=Family.DOUBT)
EMERGENCY = Look(icon="emergency_home", word="Emergency", family=Family.CRIT)


def state_chip(command: Command) -> SafeString:
    """The state with its cause as the title."""
    return chip(STATE_LOOKS[State(command.state)], title=cause_text(command.cause) if command.cause else "")


def outcome_chip(outcome: str, *, title: str = "") -> SafeString:
    """What became of a message."""
    symbol, family = _OUTCOMES[outcome]
    return chip(Look(icon=symbol, word=OUTCOME_WORDS[outcome], family=family), title=title)


def signature_chip(check: SignatureCheck) -> SafeString:
    """The verdict of a check that was made just now."""
    told = f"Checked just now with key {check.key}" if check.key else check.why
    return chip(_SIGNATURES[check.verdict], title=told)


def latch_chip(kind: str) -> SafeString:
    """The plant is latched: nothing but emergencies goes out to it."""
    return chip(Look(icon="lock", word=f"Latched, {kind.lower()}", family=Family.CRIT))


def latch_state_chip(latch: EmergencyLatch) -> SafeString:
    """Set or released."""
    if latch.released_at is None:
        return latch_chip(latch.type)
    return chip(Look(icon="lock_open", word="Released", family=Family.WAIT))
