"""Asks Voke's REST what is in force at the plants, within bounds, and hands each answer on.

A run asks the plants of every connection whose key may read, those first that were asked longest ago, each connection
in a turn of its own: so many plants, so long, with a pause between two requests. Turns run side by side; a host that is
slow or does not answer uses up its own turn and nobody else's. Only the calling thread uses the database, and holds no
transaction open while a request is under way.

Edge cases (the concurrency policy):
- What fails is told with its code at the plant that was asked for. What is wrong with the whole connection (the host is
  away, the key is not known) ends its turn: the plants of that handful are told the same code unasked.
- A run that is out of time gives the questions back that it did not put.
- Each stored answer goes to every hook once; a hook that fails is logged and stops neither the others nor the run.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

import structlog
from django.conf import settings
from django.db.models import F, Max, Q

from dispatch.models import SiteReport
from dispatch.services.bulk import Among
from dispatch.services.site_reports import (
    Answer,
    Question,
    ask_next,
    ask_now,
    give_back,
    store_answers,
)
from link.rest import (
    RestError,
    RestGarbled,
    RestLimits,
    RestNotFound,
    RestRejected,
    Retries,
    VokeRest,
)
from plants.encryption import UndecryptableSecret
from plants.errors import Conflict
from plants.models import Connection, Plant
from plants.selectors.connections import SECRET_FIELDS
from schedules.services.reconcile import compare
from vcp.said import said

log = structlog.get_logger(__name__)
READ_SCOPE = "vcp:read"
SECRET_UNREADABLE = "SECRET_UNREADABLE"  # noqa: S105 - a code
_HANDFUL = 20
_MOST_CONNECTIONS = 1_000
_FAILURES_IN_A_ROW = 2
_OF_ONE_SITE = (RestNotFound, RestRejected, RestGarbled)

Hook = Callable[[Plant, SiteReport, datetime], object]
HOOKS: list[Hook] = [compare]
"""Called once with every answer that was stored: the plant, its report, the instant of the run."""


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """`every`: how old a report gets; `grace`: how long a publication may take to show; the rest bounds a run.

    `per_run`: plants of one connection, `pace_s`: between two of its requests, `run_s`: until no more is asked,
    `turn_s`: the same of one connection, `side_by_side`: turns at once.
    """

    every: timedelta = timedelta(seconds=300)
    grace: timedelta = timedelta(seconds=120)
    per_run: int = 500
    pace_s: float = 0.05
    turn_s: float = 20.0
    run_s: float = 20.0
    side_by_side: int = 4
    limits: RestLimits = field(
        default_factory=lambda: RestLimits(connect_s=5.0, read_s=5.0, total_s=10.0, bytes=512 * 1024)
    )
    retries: Retries = field(default_factory=lambda: Retries(attempts=3, most_s=5.0, within_s=10.0))


def current_report_options() -> ReportOptions:
    """The options of this installation's settings."""
    return ReportOptions(
        every=timedelta(seconds=settings.SITE_REPORT_EVERY_S),
        grace=timedelta(seconds=settings.DRIFT_GRACE_S),
        per_run=settings.SITE_REPORTS_PER_RUN,
        pace_s=settings.SITE_REPORT_PACE_MS / 1000,
        turn_s=settings.SITE_REPORT_BUDGET_S,
        run_s=settings.SITE_REPORT_BUDGET_S,
    )


def run_site_reports(*, at: datetime, options: ReportOptions, among: Collection[int] | None = None) -> int:
    """Tick: ask for what is due; answers how many reports were stored, failed ones included. `every` 0 = never.

    `among`: ask about these plants only; None = about all.
    """
    return 0 if not options.every else _Run(at=at, options=options, among=among).all()


def fetch(*, plant: Plant, at: datetime, options: ReportOptions) -> SiteReport:
    """Ask about one plant now, and keep the answer; what failed is in the report's `error_code`.

    Raises `Conflict` when it can't be asked: no connection, no REST address, its UUID at Voke is not known.
    """
    connection = _connection_of(plant)
    question = ask_now(plant=plant, at=at)
    turn = _Turn(connection, options, stop=threading.Event())
    try:
        answers = turn.ask([question])
    finally:
        turn.close()
    reports = store_answers(answers=answers, at=at, grace=options.grace)
    _hand_on(reports, at)
    return reports[0] if reports else SiteReport.objects.get(plant=plant)


def client_of(connection: Connection, options: ReportOptions, *, pause: Callable[[float], bool]) -> VokeRest:
    """A client with the connection's key. Raises `UndecryptableSecret`."""
    return VokeRest(
        base_url=connection.rest_base_url,
        api_key=str(connection.api_key or ""),
        limits=options.limits,
        retries=options.retries,
        pause=pause,
        rng=random.Random(),  # noqa: S311 - jitter
    )


def _connection_of(plant: Plant) -> Connection:
    rows = Connection.objects.defer(*SECRET_FIELDS).filter(plants=plant)
    connection = rows.first()
    if connection is None:
        raise Conflict(said("the plant has no connection to Voke"), path="connection", code="NOT_CONNECTED")
    if not connection.rest_base_url:
        raise Conflict(
            said("its connection names no REST address"), path="rest_base_url", code="REST_NOT_SET"
        )
    return connection


