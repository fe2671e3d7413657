"""What happens by the clock: every periodic step of the platform, in one table.

Celery beat runs them in full mode, one thread in embedded mode. Each is idempotent and safe to overlap; an advisory
lock keeps two workers from doing the same work at the same time. Every run is written down (`watch.models.TickRun`), so
that one that stays away is noticed.
"""

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from dispatch.diagnosis_rules import current_diagnosis_rules
from dispatch.policy import current_policy, current_proof_rules
from dispatch.services.diagnosis import diagnose
from dispatch.services.draining import DrainRules, retire_drained
from dispatch.services.due import DUE_BATCH, queue_due
from dispatch.services.emergency import care_for_undelivered
from dispatch.services.emergency_doubt import watch_latched
from dispatch.services.following import FOLLOW_BATCH, follow_up
from dispatch.services.grading import measuring_rules
from dispatch.services.late import settle_late
from dispatch.services.orders import carry_on
from dispatch.services.overdue import flag_execution_overdue, mark_ack_overdue
from dispatch.services.retention import prune_commands, prune_inbound, prune_notices, prune_outbox
from dispatch.services.retracting import send_due
from dispatch.services.site_config import publish_changed
from dispatch.services.takeover import follow_moved
from dispatch.services.timed import STOP_BATCH, run_timed
from dispatch.services.verification import BATCH as VERIFY_BATCH
from dispatch.services.verification import verify_due
from dispatch.timed_policy import current_timed_policy
from esm.pulse import LAST_SLOW_TICK_KEY, LAST_TICK_KEY
from link.diagnosing import LogReader, read_logs
from link.plan_looks import look_at_plans
from link.site_reports import current_report_options, run_site_reports
from metering.partitions import ROLLUPS
from metering.rules import current_rules
from metering.selectors.holds import held_spans, why_kept
from metering.selectors.meter_facts import current_meter_limits
from metering.services.gaps import keep_ledger
from metering.services.meters import roll_up_meters
from metering.services.periods import learn_periods
from metering.services.rollups import roll_up_telemetry
from people.services.retention import prune_people
from plants.services.alarm_retention import prune_alarms
from plants.services.dead_letters import prune_dead_letters
from plants.services.link_health import prune_link_health
from plants.services.link_spans import prune_spans
from plants.services.partitions import maintain_partitions
from plants.services.readings import trim_recent_bodies
from schedules.policy import current_schedule_policy
from schedules.services.carried_by_us import BATCH as SLOT_BATCH
from schedules.services.carried_by_us import run_due_slots
from schedules.services.finishing import finish_plans, prune_overrides, prune_plans
from schedules.services.override_turns import say_overrides_again
from schedules.services.overrides import BATCH as OVERRIDE_BATCH
from schedules.services.overrides import expire_overrides
from schedules.services.proof import prove_slots_due
from schedules.services.uploads import prune_uploads
from schedules.services.voke_turns import TURNS_BATCH, run_voke_turns
from trading_api.services import prune_journal, prune_updates
from watch.limits import current_limits
from watch.services.deadman import NOTIFIER, WATCHER, watch_all
from watch.services.notify import notify
from watch.services.sending import current_send_options, prune_notifications
from watch.services.ticks import note_tick

