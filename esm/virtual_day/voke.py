"""The stand-in within a virtual day: its engine over the broker in this process, ticked by hand.

A crash throws the engine away and builds it anew from its journal, with the same source of ids.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from esm.demo.installation import DemoInstallation
from esm.demo.stand_in import stand_in_config
from membroker import MemBroker
from voke_sim.config import ExecutionConfig, SimConfig, SiteConfig, TelemetryConfig
from voke_sim.engine import Engine
from voke_sim.faults import FaultBoard
from voke_sim.ids import seeded_ids
from voke_sim.journal import Journal
from voke_sim.notes import Note
from voke_sim.site import Site
from voke_sim.transport.memory import MemoryTransport, declare_topology

MERIDIAN_H = 1.1
"""So many hours before 12:00 UTC the sun stands highest over the demo's plants."""
PHYSICS_STEP_S = 10.0
TABLES = ("messages", "seen", "effects", "targets", "published", "pulls", "sites")
_WATCH_S = 10.0
"""How closely a command that has begun is looked at, until it has reached its target or was given up."""
_WATCHED_FOR = timedelta(seconds=330)
_NOWHERE = Path(":memory:")


def day_config(
    installation: DemoInstallation, *, begins_at: datetime, period_s: float, seed: int
) -> SimConfig:
    """The demo's stand-in at the real pace of a day: its sun stands as it does at `begins_at`."""
    config = stand_in_config(installation, base_url="http://stand-in.invalid", journal=_NOWHERE, seed=seed)
    return msgspec.structs.replace(
        config,
        sites=tuple(_under_the_sun(site, begins_at) for site in config.sites),
        telemetry=TelemetryConfig(realtime_period_s=period_s, meter_period_s=max(300.0, period_s)),
        execution=ExecutionConfig(stable_plant_s=30.0, deadline_plant_s=300.0),
        reverse=None,
        factor=1.0,
        physics_step_s=PHYSICS_STEP_S,
    )


def _under_the_sun(site: SiteConfig, at: datetime) -> SiteConfig:
    hour = (at.hour + at.minute / 60 + MERIDIAN_H) % 24
    weather = msgspec.structs.replace(
        site.weather, start_day_of_year=min(365, at.timetuple().tm_yday), start_hour=hour
    )
    return msgspec.structs.replace(site, weather=weather)


class Voke:
    """One stand-in that lives through crashes of its own."""

    def __init__(self, config: SimConfig, *, broker: MemBroker, on_note: Callable[[Note], None]) -> None:
        self.config = config
        self.names = config.partner.queue_names
        self.journal = Journal(config.journal_path)
        self._vhost = broker.vhost(config.transport.vhost)
        self._new_id = seeded_ids(config.seed)
        self._on_note = on_note
        declare_topology(self._vhost, self.names, config.partner.prefix)
        self._open()

    def _open(self) -> None:
        transport = MemoryTransport(
            self._vhost,
            self.names,
            routing_prefix=self.config.partner.prefix,
            prefetch=self.config.transport.prefetch,
        )
        transport.start()
        self._transport = transport
        self.engine = Engine(self.config, transport=transport, journal=self.journal, new_id=self._new_id)

    @property
    def faults(self) -> FaultBoard:
        """The misbehaviour in force; a crash forgets what was added."""
        return self.engine.faults

    @property
    def has_mail(self) -> bool:
        """Whether messages of ours wait for it."""
        return any(self._vhost.depth(queue) for queue in self.names.to_voke)

    def tick(self, at: datetime) -> None:
        """Take what came, move the plants forward, say what is to be said."""
        for note in self.engine.tick(at):
            self._on_note(note)

    def crash(self) -> None:
        """End as a killed process does and come back from the journal."""
        self._transport.close()
        self._open()

    def close(self) -> None:
        """Close link and journal."""
        self._transport.close()
        self.journal.close()

    def next_at(self, at: datetime) -> datetime:
        """The first instant after `at` at which the stand-in does something by itself."""
        due = [moment for site in self.engine.sites for moment in _instants(site, at) if moment > at]
        row = self.journal.rows("SELECT MIN(due_at) AS due FROM published WHERE state = 'pending'")[0]
        if row["due"] is not None:
            due.append(max(datetime.fromisoformat(row["due"]), at + timedelta(milliseconds=1)))
        return min(due)

    def digest(self) -> str:
        """SHA-256 over every row of the journal in its order: equal for two runs that were the same."""
        total = hashlib.sha256()
        for line in self.dump():
            total.update(line.encode())
        return total.hexdigest()

    def dump(self) -> Iterator[str]:
        """Every row of the journal as a line of JSON."""
        for table in TABLES:
            for row in self.journal.rows(f"SELECT * FROM {table} ORDER BY 1, 2"):  # noqa: S608 - constants
                yield json.dumps([table, *row.values()], default=_readable, ensure_ascii=False) + "\n"


def _readable(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(f"no value of a journal: {type(value).__name__}")


def _instants(site: Site, at: datetime) -> Iterator[datetime]:
    """When something of a site begins, ends or is reported."""
    yield site.next_realtime_at or at + timedelta(seconds=1)
    yield site.next_meter_at or at + timedelta(seconds=1)
    state = site.state
    slots = [slot for schedule in state.schedules.values() for slot in schedule.slots]
    for setpoint in (*state.setpoints, *slots):
        yield setpoint.valid_from
        if setpoint.valid_until is not None:
            yield setpoint.valid_until
    if state.mode.valid_until is not None:
        yield state.mode.valid_until
    for command in state.open_commands:
        if command.not_before is not None:
            yield command.not_before
        if command.started_at is not None and at - command.started_at < _WATCHED_FOR and not command.deviated:
            yield at + timedelta(seconds=_WATCH_S)
