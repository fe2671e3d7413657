"""Live data measured: from the wire to a frame at an HTTP client, what streams cost, what announcing costs the ingest.

    python -m bench.live full | embedded | full-screen | embedded-screen | announce | streams

prints its values as one line of JSON. `full`: RabbitMQ, PostgreSQL, Redis, `manage.py consume` and `manage.py web` as
processes; `embedded`: the demo's one process. A plant's values and an alarm are published every 125 ms in turn; the
time runs from the publication until a client has read the whole frame, or (`-screen`) until the document of a browser
has changed: a plant's row of the fleet, the number of new alarms in the inbox.
`announce`: the ingest row (filled queues -> committed rows) with announcements to Redis as a share of the rate without.
`streams`: threads of a web server, and its answers a second, with a hundred open streams beside none.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import httpx

WARM_UP, EVERY_S, ROUNDS, STREAMS = 5, 0.125, 7, 100
SAMPLES = int(os.environ.get("BENCH_LIVE_SAMPLES", "160"))
ROOT = Path(__file__).resolve().parent.parent
AHEAD = timedelta(minutes=1)
"""The demo's stand-in speaks of the same plants: ours are the newer values."""
os.environ.setdefault("TWO_FACTOR", "optional")


@dataclass(frozen=True, kw_only=True)
class House:
    """A running installation: who looks at it, and how Voke's words get onto its wire."""

    port: int
    cookies: str
    voice: Any
    sites: Sequence[str]
    publish: Callable[[Any], None]


def main() -> None:
    """Command line."""
    what: dict[str, Callable[[], object]] = {
        "full": lambda: _in(full, heard),
        "embedded": lambda: _in(embedded, heard),
        "full-screen": lambda: _in(full, seen),
        "embedded-screen": lambda: _in(embedded, seen),
        "announce": announce,
        "streams": streams,
    }
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in what:
        sys.exit(__doc__)
    print(json.dumps({name: what[name]()}))


def _in(house: Callable[[], AbstractContextManager[House]], measure: Callable[[House], object]) -> object:
    with house() as running:
        return measure(running)


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(one * 1000 for one in seconds)
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[ceil(0.99 * len(ordered)) - 1], 1),
        "samples": len(ordered),
    }


