"""Who was told of alarms: messages to people's channels, for those who look at one alarm."""

from collections.abc import Sequence

from django.db.models import Q

from watch.models import Notification

SHOWN = 20


def told_of(
    *, case_id: int, organisation_id: int, with_installation: bool, limit: int = SHOWN
) -> Sequence[Notification]:
    """Messages about a case's alarms, the newest first; those to the installation's channels only for its staff."""
    mine = Q(channel__organisation_id=organisation_id)
    if with_installation:
        mine |= Q(channel__organisation__isnull=True)
    rows = Notification.objects.filter(mine, alarm__case_id=case_id).select_related("channel")
    return list(rows.defer("channel__secret", "channel__url", "content").order_by("-pk")[:limit])
