"""Commands, states and causes in the words that people use: no markup; every screen says the same thing.

The tables are in English; the functions answer in the language of the page that asks.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_noop as _

from dispatch.diagnosis import Cause
from dispatch.diagnosis_words import cause_words
from dispatch.models import Command, Graded, Kind, Outcome, Proof, ProofHint, ProofSource
from dispatch.states import State
from plants.words import energy_text, label_text, power_text

STATE_WORDS: Mapping[State, str] = {
    State.SCHEDULED: _("Scheduled"),
    State.QUEUED: _("Queued"),
    State.SENT: _("Sent"),
    State.ACCEPTED: _("Accepted"),
    State.QUEUED_BY_VOKE: _("Queued by Voke"),
    State.PARTIAL: _("Partial"),
    State.REJECTED: _("Rejected"),
    State.EXECUTING: _("Executing"),
    State.COMPLETED: _("Completed"),
    State.DEVIATED: _("Deviated"),
    State.FAILED: _("Failed"),
    State.CANCELLED: _("Cancelled"),
    State.SUPERSEDED: _("Superseded"),
    State.EXPIRED: _("Expired, never sent"),
    State.RETURNED: _("Returned"),
    State.REFUSED: _("Refused by broker"),
    State.UNCONFIRMED: _("Unconfirmed"),
}
_CAUSES: Mapping[str, str] = {
    "REQUESTED": _("Asked for"),
    "DUE": _("Due: built, signed and put into the outbox"),
    "CONFIRMED": _("The broker confirmed it and a queue took it"),
    "ACK_ACCEPTED": _("Voke accepted it"),
    "ACK_PARTIAL": _("Voke accepted it for some of the devices"),
    "ACK_QUEUED": _("Voke keeps it until the site is back"),
    "ACK_REJECTED": _("Voke rejected it without a code"),
    "ACK_OVERDUE": _("No answer from Voke in time"),
    "EXECUTION_EXECUTING": _("The site is carrying it out"),
    "EXECUTION_COMPLETED": _("The site reports that it is done"),
    "EXECUTION_DEVIATED": _("The site deviates from the target"),
    "EXECUTION_FAILED": _("The site reports a failure"),
    "EXECUTION_OVERDUE": _("No report of its execution in time"),
    "NEVER_CONFIRMED": _("Handed to the broker, never confirmed in time"),
    "DELIVER_BY_PASSED": _("Its time passed before it could be sent"),
    "CANCELLED": _("Taken back by a person before anything was sent"),
    "CANNOT_BUILD": _("It could not be signed or built when it was due"),
    "EMERGENCY": _("An emergency of the plant came first"),
    "CONNECTION_CHANGED": _("Its plant moved to another connection, so it was signed again"),
    "SCOPE_MISSING": _("The API key has no scope for it"),
    "TAKEN_BACK": _("Taken back while it was on its way"),
    "TAKES_BACK": _("Sent to take another command back"),
    "BASE_MODE": _("Taken back by the base mode"),
    "EXPIRE": _("Taken back: it runs out by itself"),
    "ZERO": _("Taken back by 0 kW"),
    "STOP": _("Taken back by a stop of its devices"),
    "SCHEDULE_CANCEL": _("Taken back by cancelling the schedule"),
    "FOLLOWED": _("Taken back: something newer has its place"),
    "OVER": _("Taken back after it was over"),
    "STOPS": _("The end of a timed command"),
    "STOP_SENT": _("Its end has come: the stop was made"),
    "STOP_LATE": _("Its stop was made late"),
    "TIMED_STOPPED": _("Ended: Voke took its stop"),
    "TIMED_NOTHING_SENT": _("Ended: there was nothing to stop"),
    "TIMED_REPLACED": _("Ended: its devices were commanded anew"),
    "TIMED_EMERGENCY": _("Ended by an emergency"),
    "STOP_IN_FORCE": _("A stop is in force, which this would weaken"),
    "DISPATCH_OFF": _("Dispatch is switched off"),
    "CONNECTION_OBSERVES": _("The connection only observes"),
    "NOT_CONNECTED": _("The plant has no connection to Voke"),
    "SIGNING_KEY_MISSING": _("The connection has no signing key"),
    "RELEASED": _("The emergency was released before it was delivered"),
    "BROKER_RETURNED": _("The broker returned it: no queue at Voke took it"),
    "BROKER_REFUSED": _("The broker refused it: no permission to publish it"),
    "NOT_DELIVERED": _("Not delivered yet, issued again"),
    "REPLAY_MARGIN": _("It had grown too old for Voke's replay window, so it was signed again"),
    "CONSTRAINT_VIOLATION": _("It breaks a limit of the site"),
    "INVALID_COMMAND": _("Voke does not support it for this asset"),
    "INVALID_PAYLOAD": _("Voke could not read it"),
    "DEVICE_OFFLINE": _("A device is unknown or out of reach"),
    "DEVICE_FAULT": _("A device reports a fault"),
    "LATCHED": _("Latched"),
    "OVERRIDDEN": _("Overridden"),
    "KEPT": _("Kept"),
    "PLAN_ENDED": _("Plan ended"),
    "PLATFORM_DOWN": _("Platform down"),
    "UNSUPPORTED_FOR_TOPOLOGY": _("The site's topology does not support it"),
}
PROOF_WORDS: Mapping[str, str] = {
    Proof.PENDING: _("Not measured yet"),
    Proof.VERIFIED: _("Verified"),
    Proof.OFF_TARGET: _("Off target"),
    Proof.NO_DATA: _("No data"),
    Proof.NOT_IN_FORCE: _("Not in force"),
}
PROOF_HINTS: Mapping[str, str] = {
    ProofHint.SOC_AT_BOUND: _("The battery's charge was at its bound all the time"),
    ProofHint.DEVICE_FAULT: _("A device of the plant had an open alarm"),
    ProofHint.SITE_OFFLINE: _("Nothing came from the plant while others were heard"),
    ProofHint.LIMITED: _("The site was at its import or export limit"),
}
_SOURCES: Mapping[str, str] = {
    ProofSource.TELEMETRY: _("telemetry"),
    ProofSource.METER: _("meter"),
}
_NO_SOURCE = _("no telemetry")
_MOST_NAMES, _ROOM_FOR_NAMES = 4, 40
OUTCOME_WORDS: Mapping[str, str] = {
    Outcome.PENDING: _("Waiting"),
    Outcome.CONFIRMED: _("Confirmed"),
    Outcome.RETURNED: _("Returned"),
    Outcome.REFUSED: _("Refused"),
    Outcome.REPLACED: _("Replaced"),
    Outcome.WITHDRAWN: _("Withdrawn"),
    Outcome.ABANDONED: _("Abandoned"),
}
_NOTES: Mapping[str, str] = {
    "REISSUED": _("Issued again"),
    "NACKED": _("The broker could not take it just now"),
}


def state_word(state: str) -> str:
    """The word of a state; a word that is no state (a note) for people too."""
    if state in State.__members__:
        return gettext(STATE_WORDS[State(state)])
    noted = _NOTES.get(state)
    return gettext(noted) if noted else outcome_word(state)


def outcome_word(outcome: str) -> str:
    """What became of a message in the outbox."""
    return gettext(OUTCOME_WORDS[outcome]) if outcome in OUTCOME_WORDS else label_text(outcome)


def proof_word(verdict: str) -> str:
    """What the measurement says; a verdict of a later version as it is."""
    return gettext(PROOF_WORDS[verdict]) if verdict in PROOF_WORDS else verdict


def hint_text(hint: str) -> str:
    """What may be why a target was missed; '' where nothing is known."""
    return gettext(PROOF_HINTS[hint]) if hint in PROOF_HINTS else ""


def cause_text(cause: str) -> str:
    """What brought a command somewhere; codes that are not known are shown as they are."""
    if cause in _CAUSES:
        return gettext(_CAUSES[cause])
    return cause_words(cause).title if cause in Cause.__members__ else label_text(cause)


def command_title(kind: str, payload: Mapping[str, Any]) -> str:
    """What a command asks for, from its payload in wire names: `Export 275 kW`, `Mode: peak shaving`."""
    match kind:
        case Kind.SITE_SETPOINT:
            return _setpoint_title(payload)
        case Kind.DEVICE:
            return _batch_title(payload.get("commands"))
        case Kind.EMERGENCY:
            told = label_text(str(payload.get("type") or "")).lower()
            return gettext("Emergency %(type)s") % {"type": told} if told else gettext("Emergency")
        case Kind.MODE:
            return gettext("Mode: %(mode)s") % {"mode": label_text(str(payload.get("mode") or "")).lower()}
        case Kind.SCHEDULE_CREATE:
            slots = payload.get("slots")
            count = len(slots) if isinstance(slots, list) else 0
            text = ngettext("Schedule of %(count)d slot", "Schedule of %(count)d slots", count)
            return text % {"count": count} if count else gettext("Schedule")
        case Kind.SCHEDULE_CANCEL:
            return gettext("Cancel a schedule")
        case _:
            return label_text(kind)


def released_text(plant_name: str, command: Command) -> str:
    """What a release came to: whether the base mode was sent, and why not."""
    mode = label_text(str(command.payload.get("mode") or ""))
    facts = {"plant": plant_name, "mode": mode, "cause": cause_text(command.cause)}
    if command.state == State.CANCELLED:
        return gettext("The emergency of %(plant)s is released; %(mode)s was not sent: %(cause)s.") % facts
    return gettext("The emergency of %(plant)s is released; %(mode)s was sent.") % facts


def _setpoint_title(payload: Mapping[str, Any]) -> str:
    direction = label_text(str(payload["direction"])) if payload.get("direction") else gettext("Setpoint")
    if payload.get("type") == "ENERGY":
        energy, minutes = energy_text(_number(payload, "targetValueKwh")), payload.get("intervalMinutes")
        facts = {"direction": direction, "energy": energy, "minutes": minutes}
        return gettext("%(direction)s %(energy)s in %(minutes)s\u202fmin") % facts
    return f"{direction} {power_text(_number(payload, 'targetValueKw'))}"


def _number(payload: Mapping[str, Any], name: str) -> float:
    value = payload.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _batch_title(commands: object) -> str:
    """One device by its name; several that do the same by what they do, others by as many names as a title holds."""
    items = [item for item in commands if isinstance(item, Mapping)] if isinstance(commands, list) else []
    if len(items) == 1:
        return device_text(items[0])
    asked = {_device_action(item) for item in items}
    action = asked.pop() if len(asked) == 1 else ""
    counted = ngettext("%(count)d device: %(names)s", "%(count)d devices: %(names)s", len(items))
    if action:
        told = gettext("%(action)s each") % {"action": action} if action[-1:] in "W%" else action
        return counted % {"count": len(items), "names": told}
    return counted % {
        "count": len(items),
        "names": _some_names([str(item.get("deviceId")) for item in items]),
    }


def _some_names(names: list[str]) -> str:
    shown = names[:1]
    for name in names[1:_MOST_NAMES]:
        if sum(map(len, shown)) + len(name) > _ROOM_FOR_NAMES:
            break
        shown.append(name)
    return ", ".join([*shown, *("…" for _more in names[len(shown) : len(shown) + 1])])


def device_text(command: Mapping[str, Any]) -> str:
    """One device command: `B1: charge 40 kW`."""
    return f"{command.get('deviceId')}: {_device_action(command)}"


def _device_action(command: Mapping[str, Any]) -> str:
    word = str(command.get("command") or "").partition("_")[2] or str(command.get("command") or "")
    text = label_text(word).lower()
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
        if abs(missed) < 0.5:
            return gettext("on target")
        told = gettext("%(amount)s short") if missed < 0 else gettext("%(amount)s over")
        return told % {"amount": power_text(missed)}
    return "" if deviation is None else gettext("off by %(amount)s") % {"amount": power_text(deviation)}


def _optional(detail: Mapping[str, Any], name: str) -> float | None:
    value = detail.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def lateness_text(span: timedelta) -> str:
    """`arrived 41 s after it was said`."""
    seconds = span.total_seconds()
    amount = f"{seconds:.0f}\u202fs" if seconds < 120 else f"{seconds / 60:.0f}\u202fmin"
    return gettext("arrived %(amount)s after it was said") % {"amount": amount}


def measured_text(proof: Graded) -> str:
    """The numbers behind a verdict: `Export 10 kW asked, export 7.0 kW measured (telemetry, 84 samples, 100 % of the
    time), 0.5 kW tolerated`; '' where nothing was judged.
    """
    if proof.target is None or proof.tolerance is None or proof.coverage_pct is None:
        return ""
    asked = _flow_text(proof.target, proof.unit)
    samples = ngettext("%(count)d sample", "%(count)d samples", proof.samples) % {"count": proof.samples}
    return gettext(
        "%(asked)s asked, %(found)s measured (%(source)s, %(samples)s, %(share)s\u202f%% of the time), "
        "%(tolerated)s tolerated"
    ) % {
        "asked": f"{asked[:1].upper()}{asked[1:]}",
        "found": gettext("nothing") if proof.measured is None else _flow_text(proof.measured, proof.unit),
        "source": gettext(_SOURCES.get(proof.source, _NO_SOURCE)),
        "samples": samples,
        "share": f"{proof.coverage_pct:.0f}",
        "tolerated": _amount_text(proof.tolerance, proof.unit),
    }


def proof_text(proof: Graded) -> str:
    """By how much a target was missed and in which direction: `3.0 kW more import than asked`."""
    if proof.off_by is None:
        return ""
    told = (
        gettext("%(amount)s more import than asked")
        if proof.off_by > 0
        else gettext("%(amount)s more export than asked")
    )
    return told % {"amount": _amount_text(proof.off_by, proof.unit)}


def _flow_text(value: float, unit: str) -> str:
    """A value in the site's sign: `export 10 kW`."""
    amount = _amount_text(value, unit)
    if not value:
        return amount
    return (gettext("import %(amount)s") if value > 0 else gettext("export %(amount)s")) % {"amount": amount}


def _amount_text(value: float, unit: str) -> str:
    return energy_text(value) if unit == "kWh" else power_text(value)
