"""The journal of link states: one row for each stretch in which a process said the same, kept for some months.

Edge cases (the concurrency policy): a span belongs to one process (`holder`), which writes its words one after another;
nobody else touches it. A process that did not speak for `BRIDGED` may have been dead: it begins a new span.
"""

from datetime import datetime, timedelta

from plants.models import LinkHealth, LinkSpan, LinkState

BRIDGED = timedelta(seconds=30)
"""A running process speaks every 5 s; a slow database may cost it some beats."""

KEPT_FOR = timedelta(days=90)
PRUNED_AT_ONCE = 5000


def note_span(
    *, connection_id: int, role: LinkHealth.Role, holder: str, state: LinkState, error_code: str, at: datetime
) -> None:
    """Say that this process's half of the link is in this state now: the span goes on, or a new one begins."""
    mine = LinkSpan.objects.filter(
        connection_id=connection_id, role=role, holder=holder[:80], until_at__gte=at - BRIDGED
    )
    last = mine.order_by("-until_at", "-pk").first()
    code = error_code[:48]
    if last is not None and at >= last.until_at:
        # What was said before was so until now, whatever comes next.
        LinkSpan.objects.filter(pk=last.pk).update(until_at=at)
    if last is None or (last.state, last.error_code) != (state, code):
        LinkSpan.objects.create(
            connection_id=connection_id,
            role=role,
            holder=holder[:80],
            state=state,
            error_code=code,
            from_at=at,
            until_at=at,
        )


def prune_spans(*, at: datetime) -> int:
    """Tick: forget old spans, a bounded number at once; answers how many were deleted."""
    old = LinkSpan.objects.filter(until_at__lt=at - KEPT_FOR).order_by("until_at")
    ids = list(old.values_list("pk", flat=True)[:PRUNED_AT_ONCE])
    return LinkSpan.objects.filter(pk__in=ids).delete()[0] if ids else 0
