"""`manage.py connect_voke FILE`: import a connection bundle as Voke showed it."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from dispatch.policy import current_policy
from dispatch.services.site_config import switch_connection
from dispatch.services.takeover import Takeover, take_over
from esm import clock
from plants.errors import DomainError
from plants.models import Connection, ConnectionMode, Organisation
from plants.selectors.connections import SECRET_FIELDS
from plants.services.connections import attach_plants, import_bundle
from vcp import KeyDecoding, ProtocolError, parse_bundle

MAX_BUNDLE_BYTES = 65_536


class Command(BaseCommand):
    help = (
        "Import a connection bundle (JSON file, or - for standard input). The new connection only observes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="bundle as JSON; - reads standard input")
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument("--name", default="Voke", help="what the connection is called here")
        parser.add_argument("--source", default="busbar", help="our code in every envelope's `source`")
        parser.add_argument(
            "--scopes", default="", help="scopes of the key, comma-separated, as Voke's admin told you"
        )
        parser.add_argument(
            "--key-decoding", choices=[kind.value for kind in KeyDecoding], default=KeyDecoding.HEX.value
        )
        parser.add_argument(
            "--plants", default="", help="externalPlantIds to reach over this connection, or 'all'"
        )
        parser.add_argument(
            "--takes-over",
            default="",
            metavar="NAME",
            help="the connection whose plants move to this one; it ends what it has begun and then retires",
        )
        parser.add_argument(
            "--activate", action="store_true", help="switch to ACTIVE: commands may be published"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        organisation = Organisation.objects.filter(slug=options["organisation"]).first()
        if organisation is None:
            raise CommandError(f"--organisation: no organisation has the slug {options['organisation']!r}")
        try:
            connection, takeover = self._import(organisation, options)
        except (ProtocolError, DomainError) as error:
            raise CommandError(f"{error.code} {error.path}: {error}") from error
        count = connection.plants.count()
        self.stdout.write(
            f"connection {connection.pk} {connection.name!r}: vhost {connection.vhost}, {connection.mode}, "
            f"{count} plants; scopes are as told, Voke has not verified them"
        )
        if takeover is not None:
            self.stdout.write(_report(options["takes_over"], takeover))

    def _import(
        self, organisation: Organisation, options: dict[str, Any]
    ) -> tuple[Connection, Takeover | None]:
        """All of it or nothing: a mistyped plant leaves no half-made connection behind."""
        at = clock.now()
        old = self._predecessor(organisation, options["takes_over"])
        takeover: Takeover | None = None
        with transaction.atomic():
            connection = import_bundle(
                organisation=organisation,
                bundle=parse_bundle(self._read(options["file"])),
                name=options["name"],
                source=options["source"],
                scopes=[scope.strip() for scope in options["scopes"].split(",") if scope.strip()],
                sign_emergency=settings.SIGN_EMERGENCY,
                key_decoding=KeyDecoding(options["key_decoding"]),
                at=at,
            )
            self._attach(connection, options["plants"])
            if options["activate"]:
                switch_connection(connection=connection, mode=ConnectionMode.ACTIVE, at=at)
            if old is not None:
                takeover = take_over(old=old, new=connection, at=at, policy=current_policy())
        connection.refresh_from_db(fields=["mode"])
        return connection, takeover

    def _predecessor(self, organisation: Organisation, name: str) -> Connection | None:
        if not name:
            return None
        # The secrets of the one that goes may be unreadable: that is a reason to go.
        rows = Connection.objects.filter(organisation=organisation, name=name).defer(*SECRET_FIELDS)
        old = rows.first()
        if old is None:
            known = ", ".join(
                Connection.objects.filter(organisation=organisation).values_list("name", flat=True)[:10]
            )
            raise CommandError(
                f"--takes-over: no connection is called {name!r} (there are: {known or 'none'})"
            )
        return old

    def _read(self, name: str) -> bytes:
        try:
            body = sys.stdin.buffer.read(MAX_BUNDLE_BYTES + 1) if name == "-" else Path(name).read_bytes()
        except OSError as error:
            raise CommandError(f"FILE: {error.strerror}") from error
        if len(body) > MAX_BUNDLE_BYTES:
            raise CommandError("FILE: too large for a bundle")
        return body

    def _attach(self, connection: Connection, plants: str) -> None:
        wanted = [word.strip() for word in plants.split(",") if word.strip()]
        if wanted == ["all"]:
            wanted = list(connection.organisation.plants.values_list("external_plant_id", flat=True))
        count = attach_plants(connection=connection, external_plant_ids=wanted)
        if count != len(set(wanted)):
            raise CommandError(
                f"--plants: {len(set(wanted)) - count} of them are not plants of the organisation"
            )


def _report(name: str, takeover: Takeover) -> str:
    """What the takeover came to, in one line."""
    followed = takeover.followed
    return (
        f"takes over from {name!r}: {takeover.plants} plants and {followed.scheduled} planned commands moved, "
        f"{followed.replaced} waiting messages signed anew, {followed.emergencies} emergencies issued again, "
        f"{followed.cancelled} cancelled for want of a scope, {followed.draining} still on their way on the old one, "
        "which retires by itself when they have ended"
    )
