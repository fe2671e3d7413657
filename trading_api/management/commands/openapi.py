"""`manage.py openapi`: the OpenAPI document of the reverse channel, as this installation's settings make it."""

from typing import Any

from django.core.management.base import BaseCommand

from trading_api.openapi.document import document


class Command(BaseCommand):
    """Prints the document; `make openapi` pins the one of the default settings in docs/openapi.json."""

    help = "Print the OpenAPI document of the reverse channel."

    def handle(self, *args: Any, **options: Any) -> None:
        """To standard output."""
        self.stdout.write(document().body.decode(), ending="")