class Watching:
    """A stream that notes when each thing was heard."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._heard: dict[tuple[str, str], float] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            frame = self._stream.next("live")
            now = perf_counter()
            with self._changed:
                for _, event in frame.data:
                    data = event["data"]
                    name = data.get("measured_at") or data.get("code") or event["key"]
                    self._heard.setdefault((event["topic"], name), now)
                self._changed.notify_all()

    def at(self, topic: str, key: str) -> float:
        """When it was heard; waits for it."""
        with self._changed:
            if not self._changed.wait_for(lambda: (topic, key) in self._heard, 60):
                raise TimeoutError(f"{topic} {key} was not heard")
            return self._heard[topic, key]


def _latencies(heard_at: Callable[[str, str], float], house: House) -> dict[str, Any]:
    """Each value is known by its time, each alarm by a code of its own."""
    from esm import clock  # noqa: PLC0415 - after the settings

    pause, values, alarms = threading.Event(), [], []
    warm_up = len(house.sites)  # what a plant says first gives its row another shape
    for number in range(warm_up + SAMPLES):
        site = house.sites[number % len(house.sites)]
        at = (clock.now() + AHEAD).replace(microsecond=number * 1000)
        began = perf_counter()
        house.publish(house.voice.realtime(site, at=at))
        values.append(heard_at("plant", at.isoformat()) - began)
        pause.wait(EVERY_S)
        code = f"BENCH_{at.timestamp():.0f}_{number}"
        wire = house.voice.alarm(site, code, at=at - AHEAD)
        wire = replace(wire, body=wire.body.replace(b"CONSTRAINT_VIOLATION", code.encode()))
        began = perf_counter()
        house.publish(wire)
        alarms.append(heard_at("alarm", code) - began)
        pause.wait(EVERY_S)
    return {"values": _figures(values[warm_up:]), "alarms": _figures(alarms[warm_up:])}


def _cookies(organisation: Any) -> str:
    from django.test import Client  # noqa: PLC0415

    from plants.models import User  # noqa: PLC0415

    person, _ = User.objects.get_or_create(username="bench", organisation=organisation, role="VIEWER")
    client = Client()
    client.force_login(person)
    return "; ".join(f"{name}={one.value}" for name, one in client.cookies.items())


@contextmanager
def _web(world: Any) -> Iterator[tuple[int, int]]:
    """(port, process id)."""
    from tests.services.proc import ManagedProcess, free_port, wait_until  # noqa: PLC0415

    with TemporaryDirectory() as scratch:
        port = free_port()
        process = ManagedProcess(
            "web",
            [sys.executable, "manage.py", "web", "--port", str(port)],
            log_file=Path(scratch) / "web.log",
            env={"PATH": os.environ["PATH"], "PULSE_DIR": scratch, **world.environment},
            cwd=ROOT,
        )
        try:
            wait_until(lambda: _answers(port), timeout_s=60, what="the web server answers", process=process)
            yield port, process.pid
        finally:
            process.terminate()


def _collect_static(world: Any) -> None:
    """What a browser needs of the pages."""
    words = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    environment = {"PATH": os.environ["PATH"], **world.environment}
    subprocess.run(words, cwd=ROOT, env=environment, check=True, timeout=120)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _installation() -> Iterator[Any]:
    from bench.world import World  # noqa: PLC0415

    with World(quick=True) as world:
        world.environment |= {"TWO_FACTOR": "optional", "LIVE_STREAMS_PER_PERSON": "200"}
        os.environ.update(world.environment)
        yield world


def _open(port: int, cookies: str, topics: str) -> Any:
    from tests.live.sse import open_stream  # noqa: PLC0415
    from tests.web_server import Running  # noqa: PLC0415

    server = Running(port=port, stop=threading.Event(), thread=threading.current_thread())
    stream = open_stream(server, cookies, topics, timeout_s=120)
    if stream.status != 200:
        sys.exit(f"no stream: {stream.status}")
    stream.next("hello")
    return stream


@contextmanager
def full() -> Iterator[House]:
    """Processes of a full installation, nothing else going on."""
    with _installation() as world, ExitStack() as stack:
        import pika  # noqa: PLC0415

        from bench.house import processes  # noqa: PLC0415
        from bench.messages import Voice  # noqa: PLC0415
        from esm import clock  # noqa: PLC0415
        from plants.services.partitions import ensure_partitions  # noqa: PLC0415

        side = world.side()
        sites = [str(one.voke_uuid) for one in world.plants(side.connection, 50)]
        ensure_partitions(days=[clock.now().date()])
        world.environment["STATIC_ROOT"] = stack.enter_context(TemporaryDirectory())
        _collect_static(world)
        stack.enter_context(processes(world, [side], "consume"))
        port, _ = stack.enter_context(_web(world))
        channel = stack.enter_context(world.rabbit.voke_connection(side.partner)).channel()
        persistent = pika.BasicProperties(content_type="application/json", delivery_mode=2)
        yield House(
            port=port,
            cookies=_cookies(side.connection.organisation),
            voice=Voice(prefix=side.partner.slug),
            sites=sites,
            publish=lambda wire: channel.basic_publish("vcp", wire.routing_key, wire.body, persistent),
        )


@contextmanager
def embedded() -> Iterator[House]:
    """The demo's one process over an empty database; its stand-in pulls, and is silent of what is measured."""
    # Voices repeat their message ids: in a database that heard one before, nothing of it is new.
    with TemporaryDirectory() as scratch:
        os.environ["ESM_VAR_DIR"] = scratch
        from bench import embedded_run as run  # noqa: PLC0415 - sets Django up
        from voke_sim.faults import FaultKind, FaultRule  # noqa: PLC0415

        run.call_command("migrate", interactive=False, verbosity=0)
        installation = run.ensure_installation(at=run.clock.now())
        options = run.DemoOptions(
            host="127.0.0.1", port=run._free_port(), journal=run.VAR_DIR / "live.sqlite3", seed=1
        )
        demo = run.Demo(
            installation=installation, options=options, clock=run.clock.now, stop=threading.Event()
        )
        demo.start()
        # Of a plant's values two a second go out: two voices of one plant would measure each other's turns.
        demo._simulator.faults.add(FaultRule(kind=FaultKind.DROP, families=("event.telemetry",)))
        try:
            link = installation.connection
            vhost = demo.broker.vhost(link.vhost)
            yield House(
                port=options.port,
                cookies=_cookies(link.organisation),
                voice=run.Voice(prefix=link.routing_prefix),
                sites=[str(plant.voke_uuid) for plant in installation.plants],
                publish=lambda wire: vhost.publish(run.Message(routing_key=wire.routing_key, body=wire.body)),
            )
        finally:
            demo.stop()


