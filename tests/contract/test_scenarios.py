"""What platform and Voke do together, command by command; the same over membroker and over RabbitMQ with TLS."""

from datetime import timedelta

from dispatch.models import CommandEvent, OutboundMessage, Outcome
from dispatch.states import State
from esm import clock
from plants.models import Alarm, DeadLetter, InboundMessage, MeterReading, PlantState, TelemetryReading
from tests.contract.conftest import MakeWorld
from tests.contract.world import eventually
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
from voke_sim.faults import FaultKind, FaultRule


def setpoint(
    kw: float, direction: Direction = Direction.EXPORT, *, include_consumption: bool = True
) -> SiteSetpoint:
    at = clock.now()
    return SiteSetpoint(
        type=SetpointType.POWER,
        target_value_kw=kw,
        direction=direction,
        include_consumption=include_consumption,
        priority=Priority.NORMAL,
        valid_from=at,
        valid_until=at + timedelta(minutes=15),
    )


def battery(command: DeviceCommandType, kw: float | None = None, device_id: str = "B1") -> DeviceCommand:
    return DeviceCommand(
        device_id=device_id,
        asset_type=AssetType.BESS,
        command=command,
        params=DeviceParams(power_kw=kw, respect_limits=True),
    )


def words(command):
    return list(
        CommandEvent.objects.filter(command=command, verdict="APPLIED").values_list("word", flat=True)
    )


def test_a_site_setpoint_is_sent_accepted_executed_and_completed_once(make_world: MakeWorld):
    with make_world() as world:
        command = world.send(setpoint(10.0))

        world.wait_for(command, State.COMPLETED)

        assert words(command)[:2] == [State.SCHEDULED, State.QUEUED]
        assert words(command)[-2:] == [State.EXECUTING, State.COMPLETED]
        assert world.effects(command) == 1


def test_a_signed_device_command_is_completed(make_world: MakeWorld):
    with make_world() as world:
        command = world.send(DeviceBatch(commands=(battery(DeviceCommandType.BESS_CHARGE, 20.0),)))

        world.wait_for(command, State.COMPLETED)

        assert OutboundMessage.objects.get(command=command).signed
        assert world.verdicts(command) == ["ACCEPTED"]


def test_a_mode_command_changes_the_plants_mode_as_voke_tells_it(make_world: MakeWorld):
    with make_world() as world:
        until = clock.now() + timedelta(minutes=30)
        command = world.send(Mode(mode=OperatingMode.ZERO_EXPORT, valid_until=until))

        world.wait_for(command, State.COMPLETED)
        state = eventually(
            lambda: PlantState.objects.filter(plant=world.plant, mode="ZERO_EXPORT").first(),
            what="the mode event",
        )

        assert abs(state.mode_override_until - until) < timedelta(milliseconds=1)


def test_an_emergency_stops_the_plant_and_only_a_release_lets_it_run_again(make_world: MakeWorld):
    with make_world() as world:
        emergency = world.send(Emergency(type=EmergencyType.STOP, reason="smoke"))
        world.wait_for(emergency, State.COMPLETED)

        released = world.release()

        world.wait_for(released, State.COMPLETED)
        assert released.payload["mode"] == "STANDARD"
        later = world.send(setpoint(5.0))
        world.wait_for(later, State.COMPLETED)


def test_an_unsigned_message_meets_silence_and_becomes_unconfirmed_without_a_resend(
    make_world: MakeWorld, settings
):
    settings.ACK_TIMEOUT_S = 1
    with make_world() as world:
        world.connection.signed_families = []
        world.connection.save(update_fields=["signed_families"])

        command = world.send(Mode(mode=OperatingMode.STANDARD))

        world.wait_for(command, State.UNCONFIRMED)
        assert command.cause == "ACK_OVERDUE"
        assert world.verdicts(command) == ["UNSIGNED"]
        assert OutboundMessage.objects.filter(command=command).count() == 1


