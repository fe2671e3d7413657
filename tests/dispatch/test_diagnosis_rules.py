"""From findings to a cause: pure, every cause and what outweighs it."""

import pytest

from dispatch.diagnosis import (
    Cause,
    Check,
    Confidence,
    Finding,
    NextStep,
    Result,
    Silence,
    conclude,
    findings_of,
    rows_of,
)
from dispatch.diagnosis_words import CAUSES, NEXT_STEPS, cause_words, evidence_lines, step_words

FINE = {check: Finding(check=check, result=Result.FINE, code="FINE") for check in Check if check != Check.LOG}
LINK = Finding(check=Check.LINK, result=Result.WRONG, code="SILENT")
SITE = Finding(check=Check.SITE, result=Result.WRONG, code="TELEMETRY_STOPPED")
CLOCK = Finding(check=Check.CLOCK, result=Result.WRONG, code="BEYOND_TOLERANCE")
ODD_CLOCK = Finding(check=Check.CLOCK, result=Result.DOUBT, code="OFF")
BYTES = Finding(check=Check.BYTES, result=Result.WRONG, code="NOT_CANONICAL")
OTHER_KEY = Finding(check=Check.BYTES, result=Result.WRONG, code="SIGNATURE_DIFFERS")
UNSIGNED = Finding(check=Check.SIGNATURE, result=Result.WRONG, code="ABSENT")
UNSIGNED_HERE = Finding(check=Check.SIGNATURE, result=Result.WRONG, code="ABSENT_BY_SETTING")
SIGNED = Finding(check=Check.SIGNATURE, result=Result.FINE, code="SIGNED")
ENVELOPE = Finding(check=Check.ENVELOPE, result=Result.WRONG, code="WRONG_SITE")
UNLISTED = Finding(check=Check.LOG, result=Result.WRONG, code="UNKNOWN")
NO_LOG = Finding(check=Check.LOG, result=Result.OPEN, code="REST_TIMEOUT")


def broker(code: str, result: Result = Result.WRONG) -> Finding:
    return Finding(check=Check.BROKER, result=result, code=code)


def listed(word: str = "") -> Finding:
    return Finding(check=Check.LOG, result=Result.FINE, code="KNOWN", word=word)


def judged(*findings: Finding, silence: Silence = Silence.NO_ACK):
    return conclude(silence, FINE | {one.check: one for one in findings})


@pytest.mark.parametrize(
    ("findings", "cause", "confidence", "asks_log"),
    [
        ([broker("RETURNED")], Cause.RETURNED, Confidence.CERTAIN, False),
        ([broker("REFUSED")], Cause.REFUSED, Confidence.CERTAIN, False),
        ([broker("NACKED")], Cause.REFUSED, Confidence.LIKELY, True),
        ([broker("NACKED"), listed("ACCEPTED")], Cause.KNOWN_TO_VOKE, Confidence.CERTAIN, False),
        ([broker("NACKED"), UNLISTED], Cause.REFUSED, Confidence.CERTAIN, False),
        ([BYTES], Cause.BYTES_WRONG, Confidence.CERTAIN, False),
        ([OTHER_KEY], Cause.BYTES_WRONG, Confidence.LIKELY, True),
        ([UNSIGNED], Cause.SIGNATURE_MISSING, Confidence.CERTAIN, False),
        ([UNSIGNED_HERE], Cause.SIGNATURE_MISSING, Confidence.LIKELY, True),
        ([ENVELOPE], Cause.ENVELOPE_INVALID, Confidence.CERTAIN, False),
        ([CLOCK], Cause.CLOCK_SKEW, Confidence.LIKELY, True),
        ([LINK], Cause.LINK_SILENT, Confidence.LIKELY, True),
        ([SITE], Cause.SITE_OFFLINE, Confidence.LIKELY, True),
        ([], Cause.UNDECIDED, Confidence.OPEN, True),
        ([NO_LOG], Cause.UNDECIDED, Confidence.OPEN, True),
        ([UNLISTED], Cause.UNKNOWN_TO_VOKE, Confidence.LIKELY, False),
        ([ODD_CLOCK, UNLISTED], Cause.CLOCK_SKEW, Confidence.LIKELY, False),
        ([CLOCK, UNLISTED], Cause.CLOCK_SKEW, Confidence.CERTAIN, False),
        ([OTHER_KEY, UNLISTED], Cause.BYTES_WRONG, Confidence.CERTAIN, False),
        ([LINK, UNLISTED], Cause.LINK_SILENT, Confidence.LIKELY, False),
        ([SITE, UNLISTED], Cause.SITE_OFFLINE, Confidence.LIKELY, False),
        ([listed("ACCEPTED")], Cause.KNOWN_TO_VOKE, Confidence.CERTAIN, False),
        ([OTHER_KEY, listed("ACCEPTED")], Cause.KNOWN_TO_VOKE, Confidence.CERTAIN, False),
        ([CLOCK, listed("ACCEPTED")], Cause.KNOWN_TO_VOKE, Confidence.CERTAIN, False),
        ([LINK, listed("ACCEPTED")], Cause.LINK_SILENT, Confidence.CERTAIN, False),
        ([SITE, listed("QUEUED")], Cause.SITE_OFFLINE, Confidence.CERTAIN, False),
        ([SITE, listed("REJECTED")], Cause.KNOWN_TO_VOKE, Confidence.CERTAIN, False),
    ],
)
def test_a_cause_follows_from_what_was_found(findings, cause, confidence, asks_log):
    found = judged(*findings)

    assert (found.cause, found.confidence, found.asks_log) == (cause, confidence, asks_log)


