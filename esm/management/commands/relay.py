"""`manage.py relay`."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from esm import clock
from esm.metrics import serve_metrics
from esm.pulse import Pulse
from esm.signals import stop_on_signals
from esm.tick_guard import tick_guard
from link.run import relay_supervisor
from link.targets import amqps_transport


class Command(BaseCommand):
    # As `web`: the deployment's migration step runs the checks. They would load every page here.
    requires_system_checks: list[str] = []
    help = "Publish the outbox of every active connection to Voke's broker; any number may run, SIGTERM stops cleanly."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if settings.LINK_TRANSPORT != "amqps":
            raise CommandError("the embedded mode runs this loop inside `manage.py demo`")
        stop = stop_on_signals()
        pulse = Pulse("relay")
        self.stdout.write("relay: running")
        self.stdout.flush()
        serve_metrics(stop)
        guard = tick_guard()
        relay_supervisor(
            transport=amqps_transport(), clock=clock.now, alive=pulse.beat, on_turn=guard.turn
        ).run(stop)
        pulse.stop()
        self.stdout.write("relay: stopped")
