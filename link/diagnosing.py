"""Voke's own command log, asked about commands that met silence: what `dispatch.services.diagnosis` can't know itself.

One request per site answers for all of its silent commands. Requests are bounded in number and time and paced; a
connection that fails is left alone until its looks are due again, and costs the others one time limit at most.

Interpretation: the log is a list over 24 hours whose items carry the ids of our envelope and Voke's verdict. Its length
is not public: a long answer that begins after our command was sent does not prove that the command is missing.

Edge cases (the concurrency policy): looks are claimed and committed before a byte is sent, and written down after each
connection; no transaction is open while the network is waited for. A process that dies leaves its looks to the lease.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

import structlog

from dispatch.diagnosis import JUDGED, KNOWN, UNKNOWN, Check, Finding, Result, Silence
from dispatch.diagnosis_rules import DiagnosisRules
from dispatch.services.diagnosis import (
    LogLook,
    LogTold,
    claim_looks,
    connections_to_ask,
    record_looks,
)
from dispatch.surroundings import clock_finding
from link.rest import RestError, RestGarbled, RestLimits, RestNotFound, VokeCommand, VokeRest
from plants.encryption import UndecryptableSecret
from plants.models import Connection
from vcp.said import Said, joined, said, told_by

log = structlog.get_logger(__name__)
LOOKBACK = timedelta(hours=24)
LOOKS_PER_TURN = 50
TURN_WITHIN_S = 30.0
RUN_WITHIN_S = 60.0
PACE_S = 0.1
LONG_ANSWER = 20
"""Interpretation: Voke's default page. A shorter list is the whole log."""

Pause = Callable[[float], object]


@dataclass(frozen=True, kw_only=True)
class LogReader:
    """How Voke is asked. `pause` waits so many seconds; `timer` counts seconds."""

    timeout_s: float
    pause: Pause = threading.Event().wait
    timer: Callable[[], float] = monotonic

    def limits(self) -> RestLimits:
        """Of one request."""
        return RestLimits(connect_s=self.timeout_s, read_s=self.timeout_s, total_s=2 * self.timeout_s)


def read_logs(*, at: datetime, rules: DiagnosisRules, reader: LogReader) -> int:
    """Tick: ask the logs of all connections on which looks are due; answers how many commands were looked for."""
    began, handled = reader.timer(), 0
    for connection_id in connections_to_ask(at=at):
        if reader.timer() - began > RUN_WITHIN_S:
            break
        looks = claim_looks(connection_id=connection_id, at=at, rules=rules, limit=LOOKS_PER_TURN)
        if not looks:
            continue
        now = at + timedelta(seconds=reader.timer() - began)
        told = _turn(connection_id, looks, at=now, reader=reader)
        record_looks(told=told, at=at + timedelta(seconds=reader.timer() - began), rules=rules)
        handled += len(looks)
    return handled


def _turn(connection_id: int, looks: Sequence[LogLook], *, at: datetime, reader: LogReader) -> list[LogTold]:
    try:
        connection = Connection.objects.defer("amqps_uri", "signing_key").get(pk=connection_id)
        key = str(connection.api_key or "")
    except UndecryptableSecret as error:
        found = _open("SECRET_UNREADABLE", said("the API key %(error)s", error=told_by(error)))
        return [LogTold(look=look, findings=(found,)) for look in looks]
    with VokeRest(base_url=connection.rest_base_url, api_key=key, limits=reader.limits()) as rest:
        return _ask_sites(rest, looks, at=at, reader=reader)


