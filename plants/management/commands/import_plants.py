"""`manage.py import_plants FILE`: plants with assets and time-config blocks from a JSON document."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from esm import clock
from plants.bulk import read_plants
from plants.errors import DomainError, Several
from plants.models import Organisation
from plants.services.bulk import save_sheets
from plants.services.organisations import create_organisation
from plants.services.time_config import Author

MAX_BYTES = 16 * 1024 * 1024


class Command(BaseCommand):
    help = (
        "Import plants from a JSON array (- = standard input): all of them, or none with every problem named."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument(
            "--create", metavar="NAME", help="make the organisation under this name when it is missing"
        )

    @transaction.atomic
    def handle(self, *_args: Any, **options: Any) -> None:
        at = clock.now()
        organisation = self._organisation(options["organisation"], options["create"], at)
        try:
            sheets = read_plants(self._read(options["file"]), organisation=organisation)
            plants = save_sheets(sheets=sheets, author=Author(name="import_plants"), at=at)
        except Several as error:
            raise CommandError(
                "\n".join(f"{one.code} {one.path}: {one.message}" for one in error.problems)
            ) from error
        except DomainError as error:
            raise CommandError(f"{error.code} {error.path}: {error.message}") from error
        self.stdout.write(f"{len(plants)} plants of {organisation.name} imported")

    def _organisation(self, slug: str, name: str | None, at: Any) -> Organisation:
        found = Organisation.objects.filter(slug=slug).first()
        if found is not None:
            return found
        if not name:
            raise CommandError(
                f"--organisation: no organisation has the slug {slug!r}; --create NAME makes it"
            )
        try:
            return create_organisation(name=name, slug=slug, at=at)
        except ValidationError as error:
            raise CommandError(f"--organisation: {'; '.join(error.messages)}") from error

    def _read(self, name: str) -> object:
        try:
            body = sys.stdin.buffer.read(MAX_BYTES + 1) if name == "-" else Path(name).read_bytes()
        except OSError as error:
            raise CommandError(f"FILE: {error.strerror}") from error
        if len(body) > MAX_BYTES:
            raise CommandError("FILE: larger than 16 MB")
        try:
            return json.loads(body)
        except ValueError as error:
            raise CommandError(f"FILE: not JSON: {error}") from error