def test_a_breach_of_the_sites_limit_is_rejected_and_raises_an_alarm(make_world: MakeWorld):
    with make_world() as world:
        command = world.send(setpoint(95.0, Direction.IMPORT, include_consumption=False))

        world.wait_for(command, State.REJECTED)

        assert command.cause == "CONSTRAINT_VIOLATION"
        alarm = eventually(lambda: Alarm.objects.filter(plant=world.plant).first(), what="the alarm")
        assert (alarm.code, alarm.breached_field) == ("CONSTRAINT_VIOLATION", "maxImportKw")


def test_a_broken_device_is_rejected_with_its_code(make_world: MakeWorld):
    with make_world(faults=(FaultRule(kind=FaultKind.DEVICE_FAULT, device="B1"),)) as world:
        command = world.send(DeviceBatch(commands=(battery(DeviceCommandType.BESS_CHARGE, 20.0),)))

        world.wait_for(command, State.REJECTED)

        assert command.cause == "DEVICE_FAULT"


def test_a_mixed_batch_is_partial_and_says_which_device_was_refused(make_world: MakeWorld):
    with make_world(faults=(FaultRule(kind=FaultKind.DEVICE_FAULT, device="S1"),)) as world:
        pv = DeviceCommand(device_id="S1", asset_type=AssetType.FVE, command=DeviceCommandType.FVE_STOP)
        command = world.send(DeviceBatch(commands=(battery(DeviceCommandType.BESS_CHARGE, 20.0), pv)))

        world.wait_for(command, State.COMPLETED)

        partial = CommandEvent.objects.get(command=command, word=State.PARTIAL)
        results = {one["deviceId"]: one["status"] for one in partial.detail["results"]}
        assert results == {"B1": "ACCEPTED", "S1": "REJECTED"}


def test_an_offline_site_queues_the_command_and_executes_it_when_it_is_back(make_world: MakeWorld):
    with make_world() as world:
        fault = world.simulator.faults.add(
            FaultRule(kind=FaultKind.OFFLINE, site=world.plant.external_plant_id)
        )
        command = world.send(setpoint(10.0))
        world.wait_for(command, State.QUEUED_BY_VOKE)

        world.simulator.faults.remove(fault)

        world.wait_for(command, State.COMPLETED)


def test_duplicated_and_reordered_events_count_once(make_world: MakeWorld):
    faults = (
        FaultRule(kind=FaultKind.DUPLICATE, families=("event.command", "event.execution")),
        FaultRule(kind=FaultKind.REORDER, families=("event.execution",), probability=0.5, delay_s=0.3),
    )
    with make_world(faults=faults) as world:
        command = world.send(setpoint(10.0))

        world.wait_for(command, State.COMPLETED)
        world.simulator.wait_for(lambda counts: counts["unconfirmed"] == 0, timeout_s=60)

        ids = list(InboundMessage.objects.values_list("message_id", flat=True))
        assert len(ids) == len(set(ids))
        assert words(command).count(State.COMPLETED) == 1


def test_telemetry_and_meter_readings_become_rows_and_the_plants_latest_state(make_world: MakeWorld):
    with make_world() as world:
        eventually(
            lambda: TelemetryReading.objects.filter(plant=world.plant).count() >= 5, what="five samples"
        )
        eventually(
            lambda: MeterReading.objects.filter(plant=world.plant).count() >= 2, what="two meter readings"
        )

        newest = TelemetryReading.objects.filter(plant=world.plant).order_by("-measured_at").first()
        state = PlantState.objects.get(plant=world.plant)

        assert state.measured_at >= newest.measured_at - timedelta(seconds=1)
        assert state.soc_pct is not None
        assert not DeadLetter.objects.exists()


def test_a_rejected_routing_prefix_comes_back_as_returned_or_refused(make_world: MakeWorld):
    with make_world() as world:
        world.connection.routing_prefix = "somebody-else"
        world.connection.save(update_fields=["routing_prefix"])

        command = world.send(setpoint(10.0))

        world.wait_for(command, State.RETURNED, State.REFUSED)
        message = OutboundMessage.objects.get(command=command)
        assert message.outcome in (Outcome.RETURNED, Outcome.REFUSED)