def _ask_sites(rest: VokeRest, looks: Sequence[LogLook], *, at: datetime, reader: LogReader) -> list[LogTold]:
    began = reader.timer()
    told: list[LogTold] = []
    failed: RestError | None = None
    for number, (site_id, of_site) in enumerate(_by_site(looks)):
        if failed is not None or reader.timer() - began > TURN_WITHIN_S:
            told += [_failed(look, failed) for look in of_site]
            continue
        if number:
            reader.pause(PACE_S)
        try:
            commands = rest.site_commands(str(site_id))
        except (RestNotFound, RestGarbled) as error:  # about this site only
            told += [_failed(look, error) for look in of_site]
        except RestError as error:
            log.warning("command log not read", action="diagnosis.rest", code=error.code)
            failed = error
            told += [_failed(look, error) for look in of_site]
        else:
            now = at + timedelta(seconds=reader.timer() - began)
            clock = _clock(rest.told_at, now)
            told += [
                LogTold(look=look, findings=(log_finding(look, commands, at=now), *clock)) for look in of_site
            ]
    return told


def _by_site(looks: Iterable[LogLook]) -> list[tuple[UUID | None, list[LogLook]]]:
    sites: dict[UUID | None, list[LogLook]] = {}
    for look in looks:
        sites.setdefault(look.site_id, []).append(look)
    return list(sites.items())


def log_finding(look: LogLook, commands: Sequence[VokeCommand], *, at: datetime) -> Finding:
    """What the log of a site says of one command. Pure."""
    mine = [one for one in commands if _names(one) & look.message_ids]
    if mine:
        return _listed(look, mine)
    if not look.lists_it:
        return _open("NOT_KEPT_THERE", said("Voke's log lists commands, not schedules"))
    if at - look.sent_at > LOOKBACK:
        return _open("TOO_OLD", said("it was sent before what the log goes back to (24 h)"))
    moments = [one.received_at for one in commands if one.received_at is not None]
    if len(commands) >= LONG_ANSWER and moments and min(moments) > look.sent_at:
        words = said(
            "the log's %(count)s commands are all younger: it does not go back far enough",
            count=len(commands),
        )
        return _open("DOES_NOT_REACH_BACK", words)
    words = said("read, and it is not among its %(count)s commands", count=len(commands))
    return Finding(check=Check.LOG, result=Result.WRONG, code=UNKNOWN, saw=words)


def _names(one: VokeCommand) -> frozenset[str]:
    return frozenset(text.casefold() for text in (one.message_id, one.correlation_id) if text)


def _listed(look: LogLook, mine: Sequence[VokeCommand]) -> Finding:
    """An emergency may be listed more than once: the one that Voke has judged counts."""
    one = next((each for each in mine if each.status in JUDGED), mine[0])
    executed = look.silence is Silence.NO_EXECUTION
    word = one.execution_status if executed else one.status
    listed = said("listed as %(status)s", status=one.status or said("received"))
    parts = [
        joined(" ", [listed, f"({one.rejection_code})"]) if one.rejection_code else listed,
        said("execution %(status)s", status=one.execution_status)
        if one.execution_status
        else said("no execution"),
    ]
    if one.received_at:
        parts.append(said("received %(at)s", at=f"{one.received_at:%Y-%m-%d %H:%M:%S}Z"))
    return Finding(check=Check.LOG, result=Result.FINE, code=KNOWN, saw=joined(", ", parts), word=word[:40])


def _failed(look: LogLook, error: RestError | None) -> LogTold:
    if error is None:
        return LogTold(
            look=look, findings=(_open("NOT_REACHED", said("there was no time left to ask")),), again=True
        )
    status = [str(error.status)] if error.status else []
    found = _open(error.code, said("not read: %(why)s", why=joined(" ", [*status, told_by(error)])))
    return LogTold(look=look, findings=(found,), again=not error.permanent)


def _open(code: str, saw: Said) -> Finding:
    return Finding(check=Check.LOG, result=Result.OPEN, code=code, saw=saw)


def _clock(told_at: datetime | None, now: datetime) -> tuple[Finding, ...]:
    """Our clock against the answer's Date: no queue stands between, so it is the better witness."""
    if told_at is None:
        return ()
    return (clock_finding(skews_ms={"REST": int((now - told_at).total_seconds() * 1000)}),)
