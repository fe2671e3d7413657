"""`manage.py map_sites NAME|ID`: take over the UUIDs of a connection's plants from Voke's list of sites."""

import json
import threading
from argparse import ArgumentParser
from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from esm import clock
from link.management.choosing import connection_called
from link.rest import RestError
from link.site_mapping import SETTLED, SiteResult, map_sites
from link.site_reports import client_of, current_report_options
from plants.encryption import UndecryptableSecret
from plants.errors import DomainError


class Command(BaseCommand):
    help = (
        "Compare Voke's sites with the plants of a connection and write the UUIDs that are not known yet. "
        "Exit code 1 when something needs a person."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("connection", metavar="NAME|ID", help="name or number of the connection")
        parser.add_argument(
            "--organisation", metavar="SLUG", help="needed when two organisations use the name"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="tell what would come of it, write nothing"
        )
        parser.add_argument(
            "--replace",
            action="append",
            default=[],
            metavar="EXTERNAL_ID",
            help="overwrite this plant's UUID where Voke has another; may be given again",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")

    def handle(self, *_args: Any, **options: Any) -> None:
        connection = connection_called(options["connection"], options["organisation"])
        if not connection.rest_base_url:
            raise CommandError("REST_NOT_SET: the connection names no REST address")
        try:
            with client_of(connection, current_report_options(), pause=threading.Event().wait) as rest:
                sites = rest.sites()
            results = map_sites(
                connection=connection,
                sites=sites,
                at=clock.now(),
                replace_ids=options["replace"],
                dry_run=options["dry_run"],
            )
        except (RestError, DomainError) as error:
            raise CommandError(f"{error.code}: {error}") from error
        except UndecryptableSecret as error:
            raise CommandError(f"SECRET_UNREADABLE: {error}") from error
        if options["json"]:
            self._tell_json(results, complete=sites.complete)
        else:
            self._tell(results, total=sites.total, complete=sites.complete)
        if not sites.complete or any(one.outcome not in SETTLED for one in results):
            raise SystemExit(1)

    def _tell(self, results: list[SiteResult], *, total: int, complete: bool) -> None:
        for one in results:
            note = f"  ({one.note})" if one.note else ""
            self.stdout.write(
                f"{one.outcome.value:<13} {one.external_plant_id or '-':<24} {one.site_id or '-':<36} {one.name}{note}"
            )
        counts = Counter(one.outcome.value for one in results)
        self.stdout.write(
            ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "no sites"
        )
        if not complete:
            self.stdout.write(
                f"Voke has {total} sites, more than were read: plants it does not list are not told"
            )

    def _tell_json(self, results: list[SiteResult], *, complete: bool) -> None:
        document = {"complete": complete, "sites": [asdict(one) for one in results]}
        self.stdout.write(json.dumps(document, ensure_ascii=False, indent=2))
