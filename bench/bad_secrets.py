"""What 1,000 bad secrets a second from one address do to another client's `plant/config`.

    python -m bench.bad_secrets [--rounds 5] [--seconds 8] [--rate 1000] [--connections 50 | --fresh]

Runs `manage.py web` on a private PostgreSQL (durable) and Redis. A good client at 127.0.0.1 asks for a plant's config
50 times a second over one connection and gets the whole answer each time. Rounds of two phases: idle, then under fire
from 127.0.0.2, a process of its own (bench/guesser.py), which guesses the secret of the good client's own client id:
over 50 connections that stay (or as many as --connections says), or (--fresh) with a new connection for every guess, up
to 2,000 in flight, whatever the server does to them.
Prints per phase the median over the rounds of p50, p99 and the longest answer in ms, then what became of the guesses,
and the ratio of the p99s.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import perf_counter

import django
from django.core.management import call_command

from bench import guesser
from scripts.production_env import production_environment
from tests.services.postgres import PostgresServer
from tests.services.proc import ManagedProcess, free_port, wait_until
from tests.services.redis import RedisServer

ROOT = Path(__file__).resolve().parent.parent
GOOD = "127.0.0.1"
PULLS_PER_S = 50


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Latencies of one phase in ms, and how many guesses a second ended how in it."""

    latencies_ms: Sequence[float]
    guesses_per_s: Counter[str]

    def percentile(self, share: float) -> float:
        """The latency that this share of the answers did not exceed."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The server under test and the good client's credentials."""

    port: int
    client_id: str
    client_secret: str
    plant: str