@pytest.mark.parametrize(
    ("findings", "step"),
    [
        ([listed("REJECTED")], NextStep.READ_REJECTION),
        ([listed("ACCEPTED")], NextStep.TRUST_MEASUREMENT),
        ([SIGNED, UNLISTED], NextStep.CHECK_KEY),
        ([UNLISTED], NextStep.ASK_VOKE),
        ([broker("NEVER_CONFIRMED", Result.DOUBT), UNLISTED], NextStep.ASK_ANEW),
        ([OTHER_KEY], NextStep.CHECK_KEY),
        ([BYTES], NextStep.REPORT_DEFECT),
        ([LINK], NextStep.ASK_VOKE_EVENTS),
        ([Finding(check=Check.LINK, result=Result.WRONG, code="NO_PROCESS")], NextStep.CHECK_LINK),
    ],
)
def test_the_next_step_fits_the_evidence(findings, step):
    assert judged(*findings).next_step is step


@pytest.mark.parametrize(
    ("findings", "cause", "step"),
    [
        ([broker("NACKED")], Cause.REFUSED, NextStep.ASK_VOKE),
        (
            [Finding(check=Check.PUBLISHING, result=Result.WRONG, code="DISPATCH_OFF")],
            Cause.NOT_PUBLISHED,
            NextStep.ALLOW_DISPATCH,
        ),
        (
            [Finding(check=Check.PUBLISHING, result=Result.WRONG, code="NO_PROCESS")],
            Cause.NOT_PUBLISHED,
            NextStep.CHECK_LINK,
        ),
    ],
)
def test_what_expired_was_not_published_and_no_log_is_asked(findings, cause, step):
    found = judged(*findings, silence=Silence.EXPIRED)

    assert (found.cause, found.next_step, found.asks_log) == (cause, step, False)


def test_a_report_that_stays_away_while_the_site_is_offline_is_the_sites_although_voke_accepted():
    found = judged(SITE, listed(""), silence=Silence.NO_EXECUTION)

    assert found.cause is Cause.SITE_OFFLINE


def test_findings_survive_being_kept_in_a_row():
    found = {one.check: one for one in (LINK, listed("ACCEPTED"))}

    assert findings_of(rows_of(found)) == found


def test_every_cause_and_step_has_words_and_a_code_of_a_later_version_is_shown_as_it_is():
    assert set(CAUSES) == set(Cause)
    assert set(NEXT_STEPS) == set(NextStep)
    assert cause_words("NEW_ONE").title == step_words("NEW_ONE").title == "NEW_ONE"
    assert evidence_lines(rows_of({Check.LINK: LINK})) == [("Connection", "wrong", "SILENT")]
    assert evidence_lines([{"check": "NEW", "result": "NEW", "code": "C"}]) == [("NEW", "", "C")]
