"""`manage.py dead_letters list|replay|discard`: what could not be used, and what becomes of it."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from esm import clock
from link.checkup_results import printable
from link.replay import MOST_REPLAYED, ReplayOutcome, replay
from plants.errors import DomainError
from plants.models import DeadLetter
from plants.services.dead_letters import DISCARDED, OPEN, REPLAYED, discard

_STATES = (OPEN, REPLAYED, DISCARDED, "ALL")
_SETTLES = (ReplayOutcome.APPLIED, ReplayOutcome.DUPLICATE, ReplayOutcome.SETTLED)


class Command(BaseCommand):
    help = "List dead letters, pass them through the inbox again after a fix, or discard them with a note."

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="kind", required=True)
        listing = kinds.add_parser("list", help="newest first")
        listing.add_argument("--state", choices=_STATES, default=OPEN)
        listing.add_argument("--limit", type=int, default=50, help="1 to 1000")
        again = kinds.add_parser("replay", help="exit code 1 when one of them is not settled")
        away = kinds.add_parser("discard")
        away.add_argument("--note", required=True, help="why they are not needed; kept in their history")
        for deciding in (again, away):
            deciding.add_argument("letters", metavar="ID", type=int, nargs="*")
            deciding.add_argument(
                "--limit",
                type=int,
                default=MOST_REPLAYED,
                help=f"of those chosen by reason or connection, the oldest so many (1 to {MOST_REPLAYED})",
            )
            deciding.add_argument("--by", default="command line", metavar="NAME", help="who decides")
        for one in kinds.choices.values():
            one.add_argument("--reason", help="only letters with this reason")
            one.add_argument(
                "--connection", type=int, metavar="NUMBER", help="only letters of this connection"
            )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            match options["kind"]:
                case "list":
                    self._list(options)
                case "replay":
                    self._replay(options)
                case _:
                    self._discard(options)
        except DomainError as error:
            raise CommandError(f"{error.code} {error.path}: {error}") from error

    def _list(self, options: dict[str, Any]) -> None:
        rows = _filtered(options)
        if options["state"] != "ALL":
            rows = rows.filter(state=options["state"])
        limit = _bounded(options["limit"], high=1000)
        shown = list(rows.order_by("-last_at", "-pk").defer("body", "headers")[: limit + 1])
        for row in shown[:limit]:
            at = row.last_at.isoformat(timespec="seconds")
            words = f"{row.pk} {row.state} {row.reason} {row.path or '-'} x{row.count} {at}"
            self.stdout.write(printable(f"{words} connection {row.connection_id} {row.routing_key}"))
        if not shown:
            self.stdout.write("none")
        if len(shown) > limit:
            self.stdout.write(f"and more; --limit shows further ones than {limit}")

    def _replay(self, options: dict[str, Any]) -> None:
        done = replay(
            letter_ids=self._chosen(options),
            actor=options["by"],
            at=clock.now(),
            retention_days=settings.TELEMETRY_RETENTION_DAYS,
        )
        for one in done:
            why = f": {one.reason} {one.path} {one.detail}" if one.reason else ""
            self.stdout.write(printable(f"{one.letter_id} {one.outcome.value}{why}"))
        left = sum(one.outcome not in _SETTLES for one in done)
        self.stdout.write(f"{len(done) - left} settled, {left} not")
        if left:
            raise SystemExit(1)

    def _discard(self, options: dict[str, Any]) -> None:
        chosen = self._chosen(options)
        settled = discard(letter_ids=chosen, actor=options["by"], note=options["note"], at=clock.now())
        self.stdout.write(f"{len(settled)} discarded, {len(chosen) - len(settled)} were not open")

    def _chosen(self, options: dict[str, Any]) -> Sequence[int]:
        """The letters that were named, or the oldest open ones of a reason or connection: never all by accident."""
        narrowed = options["reason"] is not None or options["connection"] is not None
        if bool(options["letters"]) == narrowed:
            raise CommandError("name letters by their numbers, or choose them by --reason and --connection")
        if options["letters"]:
            return sorted(set(options["letters"]))
        limit = _bounded(options["limit"], high=MOST_REPLAYED)
        rows = _filtered(options).filter(state=OPEN).order_by("pk")
        return list(rows.values_list("pk", flat=True)[:limit])


def _filtered(options: dict[str, Any]) -> "QuerySet[DeadLetter]":
    rows = DeadLetter.objects.all()
    if options["reason"] is not None:
        rows = rows.filter(reason=options["reason"])
    if options["connection"] is not None:
        rows = rows.filter(connection_id=options["connection"])
    return rows


def _bounded(limit: int, *, high: int) -> int:
    if not 1 <= limit <= high:
        raise CommandError(f"--limit: 1 to {high}")
    return limit
