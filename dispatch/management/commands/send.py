"""`manage.py send KIND`: send any command from the shell, with the same checks as everywhere else."""

import threading
import time
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dispatch.models import Command as CommandRow
from dispatch.policy import current_policy
from dispatch.requests import FAMILY, Actor, CommandPayload, CommandRequest
from dispatch.selectors import timeline
from dispatch.services.commands import check, submit
from dispatch.services.emergency import release, send_emergency
from dispatch.states import ENDED, State
from esm import clock
from plants.errors import DomainError, Several
from plants.models import Organisation, Plant
from vcp import (
    AssetType,
    DeviceBatch,
    DeviceCommand,
    DeviceCommandType,
    DeviceParams,
    Direction,
    Emergency,
    EmergencyType,
    Mode,
    OperatingMode,
    Priority,
    ProtocolError,
    SetpointType,
    SiteSetpoint,
    decode_object,
    parse_payload,
)

POLL_S = 0.2
_SETTLED = ENDED | {State.DEVIATED, State.UNCONFIRMED}


class Command(BaseCommand):
    help = "Send a setpoint, device command, emergency, release or mode to a plant, and follow what becomes of it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="kind", required=True)
        setpoint = kinds.add_parser("site-setpoint", help="power or energy of the whole site")
        amount = setpoint.add_mutually_exclusive_group(required=True)
        amount.add_argument("--power-kw", type=float)
        amount.add_argument("--energy-kwh", type=float)
        setpoint.add_argument("--interval-minutes", type=int, default=15, help="span of --energy-kwh")
        setpoint.add_argument("--direction", type=Direction, choices=list(Direction), required=True)
        setpoint.add_argument("--priority", type=Priority, choices=list(Priority), default=Priority.NORMAL)
        setpoint.add_argument("--include-consumption", action="store_true")
        setpoint.add_argument(
            "--for-minutes", type=float, default=15, help="valid for so long; 0 = indefinitely"
        )
        device = kinds.add_parser("device", help="one device; several: --json")
        device.add_argument("--device", required=True, metavar="ID")
        device.add_argument("--asset-type", type=AssetType, choices=list(AssetType), required=True)
        device.add_argument(
            "--command", type=DeviceCommandType, choices=list(DeviceCommandType), required=True
        )
        device.add_argument("--power-kw", type=float)
        device.add_argument("--percent", type=float)
        device.add_argument("--ignore-limits", action="store_true")
        emergency = kinds.add_parser("emergency", help="STOP or HOLD; latches the plant")
        emergency.add_argument("type", type=EmergencyType, choices=list(EmergencyType))
        mode = kinds.add_parser("mode", help="operating mode of the site")
        mode.add_argument("mode", type=OperatingMode, choices=list(OperatingMode))
        mode.add_argument(
            "--for-minutes", type=float, default=0, help="override for so long; 0 = until changed"
        )
        kinds.add_parser("release", help="release the plant's emergency; sends its base mode")
        anything = kinds.add_parser("json", help="a payload as it goes on the wire")
        anything.add_argument("family", choices=[family.value for family in FAMILY.values()])
        anything.add_argument("payload", help="JSON object")
        for one in kinds.choices.values():
            self._add_common(one)

    def _add_common(self, parser: ArgumentParser) -> None:
        parser.add_argument("--plant", required=True, metavar="EXTERNAL_ID")
        parser.add_argument("--organisation", metavar="SLUG", help="needed when two organisations use the id")
        parser.add_argument("--reason", default="")
        parser.add_argument("--key", help="idempotency key: the same key never sends twice")
        parser.add_argument("--dry-run", action="store_true", help="check only, send nothing")
        parser.add_argument("--wait-s", type=float, default=0, help="follow it for so long")

    def handle(self, *_args: Any, **options: Any) -> None:
        at = clock.now()
        plant = self._plant(options["plant"], options["organisation"])
        try:
            command = self._send(plant, options, at)
        except Several as error:
            raise CommandError(
                "; ".join(f"{one.code} {one.path}: {one}" for one in error.problems)
            ) from error
        except (DomainError, ProtocolError) as error:
            raise CommandError(f"{error.code} {error.path}: {error}") from error
        if command is None:
            self.stdout.write("fits; nothing was sent")
            return
        self.stdout.write(
            f"command {command.pk}: {command.kind} for {plant.external_plant_id} is {command.state}"
        )
        if options["wait_s"]:
            self._follow(command, options["wait_s"])

    def _plant(self, external_plant_id: str, slug: str | None) -> Plant:
        plants = Plant.objects.filter(external_plant_id=external_plant_id).order_by("pk")
        if slug:
            plants = plants.filter(organisation__in=Organisation.objects.filter(slug=slug))
        found = list(plants[:2])
        if len(found) != 1:
            reason = (
                "no plant has this id" if not found else "two organisations use this id: add --organisation"
            )
            raise CommandError(f"--plant: {reason}")
        return found[0]

    def _send(self, plant: Plant, options: dict[str, Any], at: datetime) -> CommandRow | None:
        actor = Actor(name="shell")
        common: dict[str, Any] = {
            "organisation_id": plant.organisation_id,
            "at": at,
            "policy": current_policy(),
        }
        if options["kind"] == "release":
            return release(
                external_plant_id=plant.external_plant_id, actor=actor, reason=options["reason"], **common
            )
        request = CommandRequest(
            external_plant_id=plant.external_plant_id,
            payload=_payload(options, at),
            reason=options["reason"],
            idempotency_key=options["key"],
        )
        if options["dry_run"]:
            check(request=request, **common)
            return None
        send = send_emergency if isinstance(request.payload, Emergency) else submit
        return send(request=request, actor=actor, **common).command

    def _follow(self, command: CommandRow, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        pause = threading.Event()
        told = 0
        while True:
            events = timeline(command_id=command.pk)
            for event in events[told:]:
                cause = f" ({event.cause})" if event.cause else ""
                self.stdout.write(f"  {event.at:%H:%M:%S.%f} {event.word} {event.verdict}{cause}")
            told = len(events)
            command.refresh_from_db(fields=["state", "cause"])
            if command.state in _SETTLED:
                return
            if time.monotonic() >= deadline:
                raise CommandError(f"still {command.state} after {wait_s:g} s")
            pause.wait(POLL_S)


def _payload(options: dict[str, Any], at: datetime) -> CommandPayload:
    match options["kind"]:
        case "site-setpoint":
            energy = options["energy_kwh"] is not None
            return SiteSetpoint(
                type=SetpointType.ENERGY if energy else SetpointType.POWER,
                target_value_kw=options["power_kw"],
                target_value_kwh=options["energy_kwh"],
                interval_minutes=options["interval_minutes"] if energy else None,
                direction=options["direction"],
                include_consumption=options["include_consumption"],
                priority=options["priority"],
                valid_from=at,
                valid_until=_until(options, at),
            )
        case "device":
            params = DeviceParams(
                power_kw=options["power_kw"],
                percent=options["percent"],
                respect_limits=not options["ignore_limits"],
            )
            command = DeviceCommand(
                device_id=options["device"],
                asset_type=options["asset_type"],
                command=options["command"],
                params=params,
            )
            return DeviceBatch(commands=(command,))
        case "emergency":
            return Emergency(type=options["type"], reason=options["reason"] or None)
        case "mode":
            return Mode(
                mode=options["mode"], reason=options["reason"] or None, valid_until=_until(options, at)
            )
        case _:
            family = next(one for one in FAMILY.values() if one.value == options["family"])
            payload = parse_payload(family, decode_object(options["payload"].encode()))
            if not isinstance(payload, SiteSetpoint | DeviceBatch | Emergency | Mode):
                raise CommandError("not a command")
            return payload


def _until(options: dict[str, Any], at: datetime) -> datetime | None:
    minutes = options["for_minutes"]
    return at + timedelta(minutes=minutes) if minutes else None
