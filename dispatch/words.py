"""Commands, states and causes in the words that people use: pure, no markup; every screen says the same thing."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dispatch.diagnosis import Cause
from dispatch.diagnosis_words import cause_words
from dispatch.models import Command, Graded, Kind, Outcome, Proof, ProofHint, ProofSource
from dispatch.states import State
from plants.words import energy_text, label_text, power_text

STATE_WORDS: Mapping[State, str] = {
    State.SCHEDULED: "Scheduled",
    State.QUEUED: "Queued",
    State.SENT: "Sent",
    State.ACCEPTED: "Accepted",
    State.QUEUED_BY_VOKE: "Queued by Voke",
    State.PARTIAL: "Partial",
    State.REJECTED: "Rejected",
    State.EXECUTING: "Executing",
    State.COMPLETED: "Completed",
    State.DEVIATED: "Deviated",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
    State.SUPERSEDED: "Superseded",
    State.EXPIRED: "Expired, never sent",
    State.RETURNED: "Returned",
    State.REFUSED: "Refused by broker",
    State.UNCONFIRMED: "Unconfirmed",
}
_CAUSES: Mapping[str, str] = {
    "REQUESTED": "Asked for",
    "DUE": "Due: built, signed and put into the outbox",
    "CONFIRMED": "The broker confirmed it and a queue took it",
    "ACK_ACCEPTED": "Voke accepted it",
    "ACK_PARTIAL": "Voke accepted it for some of the devices",
    "ACK_QUEUED": "Voke keeps it until the site is back",
    "ACK_REJECTED": "Voke rejected it without a code",
    "ACK_OVERDUE": "No answer from Voke in time",
    "EXECUTION_EXECUTING": "The site is carrying it out",
    "EXECUTION_COMPLETED": "The site reports that it is done",
    "EXECUTION_DEVIATED": "The site deviates from the target",
    "EXECUTION_FAILED": "The site reports a failure",
    "EXECUTION_OVERDUE": "No report of its execution in time",
    "NEVER_CONFIRMED": "Handed to the broker, never confirmed in time",
    "DELIVER_BY_PASSED": "Its time passed before it could be sent",
    "CANCELLED": "Taken back by a person before anything was sent",
    "CANNOT_BUILD": "It could not be signed or built when it was due",
    "EMERGENCY": "An emergency of the plant came first",
    "CONNECTION_CHANGED": "Its plant moved to another connection, so it was signed again",
    "SCOPE_MISSING": "The API key has no scope for it",
    "TAKEN_BACK": "Taken back while it was on its way",
    "TAKES_BACK": "Sent to take another command back",
    "BASE_MODE": "Taken back by the base mode",
    "EXPIRE": "Taken back: it runs out by itself",
    "ZERO": "Taken back by 0 kW",
    "STOP": "Taken back by a stop of its devices",
    "SCHEDULE_CANCEL": "Taken back by cancelling the schedule",
    "FOLLOWED": "Taken back: something newer has its place",
    "OVER": "Taken back after it was over",
    "STOPS": "The end of a timed command",
    "STOP_SENT": "Its end has come: the stop was made",
    "STOP_LATE": "Its stop was made late",
    "TIMED_STOPPED": "Ended: Voke took its stop",
    "TIMED_NOTHING_SENT": "Ended: there was nothing to stop",
    "TIMED_REPLACED": "Ended: its devices were commanded anew",
    "TIMED_EMERGENCY": "Ended by an emergency",
    "STOP_IN_FORCE": "A stop is in force, which this would weaken",
    "DISPATCH_OFF": "Dispatch is switched off",
    "CONNECTION_OBSERVES": "The connection only observes",
    "NOT_CONNECTED": "The plant has no connection to Voke",
    "SIGNING_KEY_MISSING": "The connection has no signing key",
    "RELEASED": "The emergency was released before it was delivered",
    "BROKER_RETURNED": "The broker returned it: no queue at Voke took it",
    "BROKER_REFUSED": "The broker refused it: no permission to publish it",
    "NOT_DELIVERED": "Not delivered yet, issued again",
    "REPLAY_MARGIN": "It had grown too old for Voke's replay window, so it was signed again",
    "CONSTRAINT_VIOLATION": "It breaks a limit of the site",
    "INVALID_COMMAND": "Voke does not support it for this asset",
    "INVALID_PAYLOAD": "Voke could not read it",
    "DEVICE_OFFLINE": "A device is unknown or out of reach",
    "DEVICE_FAULT": "A device reports a fault",
    "UNSUPPORTED_FOR_TOPOLOGY": "The site's topology does not support it",
}
PROOF_WORDS: Mapping[str, str] = {
    Proof.PENDING: "Not measured yet",
    Proof.VERIFIED: "Verified",
    Proof.OFF_TARGET: "Off target",
    Proof.NO_DATA: "No data",
    Proof.NOT_IN_FORCE: "Not in force",
}
PROOF_HINTS: Mapping[str, str] = {
    ProofHint.SOC_AT_BOUND: "The battery's charge was at its bound all the time",
    ProofHint.DEVICE_FAULT: "A device of the plant had an open alarm",
    ProofHint.SITE_OFFLINE: "Nothing came from the plant while others were heard",
    ProofHint.LIMITED: "The site was at its import or export limit",
}
_SOURCES: Mapping[str, str] = {ProofSource.TELEMETRY: "telemetry", ProofSource.METER: "meter"}
OUTCOME_WORDS: Mapping[str, str] = {
    Outcome.PENDING: "Waiting",
    Outcome.CONFIRMED: "Confirmed",
    Outcome.RETURNED: "Returned",
    Outcome.REFUSED: "Refused",
    Outcome.REPLACED: "Replaced",
    Outcome.WITHDRAWN: "Withdrawn",
    Outcome.ABANDONED: "Abandoned",
}
_NOTES: Mapping[str, str] = {"REISSUED": "Issued again", "NACKED": "The broker could not take it just now"}


def state_word(state: str) -> str:
    """The word of a state; a word that is no state (a note) for people too."""
    if state in State.__members__:
        return STATE_WORDS[State(state)]
    return _NOTES.get(state) or OUTCOME_WORDS.get(state) or label_text(state)


def cause_text(cause: str) -> str:
    """What brought a command somewhere; codes that are not known are shown as they are."""
    if cause in _CAUSES:
        return _CAUSES[cause]
    return cause_words(cause).title if cause in Cause.__members__ else label_text(cause)


def command_title(kind: str, payload: Mapping[str, Any]) -> str:
    """What a command asks for, from its payload in wire names: `Export 275 kW`, `Mode: peak shaving`."""
    match kind:
        case Kind.SITE_SETPOINT:
            return _setpoint_title(payload)
        case Kind.DEVICE:
            return _batch_title(payload.get("commands"))
        case Kind.EMERGENCY:
            return f"Emergency {str(payload.get('type') or '').lower()}".strip()
        case Kind.MODE:
            return f"Mode: {label_text(str(payload.get('mode') or '')).lower()}"
        case _:
            return label_text(kind)


def released_text(plant_name: str, command: Command) -> str:
    """What a release came to: whether the base mode was sent, and why not."""
    mode = label_text(str(command.payload.get("mode") or ""))
    told = f"was not sent: {cause_text(command.cause)}" if command.state == State.CANCELLED else "was sent"
    return f"The emergency of {plant_name} is released; {mode} {told}."


def _setpoint_title(payload: Mapping[str, Any]) -> str:
    direction = label_text(str(payload.get("direction") or "Setpoint"))
    if payload.get("type") == "ENERGY":
        minutes = payload.get("intervalMinutes")
        return f"{direction} {energy_text(_number(payload, 'targetValueKwh'))} in {minutes}\u202fmin"
    return f"{direction} {power_text(_number(payload, 'targetValueKw'))}"


def _number(payload: Mapping[str, Any], name: str) -> float:
    value = payload.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _batch_title(commands: object) -> str:
    items = [item for item in commands if isinstance(item, Mapping)] if isinstance(commands, list) else []
    if len(items) == 1:
        return device_text(items[0])
    devices = ", ".join(str(item.get("deviceId")) for item in items[:4])
    return f"{len(items)} devices: {devices}{', …' if len(items) > 4 else ''}"


def device_text(command: Mapping[str, Any]) -> str:
    """One device command: `B1: charge 40 kW`."""
    word = str(command.get("command") or "").partition("_")[2] or str(command.get("command") or "")
    text = f"{command.get('deviceId')}: {label_text(word).lower()}"
    params = command.get("params")
    if isinstance(params, Mapping):
        if params.get("powerKw") is not None:
            text += f" {power_text(_number(params, 'powerKw'))}"
        if params.get("percent") is not None:
            text += f" {_number(params, 'percent'):g}\u202f%"
    return text


def deviation_text(detail: Mapping[str, Any]) -> str:
    """By how much the site misses its target: `41 kW short`, `12 kW over`; '' when Voke did not say.

    Interpretation: the sign of Voke's deviationKw is not documented, so the direction comes from actual and target.
    """
    actual, target, deviation = (_optional(detail, name) for name in ("actualKw", "targetKw", "deviationKw"))
    if actual is not None and target is not None:
        missed = actual - target
        return (
            "on target" if abs(missed) < 0.5 else f"{power_text(missed)} {'short' if missed < 0 else 'over'}"
        )
    return "" if deviation is None else f"off by {power_text(deviation)}"


def _optional(detail: Mapping[str, Any], name: str) -> float | None:
    value = detail.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def lateness_text(span: timedelta) -> str:
    """`arrived 41 s after it was said`."""
    seconds = span.total_seconds()
    amount = f"{seconds:.0f}\u202fs" if seconds < 120 else f"{seconds / 60:.0f}\u202fmin"
    return f"arrived {amount} after it was said"


def measured_text(proof: Graded) -> str:
    """The numbers behind a verdict: `Export 10 kW asked, export 7.0 kW measured (telemetry, 84 samples, 100 % of the
    time), 0.5 kW tolerated`; '' where nothing was judged.
    """
    if proof.target is None or proof.tolerance is None or proof.coverage_pct is None:
        return ""
    found = "nothing" if proof.measured is None else _flow_text(proof.measured, proof.unit)
    asked = _flow_text(proof.target, proof.unit)
    by = f"{_SOURCES.get(proof.source, 'no telemetry')}, {proof.samples} samples"
    share = f"{proof.coverage_pct:.0f}\u202f% of the time"
    tolerated = _amount_text(proof.tolerance, proof.unit)
    return f"{asked[:1].upper()}{asked[1:]} asked, {found} measured ({by}, {share}), {tolerated} tolerated"


def proof_text(proof: Graded) -> str:
    """By how much a target was missed and in which direction: `3.0 kW more import than asked`."""
    if proof.off_by is None:
        return ""
    direction = "import" if proof.off_by > 0 else "export"
    return f"{_amount_text(proof.off_by, proof.unit)} more {direction} than asked"


def _flow_text(value: float, unit: str) -> str:
    """A value in the site's sign: `export 10 kW`."""
    direction = "import " if value > 0 else "export " if value < 0 else ""
    return f"{direction}{_amount_text(value, unit)}"


def _amount_text(value: float, unit: str) -> str:
    return energy_text(value) if unit == "kWh" else power_text(value)
