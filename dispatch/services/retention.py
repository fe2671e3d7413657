"""How long events of commands are kept: at least the retention, and until the command is final."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from dispatch.models import CommandEvent
from dispatch.states import OPEN
from plants.models import InboundMessage
from plants.services.inbox import forget_inbound


def prune_inbound(*, at: datetime, keep_days: int, limit: int = 5000) -> int:
    """Tick: forget old events whose command is final (or that belong to none); answers how many were deleted."""
    needed = CommandEvent.objects.filter(
        inbound=OuterRef("pk"),
        command__state__in=[state.value for state in OPEN],
    )
    old = InboundMessage.objects.filter(received_at__lt=at - timedelta(days=keep_days)).exclude(
        Exists(needed)
    )
    return forget_inbound(ids=list(old.order_by("received_at").values_list("pk", flat=True)[:limit]))
