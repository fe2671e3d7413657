"""`manage.py demo`: the whole loop on this machine, bound to 127.0.0.1, with a modelled Voke inside."""

import os
import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from esm import clock
from esm.demo.environment import VAR_DIR
from esm.demo.installation import ensure_installation
from esm.demo.planned import planned_hours
from esm.demo.run import Demo, DemoOptions, as_line, started_text, what_is_wrong
from esm.demo.tour import TourFailed
from esm.signals import stop_on_signals

HOST = "127.0.0.1"
PORT = 8080


class Command(BaseCommand):
    help = "Run the platform and a modelled Voke in one process until Ctrl-C (--once: one closed loop)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="one closed loop, a summary as JSON, an exit code"
        )
        parser.add_argument("--limit-s", type=float, default=60.0, help="how long --once may take from ready")
        parser.add_argument("--port", type=int, default=PORT, help="0 = a free one")
        parser.add_argument("--seed", type=int, default=1, help="of the modelled plants and their weather")

    def handle(self, *_args: Any, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("the demo is embedded: unset DJANGO_SECRET_KEY or set ESM_MODE=embedded")
        os.umask(0o077)  # what the demo writes is nobody else's business
        stop = stop_on_signals()
        port = options["port"] if _is_free(options["port"]) else _free_port()
        call_command("migrate", interactive=False, verbosity=0)
        installation = ensure_installation(at=clock.now())
        demo = Demo(
            installation=installation,
            options=DemoOptions(
                host=HOST, port=port, journal=VAR_DIR / "voke_sim.sqlite3", seed=options["seed"]
            ),
            clock=clock.now,
            stop=stop,
        )
        demo.start()
        self.stdout.write(started_text(installation, host=HOST, port=port, at=clock.now()))
        if not options["once"]:
            demo.run_forever()
            self.stdout.write("stopped")
            return
        try:
            summary = demo.run_once(limit_s=options["limit_s"])
        except TourFailed as error:
            demo.stop()
            raise CommandError(str(error)) from error
        # After the threads have ended: from here on the process has a clock and a database of its own.
        summary["plan"] = planned_hours(at=clock.now(), seed=options["seed"])
        self.stdout.write(as_line(summary))
        if wrong := what_is_wrong(summary):
            raise CommandError(wrong)


def _is_free(port: int) -> bool:
    if port == 0:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        number: int = probe.getsockname()[1]
        return number
