"""Evaluates the dead-man rules and keeps their alarms: raised once, kept up to date, cleared when it is over.

Edge cases (the concurrency policy):
- The tick and the guards of relay and consumer may judge the ticks at the same moment: suspicions are inserted with
  ON CONFLICT DO NOTHING, and raising or clearing an alarm twice is the same as once (`plants.services.alarms`).
- An evaluation that ends half-way leaves nothing: suspicions and alarms change in one transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import structlog
from django.db import transaction

from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from watch.deadman import RULES, TICK_CODES, TICK_RULES, Decision, Finding, Known, decide, findings
from watch.facts import Facts
from watch.limits import Limits
from watch.models import Suspicion
from watch.selectors import gather, never_ran, tick_facts
from watch.services.meters import note_meter_rows
from watch.services.ticks import begin_watch

log = structlog.get_logger(__name__)
WATCHER = "deadman"
"""The name of the tick that calls `watch_all`."""

NOTIFIER = "notify"
"""The name of the tick that tells people."""


def watch_all(*, periods: Mapping[str, float], at: datetime, limits: Limits) -> Decision:
    """Every rule once; `periods`: name of each tick -> its period in seconds."""
    begin_watch(names=periods, watcher=WATCHER, at=at)
    note_meter_rows(at=at)
    facts = gather(periods=periods, at=at, limits=limits)
    return _apply(findings(RULES, facts, at=at, limits=limits), codes=None, at=at, limits=limits)


def watch_ticks(*, periods: Mapping[str, float], not_before: datetime, at: datetime, limits: Limits) -> bool:
    """The rules about ticks alone, for processes that live on when the worker does not; two queries when all is well.

    `not_before`: when the caller began to look; what was silent before may be starting now. True when the tick that
    sends notifications stands still: the caller must send them. Where no tick ever ran (a new installation whose worker
    was forgotten) all of them count as silent since then.
    """
    ticks = tick_facts(periods=periods, not_before=not_before)
    facts = Facts(ticks=ticks or never_ran(periods=periods, since=not_before))
    found = findings(TICK_RULES, facts, at=at, limits=limits)
    _apply(found, codes=TICK_CODES, at=at, limits=limits)
    return any(one.key in {"TICKS_SILENT", f"TICK_OVERDUE:{NOTIFIER}"} for one in found)


def _apply(
    found: Sequence[Finding], *, codes: Collection[str] | None, at: datetime, limits: Limits
) -> Decision:
    rows = Suspicion.objects.all() if codes is None else Suspicion.objects.filter(code__in=codes)
    stored = {row.key: row for row in rows}
    known = {key: _known(row) for key, row in stored.items()}
    decision = decide(known, found, at=at, limits=limits)
    with transaction.atomic():
        _write(decision, stored, at)
    for one in decision.tell:
        log.warning("dead man's alarm", action="watch.raised", alarm=one.key, code=one.code)
    for key in decision.clear:
        log.info("over", action="watch.cleared", alarm=key)
    return decision


def _known(row: Suspicion) -> Known:
    said = None if row.raised_at is None else (row.code, row.severity, row.message)
    return Known(key=row.key, first_at=row.first_at, last_at=row.last_at, said=said)


def _write(decision: Decision, stored: Mapping[str, Suspicion], at: datetime) -> None:
    if decision.begin:
        Suspicion.objects.bulk_create(
            [
                Suspicion(
                    key=one.key, code=one.code, connection_id=one.connection_id, first_at=at, last_at=at
                )
                for one in decision.begin
            ],
            ignore_conflicts=True,
        )
    if decision.touch:
        Suspicion.objects.filter(key__in=decision.touch).update(last_at=at)
    for one in decision.tell:
        _tell(one, at)
    for key in decision.clear:
        clear_platform_alarm(connection_id=stored[key].connection_id, alarm_id=key, at=at)
    if decision.forget:
        Suspicion.objects.filter(key__in=decision.forget).delete()


def _tell(one: Finding, at: datetime) -> None:
    raise_platform_alarm(
        connection_id=one.connection_id,
        plant_id=one.plant_id,
        organisation_id=one.organisation_id,
        alarm_id=one.key,
        severity=one.severity.value,
        code=one.code,
        message=one.message,
        at=at,
    )
    Suspicion.objects.filter(key=one.key).update(
        raised_at=at, code=one.code, severity=one.severity.value, message=one.message
    )
