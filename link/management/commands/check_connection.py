"""`manage.py check_connection NAME|ID`: walk a connection from DNS to the REST key; what is wrong, and its fix."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from esm import clock
from link.checkup import CheckOptions, CheckResult, Verdict, checks
from link.management.choosing import connection_called
from plants.models import Connection


class Command(BaseCommand):
    help = (
        "Check a connection step by step: host, TLS, login, vhost, queues, permission to publish, events, signature, "
        "clocks, REST key. Exit code 1 when a step failed. Never shows a secret."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("connection", metavar="NAME|ID", help="name or number of the connection")
        parser.add_argument(
            "--organisation", metavar="SLUG", help="needed when two organisations use the name"
        )
        parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
        parser.add_argument(
            "--publish",
            action="store_true",
            help="try publishing on a connection that only observes, too (a probe that no queue takes)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        connection = connection_called(options["connection"], options["organisation"])
        results = []
        if not options["json"]:
            self.stdout.write(f"connection {connection.pk} {connection.name!r}, {connection.mode}")
        for result in checks(connection, clock=clock.now, options=_options(publish=options["publish"])):
            results.append(result)
            if not options["json"]:
                self._tell(result)
        if options["json"]:
            self.stdout.write(json.dumps(_document(connection, results), ensure_ascii=False, indent=2))
        else:
            self.stdout.write(_summary(results))
        if any(one.verdict is Verdict.FAILED for one in results):
            raise SystemExit(1)

    def _tell(self, result: CheckResult) -> None:
        self.stdout.write(f"{result.verdict.value:<8} {result.step.value:<10} {result.words}")
        if result.fix and result.verdict is not Verdict.OK:
            self.stdout.write(f"{'':<19} -> {result.fix}")
        self.stdout.flush()


def _options(*, publish: bool) -> CheckOptions:
    return CheckOptions(
        ca_file=settings.AMQP_CA_FILE or None,
        over_network=settings.LINK_TRANSPORT == "amqps",
        publish=publish,
        ack_timeout_s=settings.ACK_TIMEOUT_S,
    )


def _summary(results: Sequence[CheckResult]) -> str:
    counts = [(verdict, sum(one.verdict is verdict for one in results)) for verdict in Verdict]
    return ", ".join(f"{count} {verdict.value}" for verdict, count in counts if count)


def _document(connection: Connection, results: Sequence[CheckResult]) -> dict[str, Any]:
    return {
        "connection": connection.pk,
        "name": connection.name,
        "at": clock.now().isoformat(),
        "ok": not any(one.verdict is Verdict.FAILED for one in results),
        "steps": [
            {
                "step": one.step.value,
                "verdict": one.verdict.value,
                "code": one.code,
                "words": one.words,
                "fix": one.fix,
                "facts": one.facts,
            }
            for one in results
        ],
    }
