"""Silence explained: what we know ourselves at once, Voke's command log afterwards (`link.diagnosing` reads it).

A diagnosis passes LOCAL (our own evidence; looked at again while it is too early to tell whether connection or site are
silent), LOG (the log is to be asked, a bounded number of times) and DONE. What was found is written down at each step,
and told in the command's events when a cause is found.

Interpretation: Voke's log is read over REST in a shape that is not public, without the order and the signature-bound
correlation of its events. So its word names the cause, with what it says of the command, and never moves the command:
UNCONFIRMED stays until a word comes over AMQP. Whoever needs the plant's behaviour asks the measurement.

Edge cases (the concurrency policy):
- The lock of a command guards its diagnosis, for everybody who writes one. Two ticks skip each other's commands.
- A look at the log is claimed by moving `look_at` past a lease, committed before the network is used: a process that
  dies in between leaves a row that is looked at again after the lease, and the number of looks stays bounded.
- The answer of a look is dropped when the silence ended meanwhile, or when another one took the row over.
- A plant that moved is judged by the connection that its command was sent on.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Min

from dispatch.diagnosis import (
    Cause,
    Check,
    Conclusion,
    Confidence,
    Finding,
    Result,
    Silence,
    conclude,
    findings_of,
    rows_of,
)
from dispatch.diagnosis_rules import DiagnosisRules
from dispatch.models import Command, Diagnosis, DiagnosisStage, Kind, OutboundMessage
from dispatch.services.bulk import Among
from dispatch.services.life import Note, append_notes, lock_states
from dispatch.services.silence_evidence import gather
from dispatch.surroundings import TOO_EARLY
from dispatch.telling import About, tell_diagnosed
from vcp.said import Said, said

BATCH = 200
MAX_ROUNDS = 20
DIAGNOSED = "DIAGNOSED"
_WRITTEN = ("stage", "look_at", "made_at", "cause", "confidence", "next_step", "evidence")


@dataclass(frozen=True, kw_only=True)
class LogLook:
    """What to look for in the log of one site: the command by the ids of its messages.

    `asked_at` names the silence that is looked into; `lists_it`: whether the log should have a command of its kind.
    """

    command_id: int
    asked_at: datetime
    site_id: uuid.UUID | None
    silence: Silence
    sent_at: datetime
    lists_it: bool
    message_ids: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class LogTold:
    """What a look came to: a finding on LOG, perhaps one on CLOCK; `again`: another look may tell more."""

    look: LogLook
    findings: tuple[Finding, ...]
    again: bool = False


class _Made(NamedTuple):
    row: Diagnosis
    note: Note | None


def diagnose(*, at: datetime, rules: DiagnosisRules, limit: int = BATCH) -> int:
    """Tick: judge what is due by our own evidence; answers how many were looked at."""
    handled = 0
    for _ in range(MAX_ROUNDS):
        count = _diagnose_batch(at, rules, limit)
        handled += count
        if count < limit:
            break
    return handled


@transaction.atomic
def _diagnose_batch(at: datetime, rules: DiagnosisRules, limit: int) -> int:
    """A constant number of statements for any number of rows."""
    rows = _locked_due(DiagnosisStage.LOCAL, at, limit)
    if not rows:
        return 0
    evidence = gather(diagnoses=rows, at=at)
    made = [
        _judge_locally(
            row, evidence.findings[row.pk], unreadable=evidence.unreadable[row.pk], at=at, rules=rules
        )
        for row in rows
    ]
    _write(made, at)
    return len(rows)


def _locked_due(
    stage: DiagnosisStage, at: datetime, limit: int, *, connection_id: int | None = None
) -> list[Diagnosis]:
    """Due diagnoses, of one connection or of all, whose commands are locked now."""
    due = Command.objects.select_for_update(of=("self",), skip_locked=True).filter(
        diagnosis__stage=stage, diagnosis__look_at__lte=at
    )
    if connection_id is not None:
        due = due.filter(connection_id=connection_id)
    ids = list(due.order_by("pk").values_list("pk", flat=True)[:limit])
    if not ids:
        return []
    # Read again under the lock: another tick may have been here between the search and the lock.
    rows = Diagnosis.objects.filter(Among(ids), stage=stage, look_at__lte=at).order_by("pk")
    return list(rows.select_related("command__plant"))


def _judge_locally(
    row: Diagnosis,
    findings: Mapping[Check, Finding],
    *,
    unreadable: Said,
    at: datetime,
    rules: DiagnosisRules,
) -> _Made:
    """`unreadable`: why Voke's log can't be asked, '' = it can."""
    found = dict(findings)
    conclusion = conclude(Silence(row.silence), found)
    if conclusion.confidence is not Confidence.CERTAIN:
        early = conclusion.cause is Cause.UNDECIDED and any(one.code == TOO_EARLY for one in found.values())
        if early and at < row.asked_at + rules.patience:
            return _decide(
                row, found, conclusion, stage=DiagnosisStage.LOCAL, look_at=at + rules.again, at=at
            )
        if conclusion.asks_log and not unreadable:
            return _decide(row, found, conclusion, stage=DiagnosisStage.LOG, look_at=at, at=at)
        if conclusion.asks_log:
            found[Check.LOG] = Finding(
                check=Check.LOG,
                result=Result.OPEN,
                code="NOT_READABLE",
                saw=said("not read: %(why)s", why=unreadable),
            )
            conclusion = conclude(Silence(row.silence), found)
    return _decide(row, found, conclusion, stage=DiagnosisStage.DONE, look_at=None, at=at)


def _decide(
    row: Diagnosis,
    findings: Mapping[Check, Finding],
    conclusion: Conclusion,
    *,
    stage: DiagnosisStage,
    look_at: datetime | None,
    at: datetime,
) -> _Made:
    """A cause stands as soon as one is found; that there is none only when nothing more is looked at."""
    before = row.cause
    stands = conclusion.cause is not Cause.UNDECIDED or stage is DiagnosisStage.DONE
    row.stage, row.look_at = stage, look_at
    row.evidence = rows_of(findings)
    if stands:
        row.cause, row.confidence = conclusion.cause.value, conclusion.confidence.value
        row.next_step = conclusion.next_step.value
        row.made_at = at
    if not stands or row.cause == before:
        return _Made(row, None)
    log = findings.get(Check.LOG)
    detail = {"next": row.next_step, "confidence": row.confidence}
    if log is not None and log.word:
        detail["log"] = log.word
    return _Made(row, Note(command_id=row.pk, word=DIAGNOSED, cause=row.cause, detail=detail))


def _write(made: Sequence[_Made], at: datetime) -> None:
    Diagnosis.objects.bulk_update([one.row for one in made], _WRITTEN)
    append_notes(notes=[one.note for one in made if one.note is not None], at=at)
    told = [(one.row.command, one.row.cause) for one in made if one.note is not None]
    tell_diagnosed(
        [(row.pk, About(row.plant_id, row.organisation_id, row.kind), cause) for row, cause in told], at=at
    )


# --- Voke's command log -----------------------------------------------------------------------------------------------


def connections_to_ask(*, at: datetime) -> list[int]:
    """The connections on which looks at Voke's log are due, the one that has waited longest first."""
    due = Diagnosis.objects.filter(stage=DiagnosisStage.LOG, look_at__lte=at).order_by()
    waiting = due.values_list("command__connection_id").annotate(since=Min("look_at"))
    return [pk for pk, _ in waiting.order_by("since", "command__connection_id")]


