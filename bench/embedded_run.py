"""`manage.py demo` with questions: the same process, threads and stand-in, and nobody's tour.

    python -m bench.embedded_run EVENTS IDLE_S     prints its values as one line of JSON

Idle: processor time of the process over IDLE_S seconds, of one core, while the stand-in's three plants report each
second and Voke pulls. Then EVENTS realtime messages are published into the broker as fast as its queue takes them,
until each is a row. Resident memory is read after that.
"""

import json
import os
import socket
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from time import perf_counter, process_time

import django
from django.core.management import call_command

from esm.demo.environment import VAR_DIR, load_demo_environment

load_demo_environment(["manage.py", "demo"])
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esm.settings")
django.setup()

from bench.messages import Voice  # noqa: E402 - after the settings
from esm import clock  # noqa: E402
from esm.demo.installation import DemoInstallation, ensure_installation  # noqa: E402
from esm.demo.run import Demo, DemoOptions  # noqa: E402
from membroker import Message  # noqa: E402
from plants.models import TelemetryReading  # noqa: E402

SETTLE_S = 2.0
MOST_WAITING = 500
WITHIN_S = 240.0


def main() -> None:
    """Command line."""
    events, idle_s = int(sys.argv[1]), float(sys.argv[2])
    call_command("migrate", interactive=False, verbosity=0)
    installation = ensure_installation(at=clock.now())
    options = DemoOptions(host="127.0.0.1", port=_free_port(), journal=VAR_DIR / "voke_sim.sqlite3", seed=1)
    demo = Demo(installation=installation, options=options, clock=clock.now, stop=Event())
    demo.start()
    try:
        values = {"embedded_idle": _idle_pct(idle_s)}
        values["embedded_events"] = _events_per_s(demo, installation, events)
        values["embedded_memory"] = _resident_mib()
    finally:
        result = demo.stop()
    if result.lost or result.doubled:
        sys.exit(f"lost {result.lost}, doubled {result.doubled}")
    print(json.dumps(values))


def _idle_pct(seconds: float) -> float:
    pause = Event()
    pause.wait(SETTLE_S)
    began, spent = perf_counter(), process_time()
    pause.wait(seconds)
    return 100 * (process_time() - spent) / (perf_counter() - began)


def _events_per_s(demo: Demo, installation: DemoInstallation, count: int) -> float:
    link = installation.connection
    voice = Voice(prefix=link.routing_prefix)
    sites = [str(plant.voke_uuid) for plant in installation.plants]
    start = (clock.now() - timedelta(days=1)).replace(microsecond=0)
    wires = [voice.realtime(sites[n % len(sites)], at=start + timedelta(seconds=n)) for n in range(count)]
    vhost, queue = demo.broker.vhost(link.vhost), f"vcp.{link.queue_prefix}.event.telemetry"
    pause, began = Event(), perf_counter()
    for number, wire in enumerate(wires):
        if number % 50 == 0:
            while vhost.depth(queue) > MOST_WAITING:
                pause.wait(0.002)
        vhost.publish(Message(routing_key=wire.routing_key, body=wire.body))
    while (stored := _stored(installation, start, count)) < count:
        if perf_counter() - began > WITHIN_S:
            raise TimeoutError(f"{stored} of {count} events were stored")
        pause.wait(0.02)
    return count / (perf_counter() - began)


def _stored(installation: DemoInstallation, start: datetime, count: int) -> int:
    """Rows of the published events: the stand-in speaks of today."""
    end = start + timedelta(seconds=count)
    plants: Sequence[int] = [plant.pk for plant in installation.plants]
    return TelemetryReading.objects.filter(
        plant__in=plants, measured_at__gte=start, measured_at__lt=end
    ).count()


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc tells no VmRSS")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


if __name__ == "__main__":
    main()
