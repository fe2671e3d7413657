"""`manage.py rotate_keys`: encrypt every stored secret again under the first version of FIELD_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from people.selectors.secrets import undecryptable as undecryptable_factors
from people.services.factors import reencrypt_factors
from plants.encryption import current_version
from plants.selectors.connections import undecryptable
from plants.services.connections import reencrypt_connections


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret again under the newest key version; run it before removing an old one."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        lines = [f"connection {pk}: {field} {reason}" for pk, field, reason in undecryptable()]
        lines += [f"person {pk}: authenticator app {reason}" for pk, reason in undecryptable_factors()]
        if lines:
            raise CommandError("nothing was changed, these secrets can't be read:\n" + "\n".join(lines))
        connections, factors = reencrypt_connections(), reencrypt_factors()
        self.stdout.write(
            f"{connections} connections and {factors} authenticator apps are now under key version {current_version()}"
        )
