"""Deliveries as Voke sends them, and what became of them."""

import itertools
import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from link.broker import Delivery
from link.inbox import Inlet, Report, receive
from plants.models import Connection, Plant
from tests.factories import AT
from vcp import Family, format_timestamp

RETENTION_DAYS = 400
_tags = itertools.count(1)
QUEUES = {
    "event.telemetry": "vcp.acme.event.telemetry",
    "event.command": "vcp.acme.event.status",
    "event.mode": "vcp.acme.event.status",
    "event.schedule": "vcp.acme.event.status",
    "event.alarm": "vcp.acme.event.alarm",
    "event.execution": "vcp.acme.event.execution",
}


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def delivery(
    body: bytes, key: str = "acme.event.alarm", headers: Mapping[str, Any] | None = None
) -> Delivery:
    queue = next(
        (name for start, name in QUEUES.items() if key.startswith(f"acme.{start}")), "vcp.acme.event.alarm"
    )
    return Delivery(
        queue=queue, routing_key=key, headers=headers or {}, body=body, redelivered=False, tag=next(_tags)
    )


def event(
    family: Family | str,
    payload: dict[str, Any],
    *,
    site: Plant | str,
    at: datetime = AT,
    tail: str = "",
    **envelope: Any,
) -> Delivery:
    """A message of Voke about a site; other members of the envelope by their wire names."""
    site_id = str(site.voke_uuid) if isinstance(site, Plant) else site
    members = {
        "version": "1.1",
        "messageId": str(uuid.uuid4()),
        "timestamp": format_timestamp(at),
        "source": "voke",
        "siteId": site_id,
        "payload": payload,
    } | envelope
    key = f"acme.{family}" + (f".{tail}" if tail else "")
    return delivery(json.dumps(members).encode(), key)


def realtime(
    site: Plant | str, *, at: datetime = AT, quality: str = "GOOD", tail: str = "x", **values: Any
) -> Delivery:
    payload = {"gridPowerKw": 1.0, "dataQuality": quality} | values
    return event(Family.EVENT_TELEMETRY_REALTIME, payload, site=site, at=at, tail=tail)


def meter(
    site: Plant | str,
    *devices: str,
    at: datetime = AT,
    quality: str = "GOOD",
    kwh: float = 100.0,
    **envelope: Any,
) -> Delivery:
    payload = {
        "readingAt": format_timestamp(at),
        "dataQuality": quality,
        "meters": [{"deviceId": one, "role": "GRID", "importRegisterKwh": kwh} for one in devices or ("M1",)],
    }
    return event(Family.EVENT_TELEMETRY_METER, payload, site=site, at=at, tail="x", **envelope)


def ack(
    status: str,
    site: Plant | str,
    correlation: object,
    *,
    at: datetime = AT,
    message_id: str | None = None,
    **members: Any,
) -> Delivery:
    payload = {"status": status, "commandType": "mode"} | members
    ids = {} if message_id is None else {"messageId": message_id}
    return event(Family.EVENT_COMMAND_ACK, payload, site=site, at=at, correlationId=str(correlation), **ids)


def execution(
    status: str, site: Plant | str, correlation: object, *, at: datetime = AT, **members: Any
) -> Delivery:
    payload = {"status": status, "commandType": "mode"} | members
    return event(Family.EVENT_EXECUTION, payload, site=site, at=at, correlationId=str(correlation))


def alarm(
    site: Plant | str,
    alarm_id: str = "a1",
    *,
    raised: datetime = AT,
    cleared: datetime | None = None,
    at: datetime | None = None,
    **members: Any,
) -> Delivery:
    payload = {
        "alarmId": alarm_id,
        "severity": "ERROR",
        "code": "CONSTRAINT_VIOLATION",
        "message": "over the limit",
        "raisedAt": format_timestamp(raised),
    } | members
    if cleared is not None:
        payload["clearedAt"] = format_timestamp(cleared)
    return event(Family.EVENT_ALARM, payload, site=site, at=at or cleared or raised)


def mode_event(site: Plant | str, mode: str, *, at: datetime = AT, **members: Any) -> Delivery:
    return event(Family.EVENT_MODE, {"mode": mode} | members, site=site, at=at, tail="changed")


def schedule_event(site: Plant | str, status: str = "ACTIVATED", *, at: datetime = AT) -> Delivery:
    return event(
        Family.EVENT_SCHEDULE, {"scheduleId": "s1", "status": status}, site=site, at=at, tail="activated"
    )


def inlet(link: Connection) -> Inlet:
    return Inlet(connection_id=link.pk, routing_prefix=link.routing_prefix, retention_days=RETENTION_DAYS)


def hear(link: Connection, *batch: Delivery, at: datetime = AT) -> Report:
    """Receive a batch that arrived on a connection."""
    return receive(batch, inlet=inlet(link), at=at)
