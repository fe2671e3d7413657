"""Silences, their causes, next steps, checks and how sure they are, in the words that people use: one table of all."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from dispatch.diagnosis import Cause, Check, Confidence, NextStep, Result, Silence


class Words(NamedTuple):
    """A short title and what it means, or what to do."""

    title: str
    text: str


SILENCES: Mapping[Silence, str] = {
    Silence.NO_ACK: "Sent, and Voke did not answer",
    Silence.NOT_CONFIRMED: "Handed to the broker, never confirmed",
    Silence.RETURNED: "Returned by the broker",
    Silence.REFUSED: "Refused by the broker",
    Silence.EXPIRED: "Its time passed before it was sent",
    Silence.NO_EXECUTION: "Accepted, and no report of its execution",
}

CAUSES: Mapping[Cause, Words] = {
    Cause.BYTES_WRONG: Words(
        "The stored bytes do not verify",
        "What was sent is not what was asked for, not in canonical form, or its signature is not that of the key.",
    ),
    Cause.SIGNATURE_MISSING: Words(
        "The signature is missing",
        "Voke requires a signature for this family and drops an unsigned message without a word.",
    ),
    Cause.ENVELOPE_INVALID: Words(
        "The envelope breaks the protocol",
        "It can't be read, names another site or partner, or was too old when it was sent.",
    ),
    Cause.RETURNED: Words("No queue took it", "The broker returned it: nothing is bound to its routing key."),
    Cause.REFUSED: Words(
        "The broker did not take it", "The broker refused the message or closed the channel."
    ),
    Cause.NOT_PUBLISHED: Words(
        "It was never published", "No byte of it left the platform before its time passed."
    ),
    Cause.LINK_SILENT: Words(
        "Nothing is heard on the connection",
        "Since it was sent no message of Voke reached us, so its answer could not either.",
    ),
    Cause.SITE_OFFLINE: Words(
        "The site is offline", "The plant stopped reporting while the connection goes on, or Voke said so."
    ),
    Cause.CLOCK_SKEW: Words(
        "The clocks differ",
        "Voke drops a message whose timestamp is too far from its own clock, without a word.",
    ),
    Cause.KNOWN_TO_VOKE: Words(
        "Voke has it, its answer was lost",
        "Voke's own command log lists it; the word about it did not reach us.",
    ),
    Cause.UNKNOWN_TO_VOKE: Words(
        "Voke does not list it", "Voke's command log was read and it is not there: it was lost or dropped."
    ),
    Cause.UNDECIDED: Words("Not explained", "Nothing that could be looked at explains the silence."),
}

NEXT_STEPS: Mapping[NextStep, Words] = {
    NextStep.REPORT_DEFECT: Words(
        "Report a defect",
        "Make a support bundle and report it: the platform built or kept these bytes wrongly.",
    ),
    NextStep.CHECK_KEY: Words(
        "Check the signing key",
        "Compare the key and its decoding with Voke; `check_connection` tells what it sees.",
    ),
    NextStep.SIGN_FAMILY: Words(
        "Sign this family", "Put the family among those the connection signs, then ask for the command anew."
    ),
    NextStep.ASK_VOKE_BINDINGS: Words(
        "Ask Voke about the queue",
        "Voke must bind its command queue to our routing prefix; compare the prefix first.",
    ),
    NextStep.CHECK_RIGHTS: Words(
        "Check the key's rights",
        "The key needs the write scope of this command; ask Voke, or import a new bundle.",
    ),
    NextStep.ALLOW_DISPATCH: Words(
        "Allow dispatch",
        "Switch dispatch on for the connection and plant, or release the emergency, and ask anew.",
    ),
    NextStep.CHECK_LINK: Words(
        "Check the link",
        "See the connection's page: is a relay and a consumer running, and what was the last error?",
    ),
    NextStep.ASK_VOKE_EVENTS: Words(
        "Ask Voke about its events",
        "We are connected and given nothing: federation of events to this key's vhost may have stopped.",
    ),
    NextStep.CALL_SITE: Words(
        "Look after the site",
        "The command may take effect when the site is back; withdraw it if that is not wanted.",
    ),
    NextStep.SET_CLOCK: Words(
        "Set the clock", "Compare this host's time synchronisation with Voke's, then ask anew."
    ),
    NextStep.TRUST_MEASUREMENT: Words(
        "Do not send it again", "Voke acts on it. The measurement tells whether the plant follows."
    ),
    NextStep.READ_REJECTION: Words(
        "Read why it was rejected", "Voke rejected it; change what the code names and ask for it anew."
    ),
    NextStep.ASK_ANEW: Words("Ask for it anew", "It did not reach Voke; a new command does no harm."),
    NextStep.ASK_VOKE: Words(
        "Ask Voke", "Give Voke the message id and the time; it may tell what became of it."
    ),
}

CONFIDENCES: Mapping[Confidence, str] = {
    Confidence.CERTAIN: "certain",
    Confidence.LIKELY: "likely",
    Confidence.OPEN: "open",
}

_CHECKS: Mapping[Check, str] = {
    Check.PUBLISHING: "Could it be published",
    Check.BROKER: "The broker's word",
    Check.BYTES: "Stored bytes",
    Check.SIGNATURE: "Signature required and present",
    Check.ENVELOPE: "Envelope",
    Check.CLOCK: "Clocks",
    Check.LINK: "Connection",
    Check.SITE: "Site",
    Check.LOG: "Voke's command log",
}
_RESULTS: Mapping[Result, str] = {
    Result.FINE: "fine",
    Result.WRONG: "wrong",
    Result.DOUBT: "odd",
    Result.OPEN: "not known",
}


def cause_words(code: str) -> Words:
    """Of a cause that may be one of a later version."""
    return CAUSES[Cause(code)] if code in Cause.__members__ else Words(code, "")


def step_words(code: str) -> Words:
    """Of a next step that may be one of a later version."""
    return NEXT_STEPS[NextStep(code)] if code in NextStep.__members__ else Words(code, "")


def confidence_word(code: str) -> str:
    """Of a confidence that may be one of a later version."""
    return CONFIDENCES[Confidence(code)] if code in Confidence.__members__ else code


def evidence_lines(rows: list[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(what was looked at, the result, what was seen) of each check that a diagnosis keeps."""
    return [
        (
            _CHECKS.get(Check(row["check"]), "") if row["check"] in Check.__members__ else str(row["check"]),
            _RESULTS.get(Result(row["result"]), "") if row["result"] in Result.__members__ else "",
            str(row.get("saw") or row["code"]),
        )
        for row in rows
    ]
