"""`manage.py issue_credentials`: a client id and secret for Voke; the secret is shown here and nowhere else again."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from esm import clock
from plants.errors import DomainError
from plants.models import Organisation
from trading_api.services.credentials import issue_credentials


class Command(BaseCommand):
    """Prints what has to be entered at Voke (esmClientId, esmClientSecret)."""

    help = "Issue reverse-channel credentials of an organisation; the secret is shown once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose, and how they are called."""
        parser.add_argument("--organisation", required=True, metavar="SLUG", help="Slug of the organisation.")
        parser.add_argument("--label", default="", help="A note for people, at most 80 characters.")
        parser.add_argument("--client-id", default=None, help="Client id to use instead of a generated one.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object instead of text.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue and print."""
        organisation = Organisation.objects.filter(slug=options["organisation"]).first()
        if organisation is None:
            raise CommandError(f"no organisation has the slug {options['organisation']!r}")
        try:
            issued = issue_credentials(
                organisation=organisation,
                label=options["label"],
                client_id=options["client_id"],
                at=clock.now(),
            )
        except DomainError as error:
            raise CommandError(error.message) from error
        shown = {"clientId": issued.credential.client_id, "clientSecret": issued.secret.reveal()}
        if options["json"]:
            self.stdout.write(json.dumps({"organisation": organisation.slug, **shown}))
            return
        self.stdout.write(f"clientId      {shown['clientId']}\nclientSecret  {shown['clientSecret']}")
        self.stdout.write("The secret is not stored and can't be shown again.")
