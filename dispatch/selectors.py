"""Reading commands, their timelines and what waits; every list is bounded."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Count, DateTimeField, Exists, IntegerField, OuterRef, QuerySet, Subquery

from dispatch.models import (
    IN_ORDER,
    PLACE,
    Command,
    CommandEvent,
    Diagnosis,
    EmergencyLatch,
    OutboundMessage,
    Outcome,
)
from dispatch.states import State
from plants.models import Connection, ConnectionMode, Plant

OUTBOX_COUNTED = 1001
"""An outbox is counted up to one more than 1000: that much is said as "more than 1000"."""

# States in which a command did not, or not provably, do what was asked.
DOUBTFUL = (
    State.UNCONFIRMED,
    State.PARTIAL,
    State.DEVIATED,
    State.REJECTED,
    State.FAILED,
    State.RETURNED,
    State.REFUSED,
)


def timeline(*, command_id: int, limit: int = 500) -> Sequence[CommandEvent]:
    """What happened to a command, in the order in which we learnt it."""
    events = CommandEvent.objects.filter(command_id=command_id).select_related("outbound", "inbound")
    return list(events.order_by("pk")[:limit])


def messages_of(*, command_id: int, limit: int = 50) -> Sequence[OutboundMessage]:
    """The messages of a command, oldest first."""
    return list(OutboundMessage.objects.filter(command_id=command_id).order_by("pk")[:limit])


def open_latch(*, plant_id: int) -> EmergencyLatch | None:
    """The plant's emergency that nobody has released yet."""
    return EmergencyLatch.objects.filter(plant_id=plant_id, released_at__isnull=True).first()


def last_commands(*, plant_id: int, limit: int = 10) -> Sequence[Command]:
    """A plant's newest commands, each with its measured proof where it has one."""
    rows = Command.objects.filter(plant_id=plant_id).select_related("verification")
    return list(rows.order_by("-pk")[:limit])


def count_causes(*, since: datetime) -> dict[str, int]:
    """How often which cause explains a silence that began since then, in one query; '' = still to be found."""
    rows = Diagnosis.objects.filter(asked_at__gte=since).order_by()
    return dict(rows.values_list("cause").annotate(number=Count("pk")))


def with_latch(plants: "QuerySet[Plant]") -> "QuerySet[Plant]":
    """Annotates `latch_type`: STOP or HOLD while an emergency is not released, else None."""
    latches = EmergencyLatch.objects.filter(plant=OuterRef("pk"), released_at__isnull=True)
    return plants.annotate(latch_type=Subquery(latches.values("type")[:1]))


def with_outbox(connections: "QuerySet[Connection]") -> "QuerySet[Connection]":
    """Annotates `outbox_size` and `outbox_since`: how many messages wait, and since when the oldest does.

    Looked at in the order of sending by the index of what is pending, and no further than OUTBOX_COUNTED messages.
    """
    waiting = OutboundMessage.objects.filter(IN_ORDER, connection=OuterRef("pk"), outcome=Outcome.PENDING)
    first = waiting.order_by("-urgent", PLACE).values("made_at")[:OUTBOX_COUNTED]
    return connections.annotate(outbox_size=_CountOf(first), outbox_since=_OldestOf(first))


class _CountOf(Subquery):
    """How many rows a bounded subquery has."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS bounded)"
    output_field = IntegerField()


class _OldestOf(Subquery):
    """The smallest `made_at` of a bounded subquery."""

    template = "(SELECT MIN(made_at) FROM (%(subquery)s) AS bounded)"
    output_field = DateTimeField()


def has_urgent_waiting(*, connection_id: int) -> bool:
    """Whether an emergency waits to be published; one indexed read."""
    return bool(_in_order(connection_id).filter(urgent=True)[:1])


def has_waiting(*, connection_id: int) -> bool:
    """Whether anything waits in a connection's outbox, also what is held back; one indexed read."""
    return bool(_in_order(connection_id)[:1])


def _in_order(connection_id: int) -> "QuerySet[OutboundMessage, tuple[int]]":
    """What waits, in the order of sending.

    Ask for the first of it, never by `exists()`, which drops the order: when PostgreSQL last counted while much waited,
    it expects to meet one soon wherever it begins, and reads the whole outbox once nothing waits any more.
    """
    waiting = OutboundMessage.objects.filter(IN_ORDER, connection_id=connection_id, outcome=Outcome.PENDING)
    return waiting.order_by("-urgent", PLACE, "pk").values_list("pk")


def connections_with_waiting() -> frozenset[int]:
    """The active connections whose outbox is not empty, also where all that waits is held back."""
    waiting = OutboundMessage.objects.filter(IN_ORDER, connection=OuterRef("pk"), outcome=Outcome.PENDING)
    active = Connection.objects.filter(Exists(waiting), mode=ConnectionMode.ACTIVE, dispatch_enabled=True)
    return frozenset(active.order_by().values_list("pk", flat=True))


def count_open_latches(*, limit: int = 1000) -> int:
    """How many plants are latched by an emergency, counted no further than the limit."""
    return EmergencyLatch.objects.filter(released_at__isnull=True).order_by()[:limit].count()


def count_in_doubt(*, since: datetime, limit: int = 1000) -> int:
    """How many commands asked for since then need a person's eye: silence, refusals, failures, deviations."""
    doubtful = Command.objects.filter(state__in=[state.value for state in DOUBTFUL], requested_at__gte=since)
    return doubtful.order_by()[:limit].count()


def count_in_doubt_of(*, organisation_id: int, since: datetime, limit: int) -> int:
    """As `count_in_doubt`, of one organisation."""
    doubtful = Command.objects.filter(
        organisation_id=organisation_id,
        state__in=[state.value for state in DOUBTFUL],
        requested_at__gte=since,
    )
    return doubtful.order_by()[:limit].count()