MAX_ROUNDS = 50


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One periodic step: its name, how often it runs, and what it does at the instant `at`.

    `slow`: it may take seconds (much work, other people's servers). These have a worker of their own (embedded: a
    thread), so that a due command does not wait for them.
    """

    name: str
    period_s: float
    run: Callable[[datetime], object]
    slow: bool = False


def _queue_due(at: datetime) -> None:
    for _ in range(MAX_ROUNDS):
        if queue_due(at=at) < DUE_BATCH:
            return


def _timed(at: datetime) -> None:
    policy, timed = current_policy(), current_timed_policy()
    for _ in range(MAX_ROUNDS):
        if follow_up(at=at) < FOLLOW_BATCH:
            break
    send_due(at=at, policy=policy)
    for _ in range(MAX_ROUNDS):
        if run_timed(at=at, policy=policy, timed=timed) < STOP_BATCH:
            return


def _retire_drained(at: datetime) -> None:
    rules = DrainRules(
        least=timedelta(seconds=settings.TAKEOVER_DRAIN_S),
        grace=timedelta(seconds=settings.TAKEOVER_GRACE_S),
        # A broker notices after two heartbeats that a process is gone, and gives back what it held.
        gone_after=timedelta(seconds=max(15, 3 * settings.AMQP_HEARTBEAT_S)),
    )
    retire_drained(at=at, rules=rules, policy=current_policy())


def _verification(at: datetime) -> None:
    rules = measuring_rules(current_proof_rules())
    for prove in (verify_due, prove_slots_due):
        for _ in range(MAX_ROUNDS):
            if prove(at=at, rules=rules) < VERIFY_BATCH:
                break


def _overrides(at: datetime) -> None:
    for _ in range(MAX_ROUNDS):
        if expire_overrides(at=at) < OVERRIDE_BATCH:
            break
    say_overrides_again(at=at, policy=current_schedule_policy())


def _plan_slots(at: datetime) -> None:
    policy = current_schedule_policy()
    for _ in range(MAX_ROUNDS):
        if run_due_slots(at=at, policy=policy) < SLOT_BATCH:
            return


def _plan_schedules(at: datetime) -> None:
    for _ in range(MAX_ROUNDS):
        if run_voke_turns(at=at, policy=current_schedule_policy()) < TURNS_BATCH:
            return


def _partitions(at: datetime) -> None:
    maintain_partitions(at=at, retention_days=settings.TELEMETRY_RETENTION_DAYS, why_kept=why_kept)
    maintain_partitions(
        at=at, retention_days=settings.ROLLUP_RETENTION_DAYS, tables=ROLLUPS, why_kept=why_kept
    )


def _commands(at: datetime) -> None:
    keep_days = settings.COMMAND_RETENTION_DAYS
    prune_commands(at=at, keep_days=keep_days)
    prune_outbox(at=at, keep_days=keep_days)
    prune_notices(at=at, keep_days=keep_days)


def _plans(at: datetime) -> None:
    keep_days = settings.PLAN_RETENTION_DAYS
    prune_plans(at=at, keep_days=keep_days)
    prune_overrides(at=at, keep_days=keep_days)
    prune_uploads(at=at)


def _alarms(at: datetime) -> None:
    prune_alarms(at=at, keep_days=settings.ALARM_RETENTION_DAYS, held=held_spans())


def _gaps(at: datetime) -> None:
    keep_ledger(at=at, rules=current_rules(), give_up_after=timedelta(days=settings.GAP_GIVE_UP_DAYS))


def _read_logs(at: datetime) -> None:
    reader = LogReader(timeout_s=settings.DIAGNOSIS_REST_TIMEOUT_S)
    read_logs(at=at, rules=current_diagnosis_rules(), reader=reader)


TICKS: tuple[Tick, ...] = (
    Tick(name="queue_due", period_s=1, run=_queue_due),
    Tick(name="emergency_orders", period_s=1, run=lambda at: carry_on(at=at, policy=current_policy())),
    Tick(name="timed_commands", period_s=1, run=_timed),
    Tick(name="settle_late", period_s=2, run=lambda at: settle_late(at=at, policy=current_policy())),
    Tick(name="ack_overdue", period_s=2, run=lambda at: mark_ack_overdue(at=at)),
    Tick(name="plants_moved", period_s=1, run=lambda at: follow_moved(at=at, policy=current_policy())),
    Tick(name="retire_drained", period_s=10, run=_retire_drained),
    Tick(name="execution_overdue", period_s=5, run=lambda at: flag_execution_overdue(at=at)),
    Tick(name="emergencies", period_s=2, run=lambda at: care_for_undelivered(at=at, policy=current_policy())),
    Tick(name="emergencies_in_doubt", period_s=5, run=lambda at: watch_latched(at=at)),
    Tick(name="overrides", period_s=1, run=_overrides),
    Tick(name="plan_slots", period_s=1, run=_plan_slots),
    Tick(name="plan_schedules", period_s=1, run=_plan_schedules),
    Tick(name="site_config", period_s=2, run=lambda at: publish_changed(at=at, policy=current_policy())),
    Tick(
        name="site_reports",
        period_s=300,
        run=lambda at: run_site_reports(at=at, options=current_report_options()),
        slow=True,
    ),
    Tick(
        name="plan_reconcile",
        period_s=60,
        run=lambda at: look_at_plans(at=at, options=current_report_options()),
        slow=True,
    ),
    Tick(name="partitions", period_s=600, run=_partitions, slow=True),
    Tick(
        name="rollups",
        period_s=5,
        run=lambda at: roll_up_telemetry(at=at, rules=current_rules()),
        slow=True,
    ),
    Tick(
        name="stream_periods",
        period_s=3600,
        run=lambda at: learn_periods(at=at, rules=current_rules()),
        slow=True,
    ),
    Tick(
        name="meter_rollups",
        period_s=30,
        run=lambda at: roll_up_meters(at=at, rules=current_rules(), limits=current_meter_limits()),
        slow=True,
    ),
    Tick(name="recent_bodies", period_s=60, run=lambda _at: trim_recent_bodies(), slow=True),
    Tick(
        name="inbound",
        period_s=300,
        run=lambda at: prune_inbound(at=at, keep_days=settings.INBOX_RETENTION_DAYS),
        slow=True,
    ),
    Tick(name="gaps", period_s=30, run=_gaps, slow=True),
    Tick(name="command_retention", period_s=300, run=_commands, slow=True),
    Tick(name="plans_done", period_s=60, run=lambda at: finish_plans(at=at)),
    Tick(name="plan_retention", period_s=300, run=_plans, slow=True),
    Tick(name="alarm_retention", period_s=3600, run=_alarms, slow=True),
    Tick(name="link_health", period_s=60, run=lambda at: prune_link_health(at=at)),
    Tick(name="link_spans", period_s=600, run=lambda at: prune_spans(at=at)),
    Tick(name="dead_letters", period_s=300, run=lambda at: prune_dead_letters(at=at), slow=True),
    Tick(
        name="journal",
        period_s=300,
        run=lambda at: prune_journal(at=at, keep_days=settings.TRADING_JOURNAL_RETENTION_DAYS),
        slow=True,
    ),
    Tick(
        name="config_updates",
        period_s=300,
        run=lambda at: prune_updates(at=at, keep_days=settings.TRADING_JOURNAL_RETENTION_DAYS),
        slow=True,
    ),
    Tick(name="verification", period_s=10, run=_verification, slow=True),
    Tick(name="diagnosis", period_s=5, run=lambda at: diagnose(at=at, rules=current_diagnosis_rules())),
    Tick(name="diagnosis_rest", period_s=10, run=_read_logs, slow=True),
    Tick(
        name=WATCHER, period_s=15, run=lambda at: watch_all(periods=PERIODS, at=at, limits=current_limits())
    ),
    Tick(
        name=NOTIFIER,
        period_s=10,
        run=lambda at: notify(at=at, product=settings.PRODUCT_NAME, options=current_send_options()),
        slow=True,
    ),
    Tick(
        name="notifications",
        period_s=300,
        run=lambda at: prune_notifications(at=at, keep_days=settings.NOTIFY_RETENTION_DAYS),
    ),
    Tick(name="people", period_s=3600, run=lambda at: prune_people(at=at), slow=True),
)
BY_NAME = {tick.name: tick for tick in TICKS}
PERIODS = {tick.name: tick.period_s for tick in TICKS}


def run_tick(name: str, *, at: datetime) -> bool:
    """Run one tick unless another process runs it right now; answers whether it ran."""
    with _exclusive(name) as mine:
        if mine:
            with structlog.contextvars.bound_contextvars(tick=name):
                _run_noted(BY_NAME[name], at)
            cache.set(LAST_SLOW_TICK_KEY if BY_NAME[name].slow else LAST_TICK_KEY, at, timeout=3600)
        return mine


def _run_noted(tick: Tick, at: datetime) -> None:
    began = time.monotonic()
    try:
        tick.run(at)
    except Exception as error:
        note_tick(name=tick.name, started_at=at, duration_s=time.monotonic() - began, error=error)
        raise
    note_tick(name=tick.name, started_at=at, duration_s=time.monotonic() - began)


@contextmanager
def _exclusive(name: str) -> Iterator[bool]:
    """A session-level advisory lock on PostgreSQL; on SQLite there is one process and one tick thread."""
    if connection.vendor != "postgresql":
        yield True
        return
    key = zlib.crc32(f"tick:{name}".encode())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
