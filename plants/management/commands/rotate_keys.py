"""`manage.py rotate_keys`: encrypt every stored secret again under the first version of FIELD_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from plants.encryption import current_version
from plants.selectors.connections import undecryptable
from plants.services.connections import reencrypt_connections


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret again under the newest key version; run it before removing an old one."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        problems = undecryptable()
        if problems:
            lines = "\n".join(f"connection {pk}: {field} {reason}" for pk, field, reason in problems)
            raise CommandError(f"nothing was changed, these secrets can't be read:\n{lines}")
        count = reencrypt_connections()
        self.stdout.write(f"{count} connections are now under key version {current_version()}")
