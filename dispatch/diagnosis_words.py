"""Silences, their causes, next steps, checks and how sure they are, in the words that people use: one table of all."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from dispatch.diagnosis import Cause, Check, Confidence, NextStep, Result, Silence
from plants.words import local_stored


class Words(NamedTuple):
    """A short title and what it means, or what to do."""

    title: str
    text: str


SILENCES: Mapping[Silence, str] = {
    Silence.NO_ACK: _("Sent, and Voke did not answer"),
    Silence.NOT_CONFIRMED: _("Handed to the broker, never confirmed"),
    Silence.RETURNED: _("Returned by the broker"),
    Silence.REFUSED: _("Refused by the broker"),
    Silence.EXPIRED: _("Its time passed before it was sent"),
    Silence.NO_EXECUTION: _("Accepted, and no report of its execution"),
}

CAUSES: Mapping[Cause, Words] = {
    Cause.BYTES_WRONG: Words(
        _("The stored bytes do not verify"),
        _(
            "What was sent is not what was asked for, not in canonical form, or its signature is not that of the key."
        ),
    ),
    Cause.SIGNATURE_MISSING: Words(
        _("The signature is missing"),
        _("Voke requires a signature for this family and drops an unsigned message without a word."),
    ),
    Cause.ENVELOPE_INVALID: Words(
        _("The envelope breaks the protocol"),
        _("It can't be read, names another site or partner, or was too old when it was sent."),
    ),
    Cause.RETURNED: Words(
        _("No queue took it"),
        _("The broker returned it: nothing is bound to its routing key."),
    ),
    Cause.REFUSED: Words(
        _("The broker did not take it"),
        _("The broker refused the message or closed the channel."),
    ),
    Cause.NOT_PUBLISHED: Words(
        _("It was never published"),
        _("No byte of it left the platform before its time passed."),
    ),
    Cause.LINK_SILENT: Words(
        _("Nothing is heard on the connection"),
        _("Since it was sent no message of Voke reached us, so its answer could not either."),
    ),
    Cause.SITE_OFFLINE: Words(
        _("The site is offline"),
        _("The plant stopped reporting while the connection goes on, or Voke said so."),
    ),
    Cause.CLOCK_SKEW: Words(
        _("The clocks differ"),
        _("Voke drops a message whose timestamp is too far from its own clock, without a word."),
    ),
    Cause.KNOWN_TO_VOKE: Words(
        _("Voke has it, its answer was lost"),
        _("Voke's own command log lists it; the word about it did not reach us."),
    ),
    Cause.UNKNOWN_TO_VOKE: Words(
        _("Voke does not list it"),
        _("Voke's command log was read and it is not there: it was lost or dropped."),
    ),
    Cause.UNDECIDED: Words(_("Not explained"), _("Nothing that could be looked at explains the silence.")),
}

NEXT_STEPS: Mapping[NextStep, Words] = {
    NextStep.REPORT_DEFECT: Words(
        _("Report a defect"),
        _("Make a support bundle and report it: the platform built or kept these bytes wrongly."),
    ),
    NextStep.CHECK_KEY: Words(
        _("Check the signing key"),
        _("Compare the key and its decoding with Voke; the check of the connection tells what it sees."),
    ),
    NextStep.SIGN_FAMILY: Words(
        _("Sign this family"),
        _("Put the family among those the connection signs, then ask for the command anew."),
    ),
    NextStep.ASK_VOKE_BINDINGS: Words(
        _("Ask Voke about the queue"),
        _("Voke must bind its command queue to our routing prefix; compare the prefix first."),
    ),
    NextStep.CHECK_RIGHTS: Words(
        _("Check the key's rights"),
        _("The key needs the write scope of this command; ask Voke, or import a new bundle."),
    ),
    NextStep.ALLOW_DISPATCH: Words(
        _("Allow dispatch"),
        _("Switch dispatch on for the connection and plant, or release the emergency, and ask anew."),
    ),
    NextStep.CHECK_LINK: Words(
        _("Check the link"),
        _("See the connection's page: is a relay and a consumer running, and what was the last error?"),
    ),
    NextStep.ASK_VOKE_EVENTS: Words(
        _("Ask Voke about its events"),
        _("We are connected and given nothing: federation of events to this key's vhost may have stopped."),
    ),
    NextStep.CALL_SITE: Words(
        _("Look after the site"),
        _("The command may take effect when the site is back; withdraw it if that is not wanted."),
    ),
    NextStep.SET_CLOCK: Words(
        _("Set the clock"),
        _("Compare this host's time synchronisation with Voke's, then ask anew."),
    ),
    NextStep.TRUST_MEASUREMENT: Words(
        _("Do not send it again"),
        _("Voke acts on it. The measurement tells whether the plant follows."),
    ),
    NextStep.READ_REJECTION: Words(
        _("Read why it was rejected"),
        _("Voke rejected it; change what the code names and ask for it anew."),
    ),
    NextStep.ASK_ANEW: Words(_("Ask for it anew"), _("It did not reach Voke; a new command does no harm.")),
    NextStep.ASK_VOKE: Words(
        _("Ask Voke"),
        _("Give Voke the message id and the time; it may tell what became of it."),
    ),
}

CONFIDENCES: Mapping[Confidence, str] = {
    Confidence.CERTAIN: _("certain"),
    Confidence.LIKELY: _("likely"),
    Confidence.OPEN: _("open"),
}

_CHECKS: Mapping[Check, str] = {
    Check.PUBLISHING: _("Could it be published"),
    Check.BROKER: _("The broker's word"),
    Check.BYTES: _("Stored bytes"),
    Check.SIGNATURE: _("Signature required and present"),
    Check.ENVELOPE: _("Envelope"),
    Check.CLOCK: _("Clocks"),
    Check.LINK: _("Connection"),
    Check.SITE: _("Site"),
    Check.LOG: _("Voke's command log"),
}
_RESULTS: Mapping[Result, str] = {
    Result.FINE: _("fine"),
    Result.WRONG: _("wrong"),
    Result.DOUBT: _("odd"),
    Result.OPEN: _("not known"),
}


def cause_words(code: str) -> Words:
    """Of a cause that may be one of a later version."""
    return _translated(CAUSES[Cause(code)]) if code in Cause.__members__ else Words(code, "")


def step_words(code: str) -> Words:
    """Of a next step that may be one of a later version."""
    return _translated(NEXT_STEPS[NextStep(code)]) if code in NextStep.__members__ else Words(code, "")


def _translated(words: Words) -> Words:
    return Words(gettext(words.title), gettext(words.text))


def confidence_word(code: str) -> str:
    """Of a confidence that may be one of a later version."""
    return gettext(CONFIDENCES[Confidence(code)]) if code in Confidence.__members__ else code


def evidence_lines(rows: list[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(what was looked at, the result, what was seen) of each check that a diagnosis keeps."""
    return [
        (
            gettext(_CHECKS[Check(row["check"])]) if row["check"] in Check.__members__ else str(row["check"]),
            gettext(_RESULTS[Result(row["result"])]) if row["result"] in Result.__members__ else "",
            local_stored(row, text="saw") or str(row["code"]),
        )
        for row in rows
    ]
