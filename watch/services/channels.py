"""Channels: made, changed and removed by people of the installation; what could never be sent is refused here."""

from datetime import datetime

from django.db import transaction

from plants.errors import Conflict, Invalid
from vcp.said import said
from watch.errors import SendError
from watch.mail import parse_addresses
from watch.models import Notification, NotificationChannel, NotificationState
from watch.webhook import parse_url

SECRET_AT_LEAST = 32
Kind = NotificationChannel.Kind


def save_channel(
    *, channel: NotificationChannel, new_secret: str, allow_http: bool, at: datetime
) -> NotificationChannel:
    """Save a new or changed channel; an empty `new_secret` keeps the stored one. A refusal's path is the field."""
    channel.name = channel.name.strip()
    taken = NotificationChannel.objects.filter(name=channel.name).exclude(pk=channel.pk)
    if taken.exists():
        raise Conflict(said("another channel has this name"), path="name")
    if channel.kind == Kind.EMAIL:
        _check_email(channel)
    else:
        _check_webhook(channel, new_secret, allow_http)
    if channel._state.adding:
        channel.created_at = at
    channel.full_clean(exclude=["secret"])
    channel.save()
    return channel


def _check_email(channel: NotificationChannel) -> None:
    try:
        channel.addresses = ", ".join(parse_addresses(channel.addresses))
    except SendError as error:
        raise Invalid(str(error), path="addresses") from error
    channel.url, channel.secret = "", ""


def _check_webhook(channel: NotificationChannel, new_secret: str, allow_http: bool) -> None:
    channel.addresses, channel.url = "", channel.url.strip()
    try:
        parse_url(channel.url, allow_http=allow_http)
    except SendError as error:
        raise Invalid(str(error), path="url") from error
    if new_secret:
        if len(new_secret) < SECRET_AT_LEAST:
            raise Invalid(
                said("must have at least %(limit)s characters", limit=SECRET_AT_LEAST), path="new_secret"
            )
        channel.secret = new_secret
    elif not channel.secret:
        raise Invalid(said("a webhook needs a secret to be signed with"), path="new_secret")


def delete_channel(*, channel_id: int, at: datetime) -> None:
    """Remove a channel with its messages; refused while one of them is being sent."""
    with transaction.atomic():
        channel = NotificationChannel.objects.select_for_update().defer("secret").get(pk=channel_id)
        under_way = Notification.objects.filter(
            channel=channel, state=NotificationState.PENDING, claimed_until__gt=at
        )
        if under_way.exists():
            raise Conflict(said("a message of it is being sent; try again in a minute"))
        channel.delete()
