"""`manage.py reset_second_factor USER`: for whoever lost phone and recovery codes and has nobody to ask."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from esm import clock
from people.services.acts import Doer, write_down
from people.services.factors import remove_factor
from people.services.sessions import end_sessions
from plants.models import User


class Command(BaseCommand):
    help = "Take a person's second factor and recovery codes away and end their sessions; it is written down."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--reason", default="", help="Why; kept in the audit.")

    def handle(self, *_args: Any, username: str, reason: str, **_options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"nobody has the user name {username!r}")
        with transaction.atomic():
            if not remove_factor(user=user):
                raise CommandError(f"{username} has no second factor")
            ended = end_sessions(user=user)
            write_down(
                Doer(user=user, organisation_id=user.organisation_id),
                "person.factor_reset",
                at=clock.now(),
                subject=username,
                reason=reason,
                after={"by": "manage.py", "sessions_ended": ended},
            )
        self.stdout.write(f"{username} has no second factor any more; {ended} sessions were ended")