# --- the server -----------------------------------------------------------------------------------------------------
@contextmanager
def web(environment: dict[str, str], directory: Path) -> Iterator[int]:
    """`manage.py web` until the block ends; its port."""
    port = free_port()
    command = [sys.executable, "manage.py", "web", "--host", GOOD, "--port", str(port)]
    process = ManagedProcess("web", command, log_file=directory / "web.log", env=environment, cwd=ROOT)
    try:
        wait_until(lambda: _answers(port), timeout_s=60, what="web answers")
        yield port
    finally:
        process.terminate()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(GOOD, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def populate(port: int) -> Target:
    """Tables, a plant with a config, credentials."""
    django.setup()
    from esm import clock  # noqa: PLC0415 - models need the settings of this run
    from plants.models import TimeConfigOrigin  # noqa: PLC0415
    from plants.services.time_config import Author, set_time_config  # noqa: PLC0415
    from plants.time_config import Block  # noqa: PLC0415
    from tests import factories  # noqa: PLC0415
    from trading_api.services import issue_credentials  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    plant = factories.plant()
    day = Block(
        start_minute=0, end_minute=1440, p_bat_min_kw=-10, p_bat_max_kw=10, soc_min_pct=20, soc_max_pct=95
    )
    set_time_config(
        plant_id=plant.pk,
        blocks=[day],
        origin=TimeConfigOrigin.PERSON,
        author=Author(name="bench"),
        at=clock.now(),
    )
    issued = issue_credentials(organisation=plant.organisation, at=clock.now())
    return Target(
        port=port,
        client_id=issued.credential.client_id,
        client_secret=issued.secret.reveal(),
        plant=plant.external_plant_id,
    )


# --- the good client ------------------------------------------------------------------------------------------------
def token(target: Target) -> str:
    """A token for the good client; fails when it is locked out."""
    connection = http.client.HTTPConnection(GOOD, target.port, timeout=20)
    body = json.dumps({"clientId": target.client_id, "clientSecret": target.client_secret})
    connection.request("POST", "/trading/token", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"the good client was refused a token: {answer.status}")
    text: str = json.load(answer)["accessToken"]
    connection.close()
    return text


def pull(target: Target, seconds: float) -> list[float]:
    """Ask for the config PULLS_PER_S times a second for so long; the latencies in ms."""
    connection = http.client.HTTPConnection(GOOD, target.port, timeout=20)
    headers = {"Authorization": f"Bearer {token(target)}"}
    latencies, pace, started = [], Event(), perf_counter()
    for number in range(int(seconds * PULLS_PER_S)):
        pace.wait(max(0.0, started + number / PULLS_PER_S - perf_counter()))
        asked = perf_counter()
        connection.request("GET", f"/trading/plant/config?plantId={target.plant}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        latencies.append((perf_counter() - asked) * 1000)
        if answer.status != 200:
            raise SystemExit(f"the good client was answered {answer.status}")
    connection.close()
    return latencies


def under_fire(target: Target, *, rate: int, seconds: float, connections: int) -> Phase:
    """The good client's phase while the attacker runs."""
    fire_s = seconds + 2
    command = [sys.executable, "-m", "bench.bad_secrets", "--attack", str(target.port), target.client_id]
    command += ["--connections", str(connections)]
    attacker = subprocess.Popen(
        [*command, "--rate", str(rate), "--seconds", str(fire_s)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert attacker.stdout is not None
    attacker.stdout.readline()  # its connections stand
    latencies = pull(target, seconds)
    told, _ = attacker.communicate(timeout=fire_s + 30)
    answered = {outcome: times / fire_s for outcome, times in json.loads(told).items()}
    return Phase(
        latencies_ms=latencies, guesses_per_s=Counter({key: round(n) for key, n in answered.items()})
    )


def run(*, rounds: int, seconds: float, rate: int, connections: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch, PostgresServer() as postgres, RedisServer() as redis:
        settings = production_environment(
            DATABASE_URL=postgres.url,
            REDIS_URL=redis.url,
            ALLOWED_HOSTS=GOOD,
            SSL_REDIRECT="false",
            LOG_LEVEL="WARNING",
        )
        os.environ.update(settings)
        with web({"PATH": os.environ["PATH"], **settings}, Path(scratch)) as port:
            target = populate(port)
            pull(target, 2)  # warm
            idle, fire = [], []
            for _ in range(rounds):
                idle.append(Phase(latencies_ms=pull(target, seconds), guesses_per_s=Counter()))
                fire.append(under_fire(target, rate=rate, seconds=seconds, connections=connections))
            report(idle, fire)


def report(idle: Sequence[Phase], fire: Sequence[Phase]) -> None:
    """The table."""
    print(f"plant/config of a good client, ms, median of {len(idle)} rounds   p50    p99    longest")
    for name, phases in (("idle", idle), ("under fire", fire)):
        p50, p99, longest = (
            statistics.median(phase.percentile(share) for phase in phases) for share in (0.5, 0.99, 1.0)
        )
        print(f"{name:<60} {p50:6.1f} {p99:6.1f} {longest:8.1f}")
    ratios = [
        after.percentile(0.99) / before.percentile(0.99) for before, after in zip(idle, fire, strict=True)
    ]
    total = sum((phase.guesses_per_s for phase in fire), Counter[str]())
    outcomes = ", ".join(f"{name}: {times / len(fire):.0f}/s" for name, times in sorted(total.items()))
    print(f"guesses: {outcomes}")
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"p99 under fire / p99 idle: {statistics.median(ratios):.2f} (rounds: {shown})")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--fresh", action="store_true", help="A new connection for every guess.")
    parser.add_argument("--attack", nargs=2, metavar=("PORT", "CLIENT_ID"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    connections = 0 if asked.fresh else asked.connections
    if asked.attack:
        port, client_id = asked.attack
        outcomes = guesser.guess(
            int(port), client_id, rate=asked.rate, seconds=asked.seconds, connections=connections
        )
        print(json.dumps(outcomes))
    else:
        run(rounds=asked.rounds, seconds=asked.seconds, rate=asked.rate, connections=connections)


if __name__ == "__main__":
    main()
