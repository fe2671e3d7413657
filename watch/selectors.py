"""Gathers what the dead-man rules look at: a fixed number of queries, each over an index or bounded rows."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from dispatch.models import OutboundMessage, Outcome
from dispatch.states import State
from plants.advice import advice
from plants.models import ConnectionMode, DeadLetter, Installation, Organisation
from plants.selectors.link_health import connection_health, watched_connections
from trading_api.models import Credential, PullJournal
from trading_api.paths import Endpoint
from vcp.said import said
from watch.deadman import PLANTS_NAMED
from watch.facts import (
    AckFact,
    Facts,
    LetterFact,
    LinkFact,
    MeterFact,
    OutboxFact,
    PullFact,
    SilentMeter,
    TickFact,
)
from watch.limits import LOOK_BACK, Limits
from watch.models import MeterWatch, TickRun

MESSAGES_LOOKED_AT = 5_000
"""The newest messages of the outbox that NO_ACK judges: a bound on its cost, hours of commands of a large fleet."""

_UNANSWERED = (State.SENT.value, State.UNCONFIRMED.value)
_LISTS_FOR_HABIT = 6


def gather(*, periods: Mapping[str, float], at: datetime, limits: Limits) -> Facts:
    """All facts of one evaluation; `periods`: name of each tick -> its period in seconds."""
    return Facts(
        links=_links(at),
        acks=_acks(at, limits),
        letters=_letters(at, limits),
        outboxes=_outboxes(at),
        meters=_meters(at, limits),
        pulls=_pulls(),
        ticks=tick_facts(periods=periods),
    )


def tick_facts(*, periods: Mapping[str, float], not_before: datetime | None = None) -> tuple[TickFact, ...]:
    """The ticks that are still in the table of periods; silence counts from `not_before` at the earliest."""
    return tuple(
        TickFact(
            name=row.name,
            period_s=periods[row.name],
            since=row.since if not_before is None else max(row.since, not_before),
            finished_at=row.finished_at,
            ok=row.ok,
            error_code=row.error_code,
        )
        for row in TickRun.objects.all()
        if row.name in periods
    )


def never_ran(*, periods: Mapping[str, float], since: datetime) -> tuple[TickFact, ...]:
    """Ticks of which the database knows nothing yet."""
    return tuple(
        TickFact(name=name, period_s=period_s, since=since, finished_at=None, ok=True, error_code="")
        for name, period_s in periods.items()
    )


def newest_tick_at() -> datetime | None:
    """When any tick last did its work; None when none ever did."""
    newest: datetime | None = TickRun.objects.aggregate(newest=Max("finished_at"))["newest"]
    return newest


def _links(at: datetime) -> tuple[LinkFact, ...]:
    rows = list(watched_connections())
    health = connection_health(connections=rows, at=at)
    found = []
    for row in rows:
        now = health[row.pk]
        words = now.advice or advice(now.code)
        found.append(
            LinkFact(
                connection_id=row.pk,
                name=row.name,
                state=str(now.state),
                code=now.code,
                title=words.title if now.code else "",
                action=words.action if now.code else "",
                since=now.since,
                skew_ms=now.skew_ms,
            )
        )
    return tuple(found)


def _acks(at: datetime, limits: Limits) -> tuple[AckFact, ...]:
    newest = OutboundMessage.objects.aggregate(newest=Max("pk"))["newest"]
    if newest is None:
        return ()
    sent = OutboundMessage.objects.filter(
        pk__gt=newest - MESSAGES_LOOKED_AT,
        outcome=Outcome.CONFIRMED,
        command__isnull=False,
        outcome_at__gte=at - LOOK_BACK,
        connection__retired_at__isnull=True,
    )
    silent = Q(command__state__in=_UNANSWERED, outcome_at__lte=at - limits.ack_timeout)
    answered = ~Q(command__state__in=_UNANSWERED)
    recent = Q(outcome_at__gte=at - limits.no_ack_within)
    rows = (
        sent.order_by()
        .values("connection_id", "connection__name")
        .annotate(
            unanswered=Count("command", filter=silent & recent, distinct=True),
            answered=Count("command", filter=answered & recent, distinct=True),
            last_unanswered=Max("outcome_at", filter=silent),
            last_answered=Max("outcome_at", filter=answered),
        )
    )
    return tuple(
        AckFact(
            connection_id=row["connection_id"],
            name=row["connection__name"],
            unanswered=row["unanswered"],
            answered=row["answered"],
            last_unanswered_at=row["last_unanswered"],
            last_answered_at=row["last_answered"],
        )
        for row in rows
    )


def _letters(at: datetime, limits: Limits) -> tuple[LetterFact, ...]:
    since = at - limits.dead_letters_within
    # One that came first within the window counts as often as it came, an older one that came again counts once; one
    # that stands for others means that a plant's quarantine is full and still more comes.
    times = Case(
        When(first_at__gte=since, then=F("count")),
        When(others__gt=0, then=Value(limits.dead_letters_max + 1)),
        default=Value(1),
        output_field=IntegerField(),
    )
    rows = (
        DeadLetter.objects.filter(last_at__gte=since, connection__retired_at__isnull=True)
        .order_by()
        .values("connection_id", "connection__name", "reason", "plant__name")
        .annotate(came=Sum(times))
    )
    names: dict[int, str] = {}
    kinds: dict[int, dict[tuple[str, str | None], int]] = {}
    for row in rows:
        names[row["connection_id"]] = row["connection__name"]
        kinds.setdefault(row["connection_id"], {})[row["reason"], row["plant__name"]] = row["came"]
    return tuple(
        LetterFact(connection_id=pk, name=names[pk], count=sum(one.values()), mostly=_mostly(one))
        for pk, one in sorted(kinds.items())
    )


def _mostly(kinds: Mapping[tuple[str, str | None], int]) -> str:
    """`FROM_THE_FUTURE of Depot 1`, a reason alone, or '' where none makes up more than half."""
    half = sum(kinds.values()) / 2
    for (reason, plant), count in kinds.items():
        if count > half:
            return said("%(reason)s of %(plant)s", reason=reason, plant=plant) if plant else reason
    reasons: dict[str, int] = {}
    for (reason, _), count in kinds.items():
        reasons[reason] = reasons.get(reason, 0) + count
    return next((reason for reason, count in reasons.items() if count > half), "")


def _outboxes(at: datetime) -> tuple[OutboxFact, ...]:
    if Installation.objects.filter(pk=1, dispatch_enabled=False).exists():
        return ()
    waiting: QuerySet[OutboundMessage] = OutboundMessage.objects.filter(
        Q(not_before_at__isnull=True) | Q(not_before_at__lte=at),
        outcome=Outcome.PENDING,
        plant__dispatch_enabled=True,
        connection__mode=ConnectionMode.ACTIVE,
        connection__dispatch_enabled=True,
        connection__retired_at__isnull=True,
    )
    rows = (
        waiting.order_by()
        .values("connection_id", "connection__name")
        .annotate(oldest=Min(Coalesce("not_before_at", "made_at")), number=Count("pk"))
    )
    return tuple(
        OutboxFact(
            connection_id=row["connection_id"],
            name=row["connection__name"],
            oldest_at=row["oldest"],
            count=row["number"],
        )
        for row in rows
    )


def _meters(at: datetime, limits: Limits) -> tuple[MeterFact, ...]:
    """One pass over the plants that ever reported meters; where many are silent only some are named."""
    known: dict[int, int] = {}
    names: dict[int, str] = {}
    silent: dict[int, list[SilentMeter]] = {}
    rows = (
        MeterWatch.objects.filter(plant__connection__isnull=False, plant__connection__retired_at__isnull=True)
        .order_by("plant_id")
        .values_list("plant_id", "plant__name", "plant__connection_id", "plant__connection__name", "last_at")
    )
    for plant_id, name, connection_id, connection_name, last_at in rows:
        known[connection_id] = known.get(connection_id, 0) + 1
        names[connection_id] = connection_name
        if at - last_at > limits.no_meter_for:
            stopped = SilentMeter(plant_id=plant_id, name=name, last_at=last_at)
            silent.setdefault(connection_id, []).append(stopped)
    return tuple(
        MeterFact(
            connection_id=connection_id,
            name=names[connection_id],
            known=known[connection_id],
            silent_count=len(stopped),
            silent=tuple(stopped[:PLANTS_NAMED]),
        )
        for connection_id, stopped in silent.items()
    )


def _pulls() -> tuple[PullFact, ...]:
    enabled = Credential.objects.filter(organisation=OuterRef("pk"), enabled=True)
    answered = PullJournal.objects.filter(organisation=OuterRef("pk"), status__lt=400).order_by("-id")
    pulls = answered.filter(endpoint__in=(Endpoint.LIST, Endpoint.CONFIG, Endpoint.UPDATE)).values("at")
    lists = answered.filter(endpoint=Endpoint.LIST).values("at")
    rows = Organisation.objects.filter(Exists(enabled)).annotate(
        issued_at=Subquery(enabled.order_by("created_at").values("created_at")[:1]),
        last_pull_at=Subquery(pulls[:1]),
        last_list_at=Subquery(lists[:1]),
        habit_from=Subquery(lists[_LISTS_FOR_HABIT - 1 : _LISTS_FOR_HABIT]),
    )
    return tuple(
        PullFact(
            organisation_id=row.pk,
            name=row.name,
            issued_at=row.issued_at,
            last_pull_at=row.last_pull_at,
            usual_gap=_gap(row.habit_from, row.last_list_at),
        )
        for row in rows.order_by("pk")
    )


def _gap(first: datetime | None, last: datetime | None) -> timedelta | None:
    return None if first is None or last is None else (last - first) / (_LISTS_FOR_HABIT - 1)
