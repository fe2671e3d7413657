"""`manage.py notify_test CHANNEL`: send a test notification now and say what became of it."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from esm import clock
from watch.models import NotificationChannel
from watch.services.sending import current_send_options, send_test


class Command(BaseCommand):
    help = "Send a test notification on a channel (its name) at once; exits 1 and says why when it was not taken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", metavar="CHANNEL", help="the channel's name")

    def handle(self, *_args: Any, **options: Any) -> None:
        name = options["channel"]
        channel = NotificationChannel.objects.filter(name=name).defer("secret").first()
        if channel is None:
            raise CommandError(f"no channel has the name {name!r}")
        attempt = send_test(
            channel=channel,
            at=clock.now(),
            product=settings.PRODUCT_NAME,
            options=current_send_options(),
        )
        if attempt.error is not None:
            raise CommandError(f"{name}: {attempt.error.code}: {attempt.error}")
        self.stdout.write(f"{name}: taken, message id {attempt.notification.uid}")
