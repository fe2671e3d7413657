"""What must not be dropped though its time is over: what somebody holds, what a gap may still bring, what is not rolled
up yet."""

from django.db.models import Q

from metering.models import Gap, RetentionHold, RollupDue, RollupMark, Stream
from plants.services.partitions import Span


def why_kept(span: Span) -> str:
    """Why measurements of this span must stay; '' = nobody needs them any more. At most four short queries."""
    held = RetentionHold.objects.filter(released_at__isnull=True, from_at__lt=span.high, to_at__gt=span.low)
    reason = held.values_list("reason", flat=True).first()
    if reason is not None:
        return f"held: {reason}"
    waiting = Gap.objects.filter(filled_at__isnull=True, given_up_at__isnull=True, from_at__lt=span.high)
    if waiting.filter(Q(to_at__isnull=True) | Q(to_at__gt=span.low)).exists():
        return "a gap may still be filled"
    for rows in (RollupDue.objects, RollupMark.objects):
        if rows.filter(stream__in=Stream.values, start_at__gte=span.low, start_at__lt=span.high).exists():
            return "not rolled up yet"
    return ""


def held_spans() -> list[Span]:
    """The spans that people hold, for what else is dropped by age."""
    rows = RetentionHold.objects.filter(released_at__isnull=True).order_by("pk")
    return [Span(low=low, high=high) for low, high in rows.values_list("from_at", "to_at")]
