"""Sends what may go: claims one message, sends it outside every transaction, and writes down what became of it.

An attempt that failed comes again after a growing pause with jitter; after `ATTEMPTS` of them, or at once when trying
again can't help, the message is FAILED and stays visible. A message of a channel that was switched off fails too.
"""

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import F, Q

from plants.encryption import UndecryptableSecret
from watch.errors import SendError
from watch.mail import parse_addresses, send_mail
from watch.models import Notification, NotificationChannel, NotificationState
from watch.severity import rank_of
from watch.webhook import WebhookOptions, send_webhook
from watch.wording import test_content

log = structlog.get_logger(__name__)
PAUSES_S = (10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Ceilings of the pauses between attempts; each pause is drawn from its upper half."""
ATTEMPTS = len(PAUSES_S) + 1
CLAIM_FOR = timedelta(minutes=3)
SENT_AT_ONCE = 50
_system_random = random.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class SendOptions:
    """How messages leave; `draw` answers a number in [0, 1), for the jitter of pauses."""

    webhook: WebhookOptions
    draw: Callable[[], float] = _system_random.random


def current_send_options() -> SendOptions:
    """As this installation's settings say."""
    return SendOptions(
        webhook=WebhookOptions(
            timeout_s=settings.NOTIFY_TIMEOUT_S,
            allow_http=settings.NOTIFY_ALLOW_HTTP,
            allow_private=settings.NOTIFY_ALLOW_PRIVATE,
        )
    )


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What became of one attempt; `error` None = taken."""

    notification: Notification
    error: SendError | None


Sender = Callable[[NotificationChannel, Notification, datetime, SendOptions], int]


def _by_mail(channel: NotificationChannel, row: Notification, _at: datetime, options: SendOptions) -> int:
    return send_mail(
        addresses=parse_addresses(channel.addresses),
        uid=str(row.uid),
        content=row.content,
        timeout_s=options.webhook.timeout_s,
    )


def _by_webhook(channel: NotificationChannel, row: Notification, at: datetime, options: SendOptions) -> int:
    return send_webhook(
        url=channel.url,
        secret=str(channel.secret),
        uid=str(row.uid),
        content=row.content,
        at=at,
        options=options.webhook,
    )


SENDERS: Mapping[str, Sender] = {
    NotificationChannel.Kind.EMAIL: _by_mail,
    NotificationChannel.Kind.WEBHOOK: _by_webhook,
}


def send_due(*, at: datetime, options: SendOptions, budget_s: float) -> int:
    """Send what is due, oldest first, until nothing is or the time is used up; answers how many were tried.

    The time is looked at between two messages: the last one may still take its whole timeout.
    """
    began = time.monotonic()
    tried = 0
    while tried < SENT_AT_ONCE and time.monotonic() - began < budget_s:
        now = at + timedelta(seconds=time.monotonic() - began)
        row = _claim(at=now)
        if row is None:
            break
        _attempt(row, at=now, options=options)
        tried += 1
    return tried


def _claim(*, at: datetime) -> Notification | None:
    """The next due message, ours alone until the claim runs out."""
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=at)
    due = Notification.objects.filter(free, state=NotificationState.PENDING, next_at__lte=at)
    for pk in due.order_by("next_at", "pk").values_list("pk", flat=True)[:10]:
        if due.filter(pk=pk).update(claimed_until=at + CLAIM_FOR, attempts=F("attempts") + 1):
            return Notification.objects.get(pk=pk)
    return None


def _attempt(row: Notification, *, at: datetime, options: SendOptions) -> Attempt:
    began = time.monotonic()
    error: SendError | None = None
    try:
        if row.attempts > ATTEMPTS:  # nobody lived to write down what became of the last one
            raise SendError("its senders ended while they sent it", code="SENDER_LOST", permanent=True)
        channel = NotificationChannel.objects.get(pk=row.channel_id)
        if not channel.enabled and row.event != Notification.Event.TEST:
            raise SendError("the channel is switched off", code="CHANNEL_OFF", permanent=True)
        SENDERS[channel.kind](channel, row, at, options)
    except SendError as failure:
        error = failure
    except UndecryptableSecret as failure:
        error = SendError(f"the channel's secret can't be read: {failure}", code="SECRET_UNREADABLE")
    ended_at = at + timedelta(seconds=time.monotonic() - began)
    _note(row, error, at=ended_at, options=options)
    return Attempt(notification=row, error=error)


def _note(row: Notification, error: SendError | None, *, at: datetime, options: SendOptions) -> None:
    row.claimed_until = None
    if error is None:
        row.state, row.sent_at, row.error_code, row.last_error = NotificationState.SENT, at, "", ""
        row.next_at = None
    else:
        over = error.permanent or row.attempts >= ATTEMPTS or row.event == Notification.Event.TEST
        row.state = NotificationState.FAILED if over else NotificationState.PENDING
        row.error_code, row.last_error = error.code[:48], str(error)[:400]
        row.next_at = None if over else at + _pause(row.attempts, options)
    fields = ["claimed_until", "state", "sent_at", "error_code", "last_error", "next_at"]
    row.save(update_fields=fields)
    say = log.info if error is None else log.warning
    say(
        "notification",
        action="notify.sent" if error is None else "notify.failed",
        notification=str(row.uid),
        channel_id=row.channel_id,
        state=str(row.state),
        attempts=row.attempts,
        error=row.error_code,
    )


def _pause(attempts: int, options: SendOptions) -> timedelta:
    ceiling_s = PAUSES_S[min(attempts, len(PAUSES_S)) - 1]
    return timedelta(seconds=ceiling_s * (0.5 + options.draw() / 2))


def send_test(*, channel: NotificationChannel, at: datetime, product: str, options: SendOptions) -> Attempt:
    """Send a test message on a channel now, whatever its limits, and say what became of it; tried once.

    A channel that is switched off is tried all the same: people test before they switch on.
    """
    uid = uuid.uuid4()
    row = Notification.objects.create(
        channel=channel,
        uid=uid,
        event=Notification.Event.TEST,
        severity=channel.minimum_severity,
        rank=rank_of(channel.minimum_severity),
        code="TEST",
        content=test_content(
            uid=str(uid), channel=channel.name, severity=channel.minimum_severity, at=at, product=product
        ),
        state=NotificationState.PENDING,
        made_at=at,
        claimed_until=at + CLAIM_FOR,
        attempts=1,
    )
    return _attempt(row, at=at, options=options)


def prune_notifications(*, at: datetime, keep_days: int, limit: int = 5000) -> int:
    """Forget messages that are older than so many days; bounded."""
    old = Notification.objects.filter(made_at__lt=at - timedelta(days=keep_days)).order_by("made_at")
    gone, _ = Notification.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()
    return gone
