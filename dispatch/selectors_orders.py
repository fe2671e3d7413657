"""Reading emergency orders: how far each plant's emergency has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet

from dispatch.models import EmergencyLatch, EmergencyOrder, OrderedPlant
from dispatch.selectors import DOUBTFUL
from dispatch.states import State

# What a row of an order is counted as, in the order in which a plant passes through it.
WAITING, UNSENT, SENT, TAKEN, DONE, DOUBT, REFUSED, ENDED = (
    "waiting", "unsent", "sent", "taken", "done", "doubt", "refused", "ended",
)  # fmt: skip
_COUNTED_AS: Mapping[State, str] = {
    State.SCHEDULED: UNSENT,
    State.QUEUED: UNSENT,
    State.SENT: SENT,
    State.ACCEPTED: TAKEN,
    State.QUEUED_BY_VOKE: TAKEN,
    State.EXECUTING: TAKEN,
    State.COMPLETED: DONE,
    State.CANCELLED: ENDED,
    State.SUPERSEDED: ENDED,
    State.EXPIRED: ENDED,
    **dict.fromkeys(DOUBTFUL, DOUBT),
}
COUNTS = (WAITING, UNSENT, SENT, TAKEN, DONE, DOUBT, REFUSED, ENDED)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many plants of an order stand where: `counts` by COUNTS, `states` by command state."""

    asked: int
    counts: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_delivered(self) -> bool:
        """Whether nothing waits to be sent any more."""
        return not self.counts.get(WAITING) and not self.counts.get(UNSENT)


def progress_of(*, order: EmergencyOrder) -> Progress:
    """Counted in one statement, however many plants the order has."""
    rows = (
        OrderedPlant.objects.filter(order=order)
        .order_by()
        .annotate(is_waiting=ExpressionWrapper(Q(decided_at__isnull=True), output_field=BooleanField()))
        .values_list("is_waiting", "command__state")
        .annotate(count=Count("pk"))
    )
    counts, states = dict.fromkeys(COUNTS, 0), dict[str, int]()
    for is_waiting, state, count in rows:
        counts[_counted_as(is_waiting=is_waiting, state=state)] += count
        if state is not None:
            states[state] = states.get(state, 0) + count
    return Progress(asked=order.asked, counts=counts, states=states)


def _counted_as(*, is_waiting: bool, state: str | None) -> str:
    if state is not None:
        return _COUNTED_AS[State(state)]
    return WAITING if is_waiting else REFUSED


def plants_of_order(*, order: EmergencyOrder, counted_as: str = "") -> QuerySet[OrderedPlant]:
    """The plants of an order, each with its command and reason; `counted_as` of COUNTS narrows. Callers page."""
    rows = OrderedPlant.objects.filter(order=order).select_related("plant", "command").order_by("pk")
    if counted_as == WAITING:
        return rows.filter(decided_at__isnull=True)
    if counted_as == REFUSED:
        return rows.filter(decided_at__isnull=False, command__isnull=True)
    if counted_as:
        wanted = [state.value for state, name in _COUNTED_AS.items() if name == counted_as]
        return rows.filter(command__state__in=wanted)
    return rows


def latched_by_order(*, order: EmergencyOrder) -> int:
    """How many plants the order's own latches hold still."""
    return EmergencyLatch.objects.filter(order=order, released_at__isnull=True).count()