def heard(house: House) -> dict[str, Any]:
    """Until an HTTP client has read the whole frame."""
    watching = Watching(_open(house.port, house.cookies, "plant|alarm"))
    return _latencies(watching.at, house)


def seen(house: House) -> dict[str, Any]:
    """Until the document of a browser has changed: a plant's row of the fleet, the inbox's number of new alarms."""
    from bench.screen import Screen  # noqa: PLC0415

    with Screen(port=house.port, cookies=house.cookies) as screen:
        return _latencies(screen.at, house)


def announce() -> dict[str, Any]:
    """Messages a second of the ingest, announcing to Redis and telling nobody, in turns."""
    with _installation() as world:
        from bench.rows.ingest import Telemetry  # noqa: PLC0415
        from live import feed  # noqa: PLC0415

        telemetry, put, ratios, rates = Telemetry(world), feed.publish, [], {"telling": [], "silent": []}
        telemetry.ours()
        for number in range(ROUNDS):
            one: dict[str, float] = {}
            for name in ("telling", "silent") if number % 2 else ("silent", "telling"):
                feed.publish = put if name == "telling" else (lambda _: None)  # type: ignore[assignment]
                one[name] = telemetry.ours()
                rates[name].append(one[name])
            ratios.append(one["telling"] / one["silent"])
        return {
            "ratio": round(statistics.median(ratios), 3),
            **{name: round(statistics.median(found)) for name, found in rates.items()},
        }


def streams() -> dict[str, Any]:
    """Answers a second of `/healthz` and a page, and threads of the process, with streams and without."""
    with _installation() as world, _web(world) as (port, pid):
        side = world.side()
        cookies = _cookies(side.connection.organisation)
        found: dict[str, list[float]] = {"none": [], "streams": []}
        threads: dict[str, int] = {}
        for _ in range(3):
            for name in found:
                open_ones = [
                    _open(port, cookies, "plant|command") for _ in range(STREAMS * (name == "streams"))
                ]
                found[name].append(_answers_a_second(port, cookies))
                threads[name] = len(list(Path(f"/proc/{pid}/task").iterdir()))
                for one in open_ones:
                    one.close()
                threading.Event().wait(0.5)
        ratios = [
            with_them / without for with_them, without in zip(found["streams"], found["none"], strict=True)
        ]
        return {"ratio": round(statistics.median(ratios), 3), "threads": threads}


def _answers_a_second(port: int, cookies: str) -> float:
    count, began = 0, perf_counter()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Cookie": cookies}) as client:
        while perf_counter() - began < 4:
            client.get("/console/live/?topics=plant&probe=1").raise_for_status()
            count += 1
    return count / (perf_counter() - began)


if __name__ == "__main__":
    main()