def askable_connections(among: Collection[int] | None = None) -> list[Connection]:
    """Connections in use whose key may read over REST as far as we know; those first whose plants were asked longest
    ago. `among`: those of these plants only.
    """
    chosen = Q() if among is None else Q(Among(among, of="plants__pk"))
    rows = (
        Connection.objects.defer(*SECRET_FIELDS)
        .filter(chosen, retired_at__isnull=True, succeeded_by__isnull=True, plants__voke_uuid__isnull=False)
        .exclude(rest_base_url="")
        .annotate(last_asked_at=Max("plants__site_report__asked_at"))
        .order_by(F("last_asked_at").asc(nulls_first=True), "pk")
    )
    return [row for row in rows[:_MOST_CONNECTIONS] if not row.scopes or READ_SCOPE in row.scopes]


class _Turn:
    """One connection's turn in a run: what it asks, and when it is over. Asks in any thread, one at a time."""

    def __init__(self, connection: Connection, options: ReportOptions, *, stop: threading.Event) -> None:
        self.connection_id = connection.pk
        self.left = options.per_run
        self._options, self._stop = options, stop
        self._until = monotonic() + options.turn_s
        self._failures = 0
        self._broken = ""
        self._rest: VokeRest | None = None
        try:
            self._rest = client_of(connection, options, pause=stop.wait)
        except UndecryptableSecret:
            self._broken = SECRET_UNREADABLE

    @property
    def is_over(self) -> bool:
        """Whether nothing more should be asked in this run."""
        return bool(self._broken) or self.left <= 0 or self._stop.is_set() or monotonic() > self._until

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Put the questions one after the other, as long as there is time; the answers to those that were put."""
        answers: list[Answer] = []
        for question in questions:
            if not self._broken and (self._stop.is_set() or monotonic() > self._until):
                break
            answers.append(self._one(question))
            if not self._broken and len(answers) < len(questions):
                self._stop.wait(self._options.pace_s)
        return answers

    def _one(self, question: Question) -> Answer:
        if self._broken or self._rest is None:
            return Answer(question=question, error_code=self._broken)
        try:
            told = self._rest.site_config(question.site_id)
        except RestError as error:
            self._note(error)
            return Answer(question=question, error_code=error.code)
        self._failures = 0
        return Answer(question=question, payload=told.raw, config=told.config())

    def _note(self, error: RestError) -> None:
        if isinstance(error, _OF_ONE_SITE):
            self._failures = 0
            return
        self._failures += 1
        if error.permanent or self._failures >= _FAILURES_IN_A_ROW:
            self._broken = error.code

    def close(self) -> None:
        """Close its connections; tells in the log why it ended early."""
        if self._rest is not None:
            self._rest.close()
        if self._broken:
            log.warning(
                "voke's rest does not answer a connection",
                action="site_reports.broken",
                connection_id=self.connection_id,
                code=self._broken,
            )


class _Run:
    """One run over all connections."""

    def __init__(self, *, at: datetime, options: ReportOptions, among: Collection[int] | None) -> None:
        self._at, self._options, self._among = at, options, among
        self._stop = threading.Event()
        self._ends = monotonic() + options.run_s
        self._stored = 0
        self._running: dict[Future[list[Answer]], tuple[_Turn, list[Question]]] = {}

    def all(self) -> int:
        """Every connection's turn; answers how many reports were stored."""
        waiting = deque(askable_connections(self._among))
        with ThreadPoolExecutor(self._options.side_by_side, thread_name_prefix="site-reports") as pool:
            try:
                self._begin(waiting, pool)
                while self._running:
                    done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._take(future, pool)
                    self._begin(waiting, pool)
            finally:
                self._stop.set()
                self._abandon()
        return self._stored

    def _begin(self, waiting: deque[Connection], pool: ThreadPoolExecutor) -> None:
        while waiting and len(self._running) < self._options.side_by_side and monotonic() < self._ends:
            self._go_on(_Turn(waiting.popleft(), self._options, stop=self._stop), pool)

    def _go_on(self, turn: _Turn, pool: ThreadPoolExecutor) -> None:
        """The turn's next handful, or its end."""
        questions = ask_next(
            connection_id=turn.connection_id,
            at=self._at,
            every=self._options.every,
            limit=min(_HANDFUL, turn.left),
            among=self._among,
        )
        if not questions:
            turn.close()
            return
        turn.left -= len(questions)
        self._running[pool.submit(turn.ask, questions)] = (turn, questions)

    def _take(self, future: Future[list[Answer]], pool: ThreadPoolExecutor) -> None:
        turn, questions = self._running.pop(future)
        try:
            answers = future.result()
        except Exception:
            # An answer that we did not foresee ends this connection's turn, not those of the others.
            log.exception("a turn failed", action="site_reports.turn", connection_id=turn.connection_id)
            turn.close()
            return
        put = {answer.question.plant_id for answer in answers}
        give_back(questions=[one for one in questions if one.plant_id not in put])
        reports = store_answers(answers=answers, at=self._at, grace=self._options.grace)
        self._stored += len(reports)
        _hand_on(reports, self._at)
        if turn.is_over or monotonic() > self._ends:
            turn.close()
        else:
            self._go_on(turn, pool)

    def _abandon(self) -> None:
        """After an error of the database: nothing is left open."""
        for turn, _ in self._running.values():
            turn.close()


def _hand_on(reports: Sequence[SiteReport], at: datetime) -> None:
    told = [report for report in reports if not report.error_code]
    if not told or not HOOKS:
        return
    plants = Plant.objects.select_related("organisation").in_bulk([report.plant_id for report in told])
    for report in told:
        for hook in HOOKS:
            try:
                hook(plants[report.plant_id], report, at)
            except Exception:
                log.exception("a report's hook failed", action="site_reports.hook", plant_id=report.plant_id)
