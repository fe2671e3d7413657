"""A partner's side of the stand-in, in memory and by hand: send a message, let time pass, read what
Voke said.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from membroker import MemBroker, Message, Published, VHost
from vcp import (
    Family,
    KeyDecoding,
    bindings,
    encode_envelope,
    format_timestamp,
    new_envelope,
    routing_key,
    signed_envelope,
)
from voke_sim.config import SimConfig
from voke_sim.config_load import parse_config
from voke_sim.engine import Engine
from voke_sim.journal import Journal
from voke_sim.notes import Note
from voke_sim.site import Site
from voke_sim.summary import Counts, count
from voke_sim.transport.memory import MemoryTransport, declare_topology

START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
KEY = "00112233445566778899aabbccddeeff" * 2
SLUG = "acme"

DEPOT = "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
"""Two batteries and two PV plants."""
ROOF = "11111111-2222-4333-8444-555555555555"
"""One PV plant, no battery."""
OFFICE = "22222222-3333-4444-8555-666666666666"
"""Consumption only."""

CALM = {"mean_clearness": 0.8, "cloud_noise": 0.0, "start_hour": 12.0}


def site_documents() -> list[dict[str, Any]]:
    """Three different sites under a calm sky, their consumption flat and without noise."""
    return [
        {
            "site_id": DEPOT,
            "external_plant_id": "DEPOT",
            "batteries": [
                {"device_id": "B1", "capacity_kwh": 100, "max_charge_kw": 50, "max_discharge_kw": 50},
                {"device_id": "B2", "capacity_kwh": 40, "max_charge_kw": 20, "max_discharge_kw": 20},
            ],
            "pv": [
                {"device_id": "PV1", "peak_kw": 40},
                {"device_id": "PV2", "peak_kw": 20, "asset_type": "INVERTER"},
            ],
            "others": [{"device_id": "M1", "asset_type": "METER"}],
            "load": {"mean_kw": 15, "profile": "flat", "noise_pct": 0},
            "weather": CALM,
            "peak_shaving_kw": 10,
            "grid_target_kw": 7,
            "lds_band_kw": 5,
        },
        {
            "site_id": ROOF,
            "external_plant_id": "ROOF",
            "pv": [{"device_id": "PV1", "peak_kw": 30}],
            "load": {"mean_kw": 5, "profile": "flat", "noise_pct": 0},
            "weather": CALM,
        },
        {
            "site_id": OFFICE,
            "external_plant_id": "OFFICE",
            "load": {"mean_kw": 12, "profile": "office", "noise_pct": 0},
        },
    ]


def config_document(**changes: Any) -> dict[str, Any]:
    """A valid configuration, members replaced by `changes`."""
    return {
        "partner": {"slug": SLUG, "signing_key": KEY},
        "transport": {"kind": "memory"},
        "telemetry": {"realtime_period_s": 10, "meter_period_s": 60},
        "execution": {"stable_plant_s": 10, "deadline_plant_s": 120},
        "factor": 10,
        "seed": 7,
        "sites": site_documents(),
        **changes,
    }


TOPOLOGIES: dict[str, list[dict[str, Any]]] = {
    DEPOT: [
        {"deviceId": "B1", "assetType": "BESS", "ratedPowerKw": 50, "capacityKwh": 100},
        {"deviceId": "B2", "assetType": "BESS", "ratedPowerKw": 20, "capacityKwh": 40},
        {"deviceId": "PV1", "assetType": "FVE", "ratedPowerKw": 40},
        {"deviceId": "PV2", "assetType": "INVERTER", "ratedPowerKw": 20},
        {"deviceId": "M1", "assetType": "METER"},
        {"deviceId": "GONE", "assetType": "BESS"},
    ],
    ROOF: [{"deviceId": "PV1", "assetType": "FVE"}],
}


@dataclass(frozen=True, kw_only=True)
class Event:
    """One message that Voke published."""

    family: str
    routing_key: str
    envelope: dict[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = self.envelope["payload"]
        return payload

    @property
    def message_id(self) -> str:
        return str(self.envelope["messageId"])

    @property
    def correlation_id(self) -> str | None:
        return self.envelope.get("correlationId")


class Partner:
    """The stand-in in memory, its clock in our hand. `restart` keeps journal file and broker."""

    def __init__(
        self,
        config: SimConfig | None = None,
        *,
        journal_path: str = ":memory:",
        vhost: VHost | None = None,
        at: datetime = START,
        **changes: Any,
    ) -> None:
        self.config = config or parse_config(config_document(**changes))
        self.names = self.config.partner.queue_names
        self.vhost = vhost or MemBroker().vhost("partner-test")
        self.journal_path = journal_path
        declare_topology(self.vhost, self.names, SLUG)
        self.at = at
        self.events: list[Event] = []
        self.notes: list[Note] = []
        self._consumer = self.vhost.consume(self.names.to_partner, prefetch=100_000)
        self._start_engine()
        self.tick()

    def _start_engine(self) -> None:
        self.journal = Journal(self.journal_path)
        self.transport = MemoryTransport(
            self.vhost, self.names, routing_prefix=SLUG, prefetch=self.config.transport.prefetch
        )
        self.transport.start()
        self.engine = Engine(
            self.config, transport=self.transport, journal=self.journal, new_id=lambda: str(uuid.uuid4())
        )

    def kill(self) -> None:
        """End the stand-in without any farewell: what it did not settle goes back to the broker."""
        self.transport.close()
        self.journal.close()

    def restart(self) -> None:
        """Kill it, and start another one on the same journal and broker."""
        self.kill()
        self._start_engine()

    # Sending --------------------------------------------------------------------------------------------

    def envelope(self, payload: dict[str, Any], *, site: str = DEPOT, **members: Any) -> dict[str, Any]:
        """An unsigned envelope of the partner; `members` replace its own."""
        return new_envelope(
            **{
                "message_id": str(uuid.uuid4()),
                "timestamp": self.at,
                "source": "ref-esm",
                "site_id": site,
                "payload": payload,
                "correlation_id": f"c-{uuid.uuid4()}",
                **members,
            }
        )

    def send(
        self, family: Family, payload: dict[str, Any], *, site: str = DEPOT, sign: bool = True, **members: Any
    ) -> str:
        """Publish a (signed) message; its correlationId."""
        envelope = self.envelope(payload, site=site, **members)
        self.send_envelope(family, envelope, sign=sign)
        return str(envelope.get("correlationId", envelope["messageId"]))

    def send_envelope(self, family: Family, envelope: dict[str, Any], *, sign: bool = True) -> None:
        """Publish an envelope as it is, signed unless told otherwise."""
        if sign:
            envelope = signed_envelope(envelope, KEY, decoding=KeyDecoding.HEX)
        self.send_bytes(routing_key(SLUG, family), encode_envelope(envelope))

    def send_bytes(self, key: str, body: bytes) -> None:
        """Publish bytes."""
        assert self.vhost.publish(Message(routing_key=key, body=body)) is Published.ROUTED

    def publish_topology(self, *sites: str) -> None:
        """config.topology of the sites (all, when none is named), taken over."""
        for site in sites or TOPOLOGIES:
            self.send(Family.CONFIG_TOPOLOGY, {"assets": TOPOLOGIES[site]}, site=site)
        self.tick()

    def setpoint(self, kw: float, direction: str = "EXPORT", *, site: str = DEPOT, **members: Any) -> str:
        """A POWER setpoint at the grid connection, valid from now on; members replace the payload's."""
        payload = {
            "type": "POWER",
            "targetValueKw": kw,
            "direction": direction,
            "includeConsumption": True,
            "priority": "NORMAL",
            "validFrom": format_timestamp(self.at),
            **members,
        }
        return self.send(
            Family.COMMAND_SITE_SETPOINT, {name: v for name, v in payload.items() if v is not None}, site=site
        )

    def device(self, *commands: tuple[str, str, str, dict[str, Any] | None], site: str = DEPOT) -> str:
        """A device batch of (device, asset type, command, params)."""
        items = [
            {
                "deviceId": device,
                "assetType": asset,
                "command": command,
                **({"params": params} if params else {}),
            }
            for device, asset, command, params in commands
        ]
        return self.send(Family.COMMAND_DEVICE, {"commands": items}, site=site)

    def mode(self, mode: str, *, site: str = DEPOT, **members: Any) -> str:
        """A mode command."""
        return self.send(Family.COMMAND_MODE, {"mode": mode, **members}, site=site)

    def emergency(self, kind: str, *, site: str = DEPOT) -> str:
        """An emergency command."""
        return self.send(Family.COMMAND_EMERGENCY, {"type": kind}, site=site)

    # Time -----------------------------------------------------------------------------------------------

    def tick(self, after_s: float = 0.0) -> None:
        """One tick, `after_s` later."""
        self.at += timedelta(seconds=after_s)
        self.notes += self.engine.tick(self.at)
        self.read()

    def run(self, for_s: float, *, every_s: float = 0.5) -> None:
        """Ticks for a span of real time; plant time runs `factor` times as fast."""
        for _ in range(round(for_s / every_s)):
            self.tick(every_s)

    def run_until(
        self, happened: Callable[[], bool], *, within_s: float = 60.0, every_s: float = 0.5
    ) -> None:
        """Ticks until something is true; fails when it never is."""
        for _ in range(round(within_s / every_s)):
            if happened():
                return
            self.tick(every_s)
        assert happened(), "it did not happen in time"

    # Reading --------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Take what Voke published since the last time."""
        while deliveries := self._consumer.get(1_000, 0):
            self._consumer.ack(deliveries)
            for delivery in deliveries:
                key = delivery.message.routing_key
                self.events.append(
                    Event(
                        family=_family_of_key(key),
                        routing_key=key,
                        envelope=msgspec.json.decode(delivery.message.body),
                    )
                )

    def of(self, family: Family, correlation_id: str | None = None) -> list[Event]:
        """Events of a family, those with that correlationId."""
        return [
            event
            for event in self.events
            if event.family == family.value and correlation_id in (None, event.correlation_id)
        ]

    def acks(self, correlation_id: str) -> list[dict[str, Any]]:
        return [event.payload for event in self.of(Family.EVENT_COMMAND_ACK, correlation_id)]

    def ack(self, correlation_id: str) -> dict[str, Any]:
        """The one ack of a command."""
        [ack] = self.acks(correlation_id)
        return ack

    def executions(self, correlation_id: str) -> list[dict[str, Any]]:
        return [event.payload for event in self.of(Family.EVENT_EXECUTION, correlation_id)]

    def statuses(self, correlation_id: str) -> list[str]:
        """The statuses of a command's executions, in order."""
        return [execution["status"] for execution in self.executions(correlation_id)]

    def completed(self, correlation_id: str, *, within_s: float = 60.0) -> dict[str, Any]:
        """Let time pass until the command is COMPLETED; that execution."""
        self.run_until(lambda: "COMPLETED" in self.statuses(correlation_id), within_s=within_s)
        return self.executions(correlation_id)[-1]

    def alarms(self, code: str | None = None) -> list[dict[str, Any]]:
        alarms = [event.payload for event in self.of(Family.EVENT_ALARM)]
        return [alarm for alarm in alarms if code in (None, alarm["code"])]

    def modes(self) -> list[dict[str, Any]]:
        return [event.payload for event in self.of(Family.EVENT_MODE)]

    def site(self, site_id: str = DEPOT) -> Site:
        """The site within the engine."""
        [site] = [site for site in self.engine.sites if site.config.site_id == site_id]
        return site

    def counts(self) -> Counts:
        return count(self.journal)

    def verdicts(self) -> list[str]:
        """The verdicts of all deliveries, in order."""
        return [row["verdict"] for row in self.journal.rows("SELECT verdict FROM messages ORDER BY seq")]

    def deliveries(self) -> int:
        """How many deliveries have been judged."""
        [row] = self.journal.rows("SELECT COUNT(*) AS n FROM messages")
        return int(row["n"])

    def dead_letters(self) -> int:
        return self.vhost.depth(f"vcp.{SLUG}.dead")


def _family_of_key(key: str) -> str:
    """The family of a routing key, found without the code under test: by the bindings' own words."""
    words = key.split(".")[1:]
    return ".".join(words[:3] if words[1] in ("telemetry", "command") else words[:2])


def binding_keys(partner: Partner) -> Iterator[str]:
    """All binding keys of the topology."""
    return (key for _, key in bindings(partner.names, SLUG))
