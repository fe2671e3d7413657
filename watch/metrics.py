"""What the database tells about the platform's health, as Prometheus families: a handful of bounded queries.

A scraper must not be able to hurt: every part has a statement timeout, reads no more than a fixed number of the newest
rows, and what was gathered is kept for a few seconds (`DatabaseCollector`). A part that fails is missing and told as
`esm_database_part_up 0`; the others stand.

Ages and not instants: an alert can be written without knowing whose clock is meant. Labels are bounded: connections,
organisations, states, stable codes; never a plant, a command or a text of the far side. Several processes may show
these numbers, all the same: take `max`, never `sum`, over instances.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Max, Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dispatch.models import IN_ORDER, PLACE, Command, EmergencyLatch, OutboundMessage, Outcome
from plants.bounded import bounded_statements
from plants.models import Alarm, Connection, DeadLetter, LinkState
from plants.selectors.link_health import ConnectionHealth, connection_health, watched_connections
from trading_api.models import Credential, PullJournal
from watch.bounded import ask_database
from watch.metrics_rollups import rollups
from watch.metrics_silence import diagnoses
from watch.metrics_steps import step_seconds
from watch.models import Notification, Severity, TickRun

log = structlog.get_logger(__name__)
Clock = Callable[[], datetime]
Families = Iterable[Metric]

NEWEST_COMMANDS = 100_000
NEWEST_LETTERS = 50_000
NEWEST_PULLS = 20_000
MOST_PENDING = 10_000
MOST_ALARMS = 10_000
MOST_ROWS = 1000
PULLS_OF = timedelta(minutes=5)
NOTIFICATIONS_OF = timedelta(hours=24)
STATEMENT_TIMEOUT_MS = 1000
GATHER_WITHIN_S = 4.0
DATABASE_WAIT_S = 2.0
KEEP_S = 5.0
_CONNECTION = ("connection", "connection_id")
_TROUBLE = (DatabaseError, InterfaceError)


# --- connections ------------------------------------------------------------------------------------------------------


def links(at: datetime) -> Families:
    """State of each connection, of the halves of its link and of its streams."""
    rows = list(watched_connections().select_related("organisation"))
    health = connection_health(connections=rows, at=at)
    info = GaugeMetricFamily(
        "esm_connection_info", "A connection.", labels=(*_CONNECTION, "organisation", "mode")
    )
    for row in rows:
        info.add_metric((row.name, str(row.pk), row.organisation.slug, row.mode), 1)
    told = [((row.name, str(row.pk)), health[row.pk]) for row in rows]
    return [info, *_halves(told, at), *_streams(told, at)]


def _halves(told: Sequence[tuple[tuple[str, str], ConnectionHealth]], at: datetime) -> Families:
    state = GaugeMetricFamily(
        "esm_link_state",
        "1 for the state of a half of the link (role PUBLISH or CONSUME), or of the whole (ANY), 0 for the others.",
        labels=(*_CONNECTION, "role", "state"),
    )
    since = GaugeMetricFamily(
        "esm_link_state_age_seconds",
        "Since when a half of the link, or the whole, is in its state.",
        labels=(*_CONNECTION, "role"),
    )
    processes = GaugeMetricFamily(
        "esm_link_processes",
        "Processes that vouch for a half of the link now.",
        labels=(*_CONNECTION, "role"),
    )
    for where, one in told:
        halves = [half for half in (one.publish, one.consume) if half.expected]
        for half in halves:
            processes.add_metric((*where, half.role.value), half.processes)
        judged = [(half.role.value, half.state, half.since) for half in halves]
        for role, now, changed in [*judged, ("ANY", one.state, one.since)]:
            for each in LinkState:
                state.add_metric((*where, role, each.value), float(each == now))
            if changed is not None:
                since.add_metric((*where, role), _age_s(changed, at))
    return state, since, processes


def _streams(told: Sequence[tuple[tuple[str, str], ConnectionHealth]], at: datetime) -> Families:
    last = GaugeMetricFamily(
        "esm_stream_last_message_age_seconds",
        "Since a stream's last message arrived; absent when none ever did.",
        labels=(*_CONNECTION, "stream"),
    )
    skew = GaugeMetricFamily(
        "esm_stream_clock_skew_seconds",
        "Our clock at arrival minus the envelope's timestamp, recent median; Voke drops commands beyond 300.",
        labels=(*_CONNECTION, "stream"),
    )
    for where, one in told:
        for stream in one.streams:
            if stream.last_at is not None:
                last.add_metric((*where, stream.stream.value), _age_s(stream.last_at, at))
            if stream.skew_ms is not None:
                skew.add_metric((*where, stream.stream.value), stream.skew_ms / 1000)
    return last, skew


def outbox(at: datetime) -> Families:
    """What waits to be published."""
    waiting = GaugeMetricFamily(
        "esm_outbox_messages",
        f"Messages that wait in the outbox, counted up to {MOST_PENDING} in all.",
        labels=_CONNECTION,
    )
    oldest = GaugeMetricFamily(
        "esm_outbox_oldest_age_seconds", "Age of the oldest message that waits; 0 = none.", labels=_CONNECTION
    )
    names = _names()
    pending = OutboundMessage.objects.filter(IN_ORDER, outcome=Outcome.PENDING).order_by(
        "connection_id", "-urgent", PLACE
    )
    found: dict[int, list[datetime]] = {}
    for connection_id, made_at in pending.values_list("connection_id", "made_at")[:MOST_PENDING]:
        found.setdefault(connection_id, []).append(made_at)
    for connection_id, where in names.items():
        made = found.get(connection_id, [])
        waiting.add_metric(where, len(made))
        oldest.add_metric(where, _age_s(min(made), at) if made else 0.0)
    return waiting, oldest


def letters(_at: datetime) -> Families:
    """Dead letters that somebody should look at."""
    family = GaugeMetricFamily(
        "esm_dead_letters_open",
        f"Dead letters that nobody has settled, by reason, among the newest {NEWEST_LETTERS}.",
        labels=(*_CONNECTION, "reason"),
    )
    times = GaugeMetricFamily(
        "esm_dead_letters_open_deliveries",
        "How often they arrived in all.",
        labels=(*_CONNECTION, "reason"),
    )
    names = _names()
    rows = DeadLetter.objects.filter(pk__gt=_newest(DeadLetter) - NEWEST_LETTERS, state="OPEN").order_by()
    counted = rows.values_list("connection_id", "reason").annotate(number=Count("pk"), arrived=Sum("count"))
    for connection_id, reason, number, arrived in counted[:MOST_ROWS]:
        where = names.get(connection_id, ("", str(connection_id)))
        family.add_metric((*where, reason), number)
        times.add_metric((*where, reason), arrived)
    return family, times


# --- commands ---------------------------------------------------------------------------------------------------------


def commands(_at: datetime) -> Families:
    """Commands by state, plants that an emergency holds, and how long commands lately took from step to step."""
    by_state = GaugeMetricFamily(
        "esm_commands",
        f"Commands by their state, among the newest {NEWEST_COMMANDS}.",
        labels=(*_CONNECTION, "state"),
    )
    names = _names()
    rows = Command.objects.filter(pk__gt=_newest(Command) - NEWEST_COMMANDS).order_by()
    for connection_id, state, number in rows.values_list("connection_id", "state").annotate(
        number=Count("pk")
    ):
        by_state.add_metric((*names.get(connection_id, ("", str(connection_id))), state), number)
    latched = EmergencyLatch.objects.filter(released_at__isnull=True).order_by()[:MOST_ROWS].count()
    held = GaugeMetricFamily(
        "esm_plants_latched", "Plants that an emergency holds until a person releases them.", value=latched
    )
    return by_state, held


def steps(at: datetime) -> Families:
    """How long commands took lately: from the rows, so whoever did the step."""
    seconds = GaugeMetricFamily(
        "esm_command_step_seconds",
        "How long commands of the last 10 minutes took: asked_to_signed (from when they were due), signed_to_sent"
        " (the broker's confirm), sent_to_ack, ack_to_execution; quantile 1 = the longest.",
        labels=("step", "quantile"),
    )
    number = GaugeMetricFamily(
        "esm_command_step_commands", "Commands that the quantiles are made of.", labels=("step",)
    )
    for step in step_seconds(at=at):
        number.add_metric((step.name,), step.count)
        for quantile, value in step.quantiles.items():
            seconds.add_metric((step.name, quantile), value)
    return seconds, number


# --- the reverse channel, alarms, ticks -----------------------------------------------------------------------------


def pulls(at: datetime) -> Families:
    """What Voke asked for lately, whichever web process answered it."""
    family = GaugeMetricFamily(
        "esm_recent_pulls",
        "Requests of the reverse channel in the journal of the last 5 minutes.",
        labels=("endpoint", "status"),
    )
    recent = PullJournal.objects.filter(at__gte=at - PULLS_OF, pk__gt=_newest(PullJournal) - NEWEST_PULLS)
    counted = recent.order_by().values_list("endpoint", "status").annotate(number=Sum("count"))
    for endpoint, status, number in counted[:MOST_ROWS]:
        family.add_metric((endpoint, str(status)), number)
    token = GaugeMetricFamily(
        "esm_last_token_age_seconds",
        "Since Voke last fetched a token for an organisation.",
        labels=("organisation",),
    )
    used = Credential.objects.filter(enabled=True, last_token_at__isnull=False).order_by()
    newest = used.values_list("organisation__slug").annotate(last=Max("last_token_at"))
    for slug, last in newest[:MOST_ROWS]:
        token.add_metric((slug,), _age_s(last, at))
    return family, token


def alarms(_at: datetime) -> Families:
    """Alarms that stand."""
    family = GaugeMetricFamily(
        "esm_alarms_open",
        f"Alarms that are not cleared, by origin and severity (unknown ones as OTHER), up to {MOST_ALARMS}.",
        labels=("origin", "severity"),
    )
    tally: dict[tuple[str, str], int] = {}
    rows = Alarm.objects.filter(cleared_at__isnull=True).order_by().values_list("origin", "severity")
    for origin, severity in rows[:MOST_ALARMS]:
        known = severity if severity in Severity.values else "OTHER"
        tally[origin, known] = tally.get((origin, known), 0) + 1
    for labels, number in sorted(tally.items()):
        family.add_metric(labels, number)
    return (family,)


def ticks(at: datetime) -> Families:
    """What happens by the clock, whichever worker did it."""
    runs = CounterMetricFamily("esm_tick_runs", "Runs of a tick.", labels=("tick",))
    failures = CounterMetricFamily("esm_tick_failures", "Runs of a tick that failed.", labels=("tick",))
    took = GaugeMetricFamily("esm_tick_last_duration_seconds", "Of the last run.", labels=("tick",))
    age = GaugeMetricFamily(
        "esm_tick_age_seconds", "Since a tick last did its work, or should have begun to.", labels=("tick",)
    )
    for row in TickRun.objects.order_by("name")[:MOST_ROWS]:
        runs.add_metric((row.name,), row.runs)
        failures.add_metric((row.name,), row.failures)
        if row.duration_s is not None:
            took.add_metric((row.name,), row.duration_s)
        age.add_metric((row.name,), _age_s(row.finished_at or row.since, at))
    return runs, failures, took, age


def notifications(at: datetime) -> Families:
    """What people were told, and what could not be told."""
    family = GaugeMetricFamily(
        "esm_recent_notifications", "Notifications made in the last 24 hours, by state.", labels=("state",)
    )
    recent = Notification.objects.filter(made_at__gte=at - NOTIFICATIONS_OF).order_by()
    for state, number in recent.values_list("state").annotate(number=Count("pk")):
        family.add_metric((state,), number)
    return (family,)


PARTS: Mapping[str, Callable[[datetime], Families]] = {
    "links": links,
    "outbox": outbox,
    "rollups": rollups,
    "letters": letters,
    "commands": commands,
    "diagnoses": diagnoses,
    "steps": steps,
    "pulls": pulls,
    "alarms": alarms,
    "ticks": ticks,
    "notifications": notifications,
}


# --- the collector ----------------------------------------------------------------------------------------------------


class DatabaseCollector(Collector):
    """Gathers all parts at most every `keep_s` seconds, in one thread at a time; others are given what is known.

    `monotonic` is injectable for tests.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        parts: Mapping[str, Callable[[datetime], Families]] = PARTS,
        keep_s: float = KEEP_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._parts = parts
        self._keep_s = keep_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: Sequence[Metric] = ()
        self._gathered_at: float | None = None

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of the last gathering, a new one when it is older than `keep_s`."""
        with self._lock:
            began = self._monotonic()
            if self._gathered_at is None or began - self._gathered_at >= self._keep_s:
                self._known = self._gather()
                self._gathered_at = self._monotonic()
            known = self._known
        yield from known

    def _gather(self) -> Sequence[Metric]:
        at, began = self._clock(), self._monotonic()
        up = GaugeMetricFamily(
            "esm_database_part_up", "1 = this part of the database's numbers was gathered.", labels=("part",)
        )
        found: list[Metric] = []
        there = _database_answers()
        for name, part in self._parts.items():
            in_time = there and self._monotonic() - began < GATHER_WITHIN_S
            families = self._ask(name, part, at) if in_time else None
            up.add_metric((name,), 0.0 if families is None else 1.0)
            found += families or []
        took = GaugeMetricFamily(
            "esm_database_gather_seconds", "What the numbers took.", value=self._monotonic() - began
        )
        return [*found, up, took]

    def _ask(self, name: str, part: Callable[[datetime], Families], at: datetime) -> Sequence[Metric] | None:
        try:
            with bounded_statements(timeout_ms=STATEMENT_TIMEOUT_MS):
                return list(part(at))
        except _TROUBLE as error:
            log.warning("metrics not gathered", action="metrics.part", part=name, error=type(error).__name__)
            return None


def _database_answers() -> bool:
    try:
        ask_database(wait_s=DATABASE_WAIT_S)
    except _TROUBLE as error:
        log.warning("database unavailable", action="metrics.database", error=type(error).__name__)
        return False
    return True


def _names() -> dict[int, tuple[str, str]]:
    """{connection id: its labels}, retired ones too: their commands stay."""
    rows = Connection.objects.order_by("-pk").values_list("pk", "name")[:MOST_ROWS]
    return {pk: (name, str(pk)) for pk, name in rows}


def _newest(model: type[Command] | type[DeadLetter] | type[PullJournal]) -> int:
    newest: int | None = model._default_manager.aggregate(newest=Max("pk"))["newest"]
    return newest or 0


def _age_s(then: datetime, at: datetime) -> float:
    return max(0.0, (at - then).total_seconds())