@transaction.atomic
def claim_looks(
    *, connection_id: int, at: datetime, rules: DiagnosisRules, limit: int = BATCH
) -> list[LogLook]:
    """Take due looks at the log of a connection's sites, oldest commands first; each is the caller's for the lease.

    A row whose looks are used up (processes that died with them) is closed here.
    """
    rows = _locked_due(DiagnosisStage.LOG, at, limit, connection_id=connection_id)
    if not rows:
        return []
    over = [row for row in rows if row.attempts >= rules.looks]
    if over:
        _write([_used_up(row, at) for row in over], at)
    left = [row for row in rows if row.attempts < rules.looks]
    for row in left:
        row.attempts += 1
        row.look_at = at + rules.lease
    Diagnosis.objects.bulk_update(left, ["attempts", "look_at"])
    sent = _sent_of({row.pk for row in left})
    return [_look_of(row, sent.get(row.pk, [])) for row in left]


def _used_up(row: Diagnosis, at: datetime) -> _Made:
    found = findings_of(row.evidence)
    found.setdefault(
        Check.LOG,
        Finding(check=Check.LOG, result=Result.OPEN, code="NO_ANSWER", saw=said("no look came to an end")),
    )
    conclusion = conclude(Silence(row.silence), found)
    return _decide(row, found, conclusion, stage=DiagnosisStage.DONE, look_at=None, at=at)


def _sent_of(command_ids: Collection[int]) -> dict[int, list[tuple[str, str, datetime]]]:
    """(message id, correlation id, first attempt) of what was attempted, by command."""
    rows = OutboundMessage.objects.filter(Among(command_ids, of="command_id"), attempted_at__isnull=False)
    sent: dict[int, list[tuple[str, str, datetime]]] = {}
    for pk, message, correlation, at in rows.order_by("pk").values_list(
        "command_id", "message_id", "correlation_id", "attempted_at"
    ):
        if pk is not None and at is not None:
            sent.setdefault(pk, []).append((str(message), str(correlation), at))
    return sent


def _look_of(row: Diagnosis, sent: Sequence[tuple[str, str, datetime]]) -> LogLook:
    command = row.command
    return LogLook(
        command_id=row.pk,
        asked_at=row.asked_at,
        site_id=command.plant.voke_uuid,
        silence=Silence(row.silence),
        sent_at=min((at for _, _, at in sent), default=row.asked_at),
        # Interpretation: a log of commands lists no schedules.
        lists_it=command.kind not in (Kind.SCHEDULE_CREATE, Kind.SCHEDULE_CANCEL),
        message_ids=frozenset(one for message, correlation, _ in sent for one in (message, correlation)),
    )


@transaction.atomic
def record_looks(*, told: Sequence[LogTold], at: datetime, rules: DiagnosisRules) -> int:
    """Write down what looks came to; answers how many still counted."""
    by_command = {one.look.command_id: one for one in told}
    lock_states(by_command)
    rows = Diagnosis.objects.filter(Among(by_command), stage=DiagnosisStage.LOG).order_by("pk")
    rows = rows.select_related("command")
    made = [
        _judge_log(row, by_command[row.pk], at=at, rules=rules)
        for row in rows
        if row.asked_at == by_command[row.pk].look.asked_at
    ]
    if made:
        _write(made, at)
    return len(made)


def _judge_log(row: Diagnosis, told: LogTold, *, at: datetime, rules: DiagnosisRules) -> _Made:
    found = {**findings_of(row.evidence), **{one.check: one for one in told.findings}}
    conclusion = conclude(Silence(row.silence), found)
    if conclusion.asks_log and told.again and row.attempts < rules.looks:
        pause = rules.look_again * 2 ** (row.attempts - 1)
        return _decide(row, found, conclusion, stage=DiagnosisStage.LOG, look_at=at + pause, at=at)
    return _decide(row, found, conclusion, stage=DiagnosisStage.DONE, look_at=None, at=at)
