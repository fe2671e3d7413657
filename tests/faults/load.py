"""The driver: commands at a steady pace by calling the services, with everything drawn from the run's seed.

Edge cases:
- Nothing is assumed of a call that failed: the command is looked up by its idempotency key, or asked again under it.
- While the database is away the driver waits for it; what it asked counts only when its commit was answered or found.
- A plant that is latched is left alone until its release.
"""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from dispatch.models import Command, EmergencyLatch
from dispatch.policy import current_policy
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import cancel, submit
from dispatch.services.emergency import release, send_emergency
from esm import clock
from plants.errors import Conflict
from plants.models import Plant
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
    SetpointType,
    SiteSetpoint,
)

DRIVER = Actor(name="fault driver")
_TROUBLE = (DatabaseError, InterfaceError, psycopg.OperationalError)
_AGAIN_S = 0.2
_LATCHED = "PLANT_LATCHED"
_RELEASE_AFTER = 12  # requests


class Load:
    """Asks in its own thread until `close`; `pause` answers when nothing is being asked and every latch is released.

    `asked`: ids of commands whose commit was answered. `failed`: how often the database failed.
    """

    def __init__(self, plants: list[Plant], *, seed: int, per_s: float) -> None:
        self.asked: list[int] = []
        self.failed = 0
        self.failure: BaseException | None = None
        self._plants = plants
        self._rng = random.Random(f"{seed}:load")
        self._name = f"{seed}"
        self._period_s = 1 / per_s
        self._number = 0
        self._latched: dict[int, int] = {}
        self._stop = threading.Event()
        self._turned = threading.Condition()
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.go_on()

    def await_turns(self, count: int, *, at_most_s: float) -> None:
        """Let it ask, or try to, so many times more; a database that is away makes one try last long."""
        with self._turned:
            enough = self._number + self.failed + count
            self._turned.wait_for(lambda: self._number + self.failed >= enough, at_most_s)

    def go_on(self) -> None:
        """Ask again after `pause`."""
        self._idle.clear()
        self._wanted.set()

    def pause(self, timeout_s: float) -> None:
        """Ask nothing more; the emergencies that are left are released first."""
        self._wanted.clear()
        if not self._idle.wait(timeout_s):
            raise TimeoutError("the driver did not come to rest") from self.failure

    def close(self) -> None:
        self._stop.set()
        self._wanted.set()
        self._thread.join(30)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._wanted.is_set():
                    for plant in [one for one in self._plants if one.pk in self._latched]:
                        self._release(plant)
                    self._idle.set()
                    self._wanted.wait()
                    continue
                self._ask_once()
                self._turn()
                self._stop.wait(self._period_s * self._rng.uniform(0.5, 1.5))
        except BaseException as error:
            self.failure = error
            raise
        finally:
            connections.close_all()

    def _turn(self) -> None:
        with self._turned:
            self._turned.notify_all()

    def _ask_once(self) -> None:
        self._number += 1
        plant = self._rng.choice(self._plants)
        draw = self._rng.random()
        if plant.pk in self._latched:
            if self._number - self._latched[plant.pk] > _RELEASE_AFTER:
                self._release(plant)
            return
        if draw < 0.015:
            self._stop_plant(plant)
        else:
            self._command(plant, draw)

    def _command(self, plant: Plant, draw: float) -> None:
        at = clock.now()
        asked: dict[str, Any] = {}
        if self._rng.random() < 0.15:
            asked["due_at"] = at + timedelta(seconds=self._rng.uniform(0.2, 2))
        request = CommandRequest(
            external_plant_id=plant.external_plant_id,
            payload=self._payload(draw),
            idempotency_key=f"{self._name}-{self._number}",
            automatic=self._rng.random() < 0.3,
            **asked,
        )
        command = self._surely(lambda: self._submit(plant, request))
        if command is not None and self._rng.random() < 0.04:
            self._surely(lambda: self._cancel(command))

    def _payload(self, draw: float) -> Any:
        if draw < 0.7:
            return self._setpoint()
        return self._device_batch() if draw < 0.9 else self._mode()

    def _setpoint(self) -> SiteSetpoint:
        at = clock.now()
        valid_s = self._rng.choice((4, 8, 15, 60))
        return SiteSetpoint(
            type=SetpointType.POWER,
            target_value_kw=float(self._rng.randint(1, 20)),
            direction=self._rng.choice(list(Direction)),
            include_consumption=True,
            priority=self._rng.choice((Priority.NORMAL, Priority.HIGH)),
            valid_from=at,
            valid_until=at + timedelta(seconds=valid_s),
        )

    def _device_batch(self) -> DeviceBatch:
        battery = DeviceCommand(
            device_id="B1",
            asset_type=AssetType.BESS,
            command=self._rng.choice((DeviceCommandType.BESS_CHARGE, DeviceCommandType.BESS_DISCHARGE)),
            params=DeviceParams(power_kw=float(self._rng.randint(1, 30))),
        )
        pv = DeviceCommand(
            device_id="S1",
            asset_type=AssetType.FVE,
            command=DeviceCommandType.FVE_REDUCE_PERCENT,
            params=DeviceParams(percent=float(self._rng.randint(10, 100))),
        )
        return DeviceBatch(commands=self._rng.choice(((battery,), (pv,), (battery, pv))))

    def _mode(self) -> Mode:
        return Mode(
            mode=self._rng.choice((OperatingMode.STANDARD, OperatingMode.PEAK_SHAVING)), reason="load"
        )

    def _submit(self, plant: Plant, request: CommandRequest) -> Command:
        done = submit(
            organisation_id=plant.organisation_id,
            request=request,
            actor=DRIVER,
            at=clock.now(),
            policy=current_policy(),
        )
        return self._note(done.command)

    def _cancel(self, command: Command) -> None:
        cancel(
            organisation_id=command.organisation_id,
            command_id=command.pk,
            actor=DRIVER,
            reason="load",
            at=clock.now(),
        )

    def _stop_plant(self, plant: Plant) -> None:
        payload = Emergency(
            type=self._rng.choice((EmergencyType.STOP, EmergencyType.STOP, EmergencyType.HOLD))
        )
        request = CommandRequest(
            external_plant_id=plant.external_plant_id,
            payload=payload,
            idempotency_key=f"{self._name}-{self._number}",
        )

        def stop() -> Command:
            done = send_emergency(
                organisation_id=plant.organisation_id,
                request=request,
                actor=DRIVER,
                at=clock.now(),
                policy=current_policy(),
            )
            return self._note(done.command)

        self._latched[plant.pk] = self._number
        self._surely(stop)

    def _release(self, plant: Plant) -> None:
        def let_go() -> None:
            # A release has no key: what is latched says whether the one before was committed.
            if EmergencyLatch.objects.filter(plant=plant, released_at__isnull=True).exists():
                command = release(
                    organisation_id=plant.organisation_id,
                    external_plant_id=plant.external_plant_id,
                    actor=DRIVER,
                    reason="load",
                    at=clock.now(),
                    policy=current_policy(),
                )
                self._note(command)

        self._surely(let_go)
        self._latched.pop(plant.pk, None)

    def _note(self, command: Command) -> Command:
        self.asked.append(command.pk)
        return command

    def _surely(self, work: Callable[[], Any]) -> Any:
        """Do it, and again while the database fails; what the services refuse is refused."""
        while True:
            close_old_connections()
            try:
                return work()
            except Conflict:
                return None
            except _TROUBLE:
                self.failed += 1
                self._turn()
                if self._stop.wait(_AGAIN_S):
                    return None
