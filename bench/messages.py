"""What Voke would send, as bytes, and a queue filled with it: the same messages for whoever is measured.

A plant's realtime message has seven values and two devices, its meter message two meters; in a round every plant speaks
once, in random order, and rounds are ten seconds apart. Every sixth round brings the meters too.
"""

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any

import amqp
import pika

from bench.world import Side, World

METERS_EVERY = 6
ROUND_S = 10
_FILLED_WITHIN_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Wire:
    """One message: its routing key and its bytes."""

    routing_key: str
    body: bytes


class Voice:
    """Voke's side of one partner: makes messages, the same ones for the same seed."""

    def __init__(self, *, prefix: str, seed: int = 20260102) -> None:
        self._prefix = prefix
        self._chance = random.Random(seed)

    def rounds(self, sites: Sequence[str], *, count: int, start: datetime) -> list[Wire]:
        """`count` rounds of realtime messages of all sites, with their meters every sixth."""
        wires: list[Wire] = []
        order = list(sites)
        for number in range(count):
            at = start + timedelta(seconds=ROUND_S * number)
            self._chance.shuffle(order)
            wires += [self.realtime(site, at=at) for site in order]
            if number % METERS_EVERY == METERS_EVERY - 1:
                wires += [self.meter(site, at=at) for site in order]
        return wires

    def realtime(self, site: str, *, at: datetime) -> Wire:
        """A site's present state."""
        some = self._some
        fve_kw, battery_kw, consumption_kw, soc_pct = some(0, 60), some(-40, 40), some(0, 30), some(5, 95)
        payload = {
            "gridPowerKw": round(consumption_kw - fve_kw + battery_kw, 3),
            "fvePowerKw": fve_kw,
            "batteryPowerKw": battery_kw,
            "consumptionPowerKw": consumption_kw,
            "socPercent": soc_pct,
            "availableBatteryEnergyKwh": round(0.8 * soc_pct, 3),
            "batteryTemperatureCelsius": some(15, 35),
            "currentOperatingMode": "STANDARD",
            "dataQuality": "GOOD",
            "devices": [
                {
                    "deviceId": "B1",
                    "assetType": "BESS",
                    "powerKw": battery_kw,
                    "socPercent": soc_pct,
                    "status": "ONLINE",
                },
                {"deviceId": "S1", "assetType": "FVE", "powerKw": fve_kw, "status": "ONLINE"},
            ],
        }
        return self._wire(f"event.telemetry.realtime.{site}", payload, site=site, at=at)

    def meter(self, site: str, *, at: datetime) -> Wire:
        """The registers of a site's two meters."""
        grid = {"importRegisterKwh": self._some(1000, 2000), "exportRegisterKwh": self._some(1000, 2000)}
        payload = {
            "readingAt": _text(at),
            "dataQuality": "GOOD",
            "meters": [
                {"deviceId": "M1", "role": "GRID", **grid},
                {"deviceId": "M2", "role": "PV", "productionRegisterKwh": self._some(1000, 2000)},
            ],
        }
        return self._wire(f"event.telemetry.meter.{site}", payload, site=site, at=at)

    def ack(self, site: str, correlation: str, *, at: datetime) -> Wire:
        """Voke accepts a command."""
        payload = {"status": "ACCEPTED", "commandType": "site-setpoint"}
        return self._wire("event.command.ack", payload, site=site, at=at, correlation=correlation)

    def execution(self, site: str, correlation: str, status: str, *, at: datetime) -> Wire:
        """How a command fares."""
        payload = {
            "commandType": "site-setpoint",
            "status": status,
            "actualValueKw": self._some(9, 10),
            "targetValueKw": 10.0,
        }
        return self._wire("event.execution", payload, site=site, at=at, correlation=correlation)

    def alarm(self, site: str, alarm_id: str, *, at: datetime, cleared_at: datetime | None = None) -> Wire:
        """An alarm is raised, or cleared."""
        payload = {
            "alarmId": alarm_id,
            "severity": "ERROR",
            "code": "CONSTRAINT_VIOLATION",
            "message": "grid power is over the site's limit",
            "raisedAt": _text(at),
            "actualValue": self._some(50, 80),
            "expectedValue": 50.0,
            "breachedField": "maxExportKw",
        }
        if cleared_at is not None:
            payload["clearedAt"] = _text(cleared_at)
        return self._wire("event.alarm", payload, site=site, at=cleared_at or at)

    def _wire(
        self, key: str, payload: dict[str, Any], *, site: str, at: datetime, correlation: str | None = None
    ) -> Wire:
        envelope: dict[str, Any] = {
            "version": "1.1",
            "messageId": str(uuid.UUID(int=self._chance.getrandbits(128), version=4)),
            "timestamp": _text(at),
            "source": "voke",
            "siteId": site,
            "payload": payload,
        }
        if correlation is not None:
            envelope["correlationId"] = correlation
        body = json.dumps(envelope, separators=(",", ":")).encode()
        return Wire(routing_key=f"{self._prefix}.{key}", body=body)

    def _some(self, low: float, high: float) -> float:
        return round(self._chance.uniform(low, high), 3)


def _text(at: datetime) -> str:
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


EVENT_QUEUES = ("eventTelemetry", "eventStatus", "eventAlarm", "eventExecution")


def fill(world: World, side: Side, wires: Sequence[Wire]) -> None:
    """Publish messages as Voke does, persistent, and wait until all of them lie in the partner's queues."""
    partner = side.partner
    connection = world.rabbit.voke_connection(partner)
    try:
        channel = connection.channel()
        persistent = pika.BasicProperties(content_type="application/json", delivery_mode=2)
        for wire in wires:
            channel.basic_publish("vcp", wire.routing_key, wire.body, persistent)
        give_up_at = monotonic() + _FILLED_WITHIN_S
        while True:
            depths = [
                channel.queue_declare(partner.queues[name], passive=True).method.message_count
                for name in EVENT_QUEUES
            ]
            if sum(depths) == len(wires):
                return
            if monotonic() > give_up_at:
                raise TimeoutError(f"{sum(depths)} of {len(wires)} messages are in the queues")
            sleep(0.02)
    finally:
        connection.close()


def require_empty(world: World, side: Side) -> None:
    """All messages were acknowledged: when a consumer has gone, none came back."""
    with world.rabbit.voke_connection(side.partner) as connection:
        channel = connection.channel()
        for name in EVENT_QUEUES:
            left = channel.queue_declare(side.partner.queues[name], passive=True).method.message_count
            if left:
                raise AssertionError(f"{left} messages left in {name}")


def plain_connection(world: World, side: Side) -> "amqp.Connection":
    """py-amqp's own connection as the partner, over TLS, connected."""
    connection = amqp.Connection(
        host=f"localhost:{world.rabbit.port}",
        userid=side.partner.slug,
        password=side.partner.api_key,
        virtual_host=side.partner.vhost,
        ssl={"ca_certs": str(world.rabbit.ca_file), "server_hostname": "localhost"},
    )
    connection.connect()
    return connection
