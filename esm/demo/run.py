"""Runs the demo: an embedded installation, a modelled Voke beside it, and an operator who tries every kind of command.

Everything between the two goes through the wire protocol: HTTP on a loopback port, signed envelopes over the
in-process broker.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from dispatch.models import Command, OutboundMessage, Outcome, PublishedSiteConfig
from dispatch.states import State
from esm.clock import Clock
from esm.demo.audit import Audit, audit
from esm.demo.installation import DemoInstallation
from esm.demo.narrator import Narrator
from esm.demo.planned import TodaysPlan
from esm.demo.stand_in import stand_in_config
from esm.demo.tour import Operator, Step, TourFailed
from esm.embedded import Embedded
from link.memory import MemoryTransport
from membroker import MemBroker
from plants.models import Alarm, MeterReading, TelemetryReading
from vcp import format_timestamp
from voke_sim.simulator import Simulator

START_TIMEOUT_S = 15.0
STEP_TIMEOUT_S = 30.0
DRAIN_TIMEOUT_S = 10.0
AGAIN_AFTER_S = 20.0
_PULLS = ("token", "list", "config", "update")
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """How the demo runs."""

    host: str
    port: int
    journal: Path
    seed: int


class Demo:
    """One run of the demo."""

    def __init__(
        self, *, installation: DemoInstallation, options: DemoOptions, clock: Clock, stop: threading.Event
    ) -> None:
        self._installation = installation
        self._options = options
        self._clock = clock
        self._stop = stop
        self.narrator = Narrator()
        self.broker = MemBroker()
        self._embedded = Embedded(
            host=options.host, port=options.port, transport=MemoryTransport(self.broker), clock=clock
        )
        self._config = stand_in_config(
            installation,
            base_url=f"http://{options.host}:{options.port}",
            journal=options.journal,
            seed=options.seed,
        )
        self._simulator = Simulator(self._config, broker=self.broker, on_note=self.narrator.note)
        self._started_at = clock()

    def start(self) -> None:
        """Start the platform, then the modelled Voke (its first pull must find an open door)."""
        self._simulator.declare_topology()
        self._embedded.start()
        self._simulator.start()
        self._wait_until_published()

    def _wait_until_published(self) -> None:
        """The plants' topology must have reached the modelled Voke before the first device command."""
        pending = OutboundMessage.objects.filter(
            connection=self._installation.connection, outcome=Outcome.PENDING
        )
        published = PublishedSiteConfig.objects.filter(connection=self._installation.connection)
        deadline = time.monotonic() + START_TIMEOUT_S
        while pending.exists() or published.count() < 2 * len(self._installation.plants):
            if time.monotonic() > deadline:
                raise TourFailed(f"the plants' site config was not published within {START_TIMEOUT_S:g} s")
            if self._stop.wait(_POLL_S):
                return

    def run_once(self, *, limit_s: float) -> dict[str, object]:
        """One closed loop: the summary, or `TourFailed` with the reason when it takes longer than `limit_s`."""
        deadline = time.monotonic() + limit_s
        done = self._tour(lambda: min(STEP_TIMEOUT_S, deadline - time.monotonic()))
        self._wait_until_seen(deadline)
        return self._summary(done, self.stop())

    def run_forever(self) -> None:
        """The tour again and again, with pauses, and a plan of today beside it, until the stop event."""
        plan = TodaysPlan(
            installation=self._installation,
            config=self._config,
            plant_time_s=self._simulator.plant_time_s,
            say=lambda text, at: self.narrator.say(text, at=at),
        )
        planner = threading.Thread(
            target=plan.run, args=(self._stop,), kwargs={"clock": self._clock}, name="planner", daemon=True
        )
        planner.start()
        aside = False
        while not self._stop.is_set():
            if not self._operator().is_free():
                if not aside:
                    self.narrator.say("operator  steps aside: a person commands here", at=self._clock())
                aside = True
                self._stop.wait(AGAIN_AFTER_S)
                continue
            aside = False
            try:
                self._tour(lambda: STEP_TIMEOUT_S)
            except TourFailed as error:
                self.narrator.say(f"operator  {error}", at=self._clock())
            self._stop.wait(AGAIN_AFTER_S)
        planner.join(STEP_TIMEOUT_S)
        result = self.stop()
        self.narrator.say(f"lost {result.lost}, doubled {result.doubled}")

    def stop(self) -> Audit:
        """Stop in the order that loses nothing, and compare both sides."""
        self._embedded.stop_publishing()
        self._simulator.stop()
        self._drain()
        self._embedded.stop_consuming()
        return audit(
            connection=self._installation.connection, journal=self._simulator.journal, since=self._started_at
        )

    def _operator(self) -> Operator:
        return Operator(
            organisation=self._installation.organisation,
            clock=self._clock,
            say=lambda text: self.narrator.say(text, at=self._clock()),
            stop=self._stop,
        )

    def _tour(self, patience_s: Callable[[], float]) -> list[tuple[Step, Command]]:
        return list(self._operator().run(patience_s))

    def _drain(self) -> None:
        """Wait until the consumer has taken what the broker still holds."""
        vhost = self.broker.vhost(self._installation.connection.vhost)
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        waiting = threading.Event()
        while time.monotonic() < deadline:
            if not any(vhost.depth(queue) for queue in self._simulator.names.to_partner):
                return
            waiting.wait(_POLL_S)

    def _wait_until_seen(self, deadline: float) -> None:
        while missing := self._missing():
            if time.monotonic() > deadline:
                raise TourFailed(f"not seen in time: {', '.join(missing)}")
            if self._stop.wait(_POLL_S):
                raise TourFailed("stopped")

    def _missing(self) -> list[str]:
        pulled = self._pulled()
        missing = [name for name in _PULLS if not pulled[name]]
        since = self._started_at - timedelta(seconds=1)
        rows: Mapping[str, bool] = {
            "telemetry": TelemetryReading.objects.filter(measured_at__gte=since).exists(),
            "meter": MeterReading.objects.filter(reading_at__gte=since).exists(),
            "alarm": Alarm.objects.filter(received_at__gte=since).exists(),
        }
        return missing + [name for name, seen in rows.items() if not seen]

    def _pulled(self) -> dict[str, int]:
        """Answered requests of the modelled Voke in this run, by kind."""
        rows = self._simulator.journal.rows(
            "SELECT kind, COUNT(*) AS n FROM pulls WHERE at >= ? AND status BETWEEN 200 AND 399 GROUP BY kind",
            format_timestamp(self._started_at),
        )
        return dict.fromkeys(_PULLS, 0) | {row["kind"]: row["n"] for row in rows}

    def _summary(self, done: list[tuple[Step, Command]], result: Audit) -> dict[str, object]:
        names = {step.name for step, _ in done}
        completed = Counter(step.name for step, command in done if command.state == State.COMPLETED)
        return {
            "pulled": self._pulled(),
            "completed": {name: completed[name] for name in sorted(names - {"rejected"})},
            "rejected": sum(command.state == State.REJECTED for _, command in done),
            "rows": {
                "telemetry": result.telemetry_rows,
                "meter": result.meter_rows,
                "alarm": result.alarm_rows,
                "event": result.event_rows,
            },
            "lost": result.lost,
            "duplicated": result.doubled,
            "seconds": round((self._clock() - self._started_at).total_seconds(), 1),
        }


def as_line(summary: Mapping[str, object]) -> str:
    """The summary as one line of JSON."""
    return json.dumps(summary, ensure_ascii=False)


def what_is_wrong(summary: Mapping[str, object]) -> str:
    """Why the loop does not count as closed; empty when nothing was lost, nothing doubled, and a plan was followed."""
    if summary["lost"] or summary["duplicated"]:
        return "something was lost or doubled"
    plan = summary["plan"]
    if not isinstance(plan, Mapping) or not plan["verified"]:
        return "no slot of the plan was verified by measurement"
    return ""


def started_text(installation: DemoInstallation, *, host: str, port: int, at: datetime) -> str:
    """What a newcomer needs to know, with the generated secrets of this demo."""
    base = f"http://{host}:{port}"
    body = json.dumps({"clientId": installation.client_id, "clientSecret": installation.client_secret})
    return f"""
  Console           {base}/console/
  Admin             {base}/admin/
  Login             {installation.login} / {installation.password}
  Reverse channel   {base}/trading/…
  Client id         {installation.client_id}
  Client secret     {installation.client_secret}

  Try it:  curl -s {base}/trading/token -H 'Content-Type: application/json' -d '{body}'
"""
