"""The stage of a run: private servers, the organisation with its plants, the stand-ins, the taps, the processes."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import psycopg
from django.db import connections

from dispatch.services.site_config import switch_connection
from esm import clock
from plants.models import Connection, ConnectionMode, Organisation, Plant
from plants.services.connections import import_bundle
from tests import factories
from tests.contract.world import site_of
from tests.faults import settings as private
from tests.faults.processes import CONSUMERS, RELAYS, Processes
from tests.faults.sockets import owner_of
from tests.faults.tap import Tap
from tests.services.migrated import add_migrated_database
from tests.services.partner import Partner, amqps_uri
from tests.services.proc import remove_directory
from tests.services.proxy import Proxy
from tests.services.rabbit import RabbitServer
from vcp import KeyDecoding, parse_amqps_uri, parse_bundle
from voke_sim.config import (
    ExecutionConfig,
    PartnerConfig,
    RestConfig,
    SimConfig,
    TelemetryConfig,
    TransportConfig,
)

PLANTS = 6
RELAY_LANE = "relay"
CONSUME_LANE = "consume"
STAND_IN = "stand-in"
_REST_KEY = "faults"


@dataclass(kw_only=True)
class Side:
    """Voke's side of one partner key: its vhost, our connection to it, its stand-in's process and journal."""

    partner: Partner
    connection: Connection
    tap: Tap
    process: str
    journal: Path
    rest_url: str = ""


class Stage:
    """Everything a run needs, from `with` to its end. Nothing of it is shared with another run."""

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self.directory = private.DIRECTORY
        self.postgres, self.redis = private.POSTGRES, private.REDIS
        self.rabbit = RabbitServer()
        self.processes = Processes(self.directory)
        self.sides: list[Side] = []
        self.plants: list[Plant] = []
        self._leap_lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start_servers()
            self._make_world()
            self.processes.start(*self.processes.names())
            self.find_rest(self.sides[0])
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_servers(self) -> None:
        stack = self._stack
        stack.callback(remove_directory, self.directory)
        for server in (self.postgres, self.redis, self.rabbit):
            stack.enter_context(server)
        shutil.copy(self.rabbit.ca_file, private.CA_FILE)
        self.proxy = stack.enter_context(Proxy(self.rabbit.port, lane_of=self._lane_of))
        stack.callback(connections.close_all)
        stack.callback(self.processes.kill)
        self.postgres.drop_database("esm")
        add_migrated_database(self.postgres, "esm")

    def _lane_of(self, port: int) -> str:
        name = owner_of(port, pids=self.processes.pids())
        if name in RELAYS:
            return RELAY_LANE
        return CONSUME_LANE if name in CONSUMERS else "other"

    def _make_world(self) -> None:
        self.organisation: Organisation = factories.organisation()
        side = self.add_side()
        switch_connection(connection=side.connection, mode=ConnectionMode.ACTIVE, at=clock.now())
        for _ in range(PLANTS):
            self.plants.append(factories.plant(on=side.connection))
        self.write_stand_in(side)

    def add_side(self) -> Side:
        """A further partner key of the organisation: bundle imported, tapped; its stand-in is not started."""
        partner = self.rabbit.lease_partner()
        name = STAND_IN if not self.sides else f"{STAND_IN}-{len(self.sides) + 1}"
        side = Side(
            partner=partner,
            connection=self._connect(partner),
            tap=Tap(self.rabbit, partner),
            process=name,
            journal=self.directory / f"{name}.sqlite3",
        )
        side.tap.open()
        self._stack.callback(side.tap.close)
        self.sides.append(side)
        return side

    def _connect(self, partner: Partner) -> Connection:
        address = parse_amqps_uri(partner.uri)
        through_proxy = amqps_uri(address.username, address.password, self.proxy.port, address.vhost)
        return import_bundle(
            organisation=self.organisation,
            bundle=parse_bundle(json.dumps(partner.bundle() | {"amqpsUri": through_proxy}).encode()),
            name=f"key {partner.key_id}",
            source="ref-esm",
            scopes=[],
            sign_emergency=True,
            key_decoding=KeyDecoding.HEX,
            at=clock.now(),
        )

    def write_stand_in(self, side: Side) -> None:
        """Write the stand-in's configuration and make it known as a process."""
        config = SimConfig(
            partner=PartnerConfig(
                slug=side.partner.slug,
                signing_key=side.partner.signing_key,
                queues=side.partner.queues,
                signed_families=tuple(side.connection.signed_families),
            ),
            transport=TransportConfig(
                uri=side.partner.voke_uri,
                ca_file=str(self.rabbit.ca_file),
                heartbeat_s=3,
                confirm_timeout_s=3.0,
                reconnect_min_s=0.2,
                reconnect_max_s=1.0,
            ),
            rest=RestConfig(api_key=_REST_KEY),
            sites=tuple(site_of(plant) for plant in self.plants),
            factor=20.0,
            seed=self.seed % 1_000_000,
            telemetry=TelemetryConfig(realtime_period_s=0.5, meter_period_s=2.0),
            execution=ExecutionConfig(stable_plant_s=5.0, deadline_plant_s=60.0),
            journal_path=str(side.journal),
        )
        file = self.directory / f"{side.process}.json"
        file.touch(mode=0o600)
        file.write_bytes(msgspec.json.encode(config))
        self.processes.define(side.process, ("-m", "voke_sim", "--config", str(file)), r'"ready":true')

    def find_rest(self, side: Side) -> None:
        """Where a stand-in that has just become ready listens."""
        line = self.processes[side.process].wait_for_line(r'"rest":"([^"]+)"', 5)
        side.rest_url = line.group(1)

    def dismiss(self, side: Side) -> None:
        """Let a stand-in end in order, for good; its journal and its tap stay."""
        if side.rest_url:
            side.rest_url = ""
            self.processes.retire(side.process)

    def start_again(self, *names: str) -> None:
        """Start processes that ended and wait until they are ready."""
        self.processes.start(*names)
        for side in self.sides:
            if side.process in names:
                self.find_rest(side)

    def misbehave(self, rules: list[dict[str, Any]]) -> None:
        """Put these faults in force at every stand-in that runs."""
        for side in self.sides:
            if side.rest_url:
                url = f"{side.rest_url}/sim/faults"
                answer = httpx.put(url, json=rules, headers={"X-API-Key": _REST_KEY}, timeout=10)
                answer.raise_for_status()

    def leap(self, seconds: float) -> None:
        """Let this much time pass for every process at once."""
        with self._leap_lock:
            offset = float(private.CLOCK_FILE.read_text()) + seconds
            draft = private.CLOCK_FILE.with_suffix(".new")
            draft.write_text(str(offset))
            os.replace(draft, private.CLOCK_FILE)

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[Any]]:
        """A session of the superuser's own, outside Django, which may write whatever the platform may not."""
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(
            self.postgres.url, autocommit=True, connect_timeout=10, options=options
        ) as connection:
            yield connection

    def now(self) -> datetime:
        """The shared clock."""
        return clock.now()
