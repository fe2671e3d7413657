"""One slot of many plants that begins at the same moment, for whichever way makes its setpoints.

Rules:
- Every way starts from the same rows: a published plan of one slot for each plant, its run due now.
- A run counts only when there is a signed message for every plant and every run is COMMANDED.
"""

from collections.abc import Sequence
from datetime import timedelta
from time import perf_counter

from bench.dispatching import TABLES, Fleet
from dispatch.models import OutboundMessage
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import submit
from esm import clock
from plants.models import ScheduleCarrier
from schedules.mapping import planned, setpoint_of
from schedules.models import DayPlan, Origin, PlanSlot, PlanState, PlanVersion, RunState, SlotRun
from schedules.policy import current_schedule_policy
from schedules.services.carried_by_us import BATCH, run_due_slots
from vcp import Direction, Priority, SetpointType

PLANNED = ("schedules_dayplan", *TABLES, "dispatch_verification")
_WRITTEN = ("dispatch_command", "dispatch_outboundmessage", "dispatch_commandevent", "dispatch_verification")


def publish_everywhere(fleet: Fleet, count: int) -> None:
    """From here on: no command, and a run that is due now for each of the first `count` plants."""
    fleet.empty()
    fleet.world.truncate(*PLANNED)
    at = clock.now()
    plants = fleet.plants[:count]
    plans = DayPlan.objects.bulk_create(
        (
            DayPlan(
                organisation_id=plant.organisation_id,
                plant=plant,
                day=at.date(),
                time_zone=plant.time_zone,
                made_at=at,
            )
            for plant in plants
        ),
        batch_size=2000,
    )
    versions = PlanVersion.objects.bulk_create(
        (
            PlanVersion(
                plan=plan,
                number=1,
                state=PlanState.PUBLISHED,
                origin=Origin.PROGRAM,
                carrier=ScheduleCarrier.DISPATCHER,
                made_at=at,
                made_by_name="bench",
            )
            for plan in plans
        ),
        batch_size=2000,
    )
    _runs(plants_of(fleet, count), versions)
    with fleet.world.database() as database:  # plans stand there for hours: autovacuum has been there
        database.execute("VACUUM ANALYZE schedules_slotrun, schedules_planslot, schedules_planversion")


def plants_of(fleet: Fleet, count: int) -> Sequence[int]:
    """The ids of the first plants."""
    return [plant.pk for plant in fleet.plants[:count]]


def _runs(plant_ids: Sequence[int], versions: Sequence[PlanVersion]) -> None:
    at = clock.now()
    slots = PlanSlot.objects.bulk_create(
        (
            PlanSlot(
                version=version,
                start_at=at + timedelta(seconds=20),
                end_at=at + timedelta(seconds=20, minutes=15),
                type=SetpointType.POWER.value,
                value=12.5,
                direction=Direction.EXPORT.value,
                priority=Priority.NORMAL.value,
            )
            for version in versions
        ),
        batch_size=2000,
    )
    SlotRun.objects.bulk_create(
        (
            SlotRun(plant_id=plant_id, slot=slot, due_at=at)
            for plant_id, slot in zip(plant_ids, slots, strict=True)
        ),
        batch_size=2000,
    )


def carry_out(fleet: Fleet, count: int) -> float:
    """The tick, until nothing is due; setpoints per second."""
    publish_everywhere(fleet, count)
    policy, at = current_schedule_policy(), clock.now()
    began = perf_counter()
    while run_due_slots(at=at, policy=policy) >= BATCH:
        pass
    took_s = perf_counter() - began
    _check(count)
    return count / took_s


def submit_each(fleet: Fleet, count: int) -> float:
    """One `submit` for each due run, as a person's command is stored; setpoints per second."""
    publish_everywhere(fleet, count)
    policy, at = current_schedule_policy(), clock.now()
    began = perf_counter()
    due = SlotRun.objects.filter(state=RunState.WAITING, due_at__lte=at).select_related("slot", "plant")
    for run in due.order_by("due_at", "pk"):
        request = CommandRequest(
            external_plant_id=run.plant.external_plant_id,
            payload=setpoint_of(planned(run.slot), begins_at=run.slot.start_at, overlap=timedelta(0)),
            idempotency_key=f"slot:{run.pk}",
            automatic=True,
        )
        made = submit(
            organisation_id=run.plant.organisation_id,
            request=request,
            actor=Actor(name="plan"),
            at=at,
            policy=policy.dispatch,
        )
        run.state, run.command, run.decided_at = RunState.COMMANDED, made.command, at
        run.save(update_fields=["state", "command", "decided_at"])
    took_s = perf_counter() - began
    _check(count)
    return count / took_s


class WrittenRows:
    """The rows that the tick writes for `count` runs, alone: read once as it wrote them, then copied back."""

    def __init__(self, fleet: Fleet, count: int) -> None:
        self._fleet, self._count = fleet, count

    def write(self) -> float:
        """COPY the same rows and update the runs, in one transaction; setpoints per second."""
        carry_out(self._fleet, self._count)
        world = self._fleet.world
        with world.database() as database:
            copies: list[tuple[str, list[bytes]]] = []
            for table in _WRITTEN:
                with (
                    database.cursor() as cursor,
                    cursor.copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as out,
                ):
                    copies.append((table, [bytes(block) for block in out]))
        publish_everywhere(self._fleet, self._count)
        with world.database() as database:
            began = perf_counter()
            with database.transaction():
                for table, blocks in copies:
                    with (
                        database.cursor() as cursor,
                        cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as into,
                    ):
                        for block in blocks:
                            into.write(block)
                database.execute(
                    "UPDATE schedules_slotrun run SET state = 'COMMANDED', command_id = command.id,"
                    " decided_at = command.requested_at FROM dispatch_command command"
                    " WHERE command.plant_id = run.plant_id"
                )
            took_s = perf_counter() - began
        _check(self._count)
        return self._count / took_s


def _check(count: int) -> None:
    """Raises RuntimeError unless every plant has its message and every run its command."""
    found = OutboundMessage.objects.filter(command__isnull=False).count()
    done = SlotRun.objects.filter(state=RunState.COMMANDED, command__isnull=False).count()
    if (found, done) != (count, count):
        raise RuntimeError(f"of {count} slots {done} are commanded and {found} have a message")
