"""From changed alarms to messages that may go: who hears of it, and how much of it a channel takes.

`fan_out` turns each change into one WAITING row per channel that hears of it. `release` lets rows go as the channel's
limits allow: per alarm code one in `quiet_s`, and `max_per_hour` an hour. The newest of the worst goes, and says how
many others were held back; nothing is dropped without being counted in a message. The last one of an hour sums up
whatever waits, of all codes, so that a storm ends in one message and not in a backlog.

What is worse never waits for what is milder: neither limit counts messages of a lower severity. An hour has at most
`max_per_hour` messages of each severity, and a code that grows worse is told at once.

Edge cases (the concurrency policy):
- Changes are taken with SKIP LOCKED, channels are locked while their rows are released: two tellers at once (the tick,
  and a guard while the ticks stand still) neither tell a change twice nor break a limit.
- An organisation's channel gets a row only for alarms of that organisation; this is the only place that decides it.
- A clear is told to whom the raise was told, or is about to be.
"""

import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max

from plants.models import Alarm, AlarmChange
from plants.services.alarms import take_alarm_changes
from watch.models import Notification, NotificationChannel, NotificationState
from watch.severity import is_heard, rank_of
from watch.wording import OTHERS_NAMED, content_of, owner_of, with_others

CHANGES_AT_ONCE = 200
ROUNDS = 10
CODES_AT_ONCE = 500
HOUR = timedelta(hours=1)


def tell(*, at: datetime, product: str) -> int:
    """Fan out what changed and release what may go; answers how many messages were let go."""
    for _ in range(ROUNDS):
        if fan_out(at=at, product=product) < CHANGES_AT_ONCE:
            break
    return release(at=at)


def fan_out(*, at: datetime, product: str) -> int:
    """One bounded batch of changes; answers how many were taken."""
    with transaction.atomic():
        changes = take_alarm_changes(limit=CHANGES_AT_ONCE)
        if not changes:
            return 0
        channels = list(NotificationChannel.objects.filter(enabled=True).order_by("pk").defer("secret"))
        told = _told_raises([change.alarm_id for change in changes])
        rows: list[Notification] = []
        for change in changes:
            for channel in channels:
                if _hears(channel, change, told):
                    told.add((channel.pk, change.alarm_id))
                    rows.append(_row(channel, change, at=at, product=product))
        Notification.objects.bulk_create(rows, batch_size=500)
        return len(changes)


def _told_raises(alarm_ids: Iterable[int]) -> set[tuple[int, int | None]]:
    rows = Notification.objects.filter(alarm__in=set(alarm_ids), event=Notification.Event.RAISED)
    return set(rows.order_by().values_list("channel_id", "alarm_id").distinct())


def _hears(channel: NotificationChannel, change: AlarmChange, told: set[tuple[int, int | None]]) -> bool:
    owner = owner_of(change.alarm)
    if channel.organisation_id is not None and (owner is None or owner.pk != channel.organisation_id):
        return False
    if change.word == AlarmChange.Word.CLEARED:
        return (channel.pk, change.alarm_id) in told
    return is_heard(
        change.alarm.severity, minimum=channel.minimum_severity, only_this=channel.only_this_severity
    )


def _row(channel: NotificationChannel, change: AlarmChange, *, at: datetime, product: str) -> Notification:
    uid = uuid.uuid4()
    alarm: Alarm = change.alarm
    return Notification(
        channel=channel,
        alarm=alarm,
        uid=uid,
        event=change.word,
        severity=alarm.severity,
        rank=rank_of(alarm.severity),
        code=alarm.code,
        content=content_of(alarm, uid=str(uid), event=change.word, product=product),
        made_at=at,
    )


# --- limits -----------------------------------------------------------------------------------------------------------


def release(*, at: datetime) -> int:
    """Let go what the channels' limits allow; answers how many messages."""
    waiting = Notification.objects.filter(state=NotificationState.WAITING).order_by()
    return sum(
        _release_channel(pk, at) for pk in sorted(waiting.values_list("channel_id", flat=True).distinct())
    )


def _release_channel(channel_id: int, at: datetime) -> int:
    with transaction.atomic():
        # Locked: two tellers of one channel count its hour one after the other.
        channel = (
            NotificationChannel.objects.select_for_update().defer("secret").filter(pk=channel_id).first()
        )
        if channel is None:
            return 0
        hour = _released_in_hour(channel_id, at)
        quiet = _worst_released_since(channel_id, at - timedelta(seconds=channel.quiet_s))
        released = 0
        for code, rank in _waiting_codes(channel_id):
            room = channel.max_per_hour - sum(number for told, number in hour.items() if told >= rank)
            if room <= 0:
                break  # what follows is milder: it has no more room than this
            if quiet.get(code, -1) >= rank:
                continue
            # The last message of the hour stands for everything that waits.
            gone = _let_go(channel_id, None if room == 1 else code, at)
            hour[rank] += gone
            released += gone
        return released


def _released_in_hour(channel_id: int, at: datetime) -> Counter[int]:
    """How many messages of each rank were let go within the last hour."""
    rows = Notification.objects.filter(channel_id=channel_id, released_at__gt=at - HOUR)
    return Counter(dict(rows.order_by().values_list("rank").annotate(number=Count("pk"))))


def _worst_released_since(channel_id: int, since: datetime) -> dict[str, int]:
    """The worst rank that was let go of each code."""
    rows = Notification.objects.filter(channel_id=channel_id, released_at__gt=since)
    return dict(rows.order_by().values_list("code").annotate(worst=Max("rank")))


def _waiting_codes(channel_id: int) -> list[tuple[str, int]]:
    """The codes that wait with the worst rank of each, the worst first."""
    rows = Notification.objects.filter(channel_id=channel_id, state=NotificationState.WAITING)
    worst = rows.order_by().values_list("code").annotate(worst=Max("rank"))
    return list(worst.order_by("-worst", "code")[:CODES_AT_ONCE])


def _let_go(channel_id: int, code: str | None, at: datetime) -> int:
    """Let the worst and newest of what waits (of one code, or all) go for all of it; 0 when nothing waits any more."""
    rows = Notification.objects.filter(channel_id=channel_id, state=NotificationState.WAITING)
    if code is not None:
        rows = rows.filter(code=code)
    shown = list(rows.order_by("-rank", "-pk")[: OTHERS_NAMED + 1])
    if not shown:  # an earlier message of this round summed them up
        return 0
    first = shown[0]
    count = rows.exclude(pk=first.pk).update(state=NotificationState.SUMMED, summed_in=first)
    if count:
        first.content = with_others(first.content, [row.content for row in shown[1:]], count=count)
    first.held_back = count
    first.state = NotificationState.PENDING
    first.released_at = first.next_at = at
    first.save(update_fields=["content", "held_back", "state", "released_at", "next_at"])
    return 1
