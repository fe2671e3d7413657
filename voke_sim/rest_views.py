"""What the partner may read over REST: its sites, their configuration, their recent commands.

Interpretation: only the names of the members are public for `config`, and for `commands` only that it is a
list over the last 24 hours; the items' members are the stand-in's.
"""

import math
from datetime import datetime, timedelta
from typing import Any

from vcp import Family, format_timestamp
from voke_sim.control.stack import followed, slot_index
from voke_sim.engine import Engine
from voke_sim.interpretation import command_type
from voke_sim.journal import Journal
from voke_sim.site import Site
from voke_sim.state import DevicePlan, EmergencyPlan, ModePlan, OpenCommand, SetpointPlan

_LOOKBACK = timedelta(hours=24)
_MAX_COMMANDS = 1_000


def sites_page(engine: Engine, *, page: int, limit: int) -> dict[str, Any]:
    """`GET /vcp/sites`: one page of the partner's sites, by name."""
    sites = sorted(engine.sites, key=lambda site: site.config.external_plant_id)
    chosen = sites[(page - 1) * limit : page * limit]
    return {
        "data": [
            {
                "id": site.config.site_id,
                "siteId": site.config.site_id,
                "externalPlantId": site.config.external_plant_id,
                "name": site.config.name,
            }
            for site in chosen
        ],
        "meta": {
            "page": page,
            "limit": limit,
            "total": len(sites),
            "totalPages": math.ceil(len(sites) / limit),
        },
    }


def site_config(engine: Engine, site: Site, at: datetime) -> dict[str, Any]:
    """`GET /vcp/sites/{id}/config`: what is in force at the site."""
    with engine.lock:
        mode = site.state.mode
        is_override = mode.valid_until is not None or mode.is_fallback
        return {
            "siteId": site.config.site_id,
            "operatingMode": mode.mode.value,
            "modeOverride": _mode_override(site) if is_override else None,
            "constraints": site.state.constraints
            if site.state.constraints is not None
            else site.config.limits,
            "fallback": site.state.fallback,
            "fallbackInForce": mode.is_fallback,
            "activeSchedule": _active_schedule(site, at),
            "pendingCommands": [_open_command(command) for command in site.state.open_commands],
        }


def site_commands(journal: Journal, site: Site, at: datetime) -> dict[str, Any]:
    """`GET /vcp/sites/{id}/commands`: commands of the last 24 hours, the newest first."""
    rows = journal.rows(
        "SELECT message_id, correlation_id, family, verdict, code, received_at, ("
        " SELECT label FROM published WHERE published.family = 'event.execution' AND copy = 0"
        " AND published.correlation_id = COALESCE(messages.correlation_id, messages.message_id)"
        " ORDER BY seq DESC LIMIT 1) AS execution "
        "FROM messages WHERE site_id = ? AND received_at >= ? AND family LIKE 'command.%' "
        "AND verdict IN ('ACCEPTED', 'REJECTED', 'PARTIAL', 'QUEUED') ORDER BY seq DESC LIMIT ?",
        site.config.site_id,
        format_timestamp(at - _LOOKBACK),
        _MAX_COMMANDS,
    )
    return {
        "commands": [
            {
                "messageId": row["message_id"],
                "correlationId": row["correlation_id"],
                "commandType": command_type(Family(row["family"])),
                "status": row["verdict"],
                "rejectionCode": row["code"],
                "executionStatus": row["execution"],
                "receivedAt": row["received_at"],
            }
            for row in rows
        ]
    }


def _mode_override(site: Site) -> dict[str, Any]:
    mode = site.state.mode
    return {
        "mode": mode.mode.value,
        "reason": mode.reason,
        "validUntil": None if mode.valid_until is None else format_timestamp(mode.valid_until),
    }


def _active_schedule(site: Site, at: datetime) -> dict[str, Any] | None:
    schedule = followed(site.state.schedules.values(), at)
    if schedule is None:
        return None
    return {
        "scheduleId": schedule.schedule_id,
        "status": schedule.status.value,
        "slots": len(schedule.slots),
        "activeSlot": slot_index(schedule, at),
    }


def _open_command(command: OpenCommand) -> dict[str, Any]:
    return {
        "messageId": command.message_id,
        "correlationId": command.correlation_id,
        "commandType": command.command_type,
        "acceptedAt": format_timestamp(command.accepted_at),
        "isExecuting": command.started_at is not None,
        "summary": _summary(command),
    }


def _summary(command: OpenCommand) -> str:
    match command.plan:
        case SetpointPlan(setpoint=setpoint):
            return f"{setpoint.target_kw:g} kW"
        case DevicePlan(orders=orders):
            return ", ".join(f"{order.device_id} {order.command.value}" for order in orders)
        case ModePlan(mode=mode):
            return mode.value
        case EmergencyPlan(kind=kind):
            return kind.value
