"""A plan that Voke carries, and Voke's words about it as they arrive over the link."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from dispatch.models import Command, Kind
from dispatch.services.due import queue_due
from plants.models import Connection, Plant, ScheduleCarrier
from schedules.models import DayPlan, Origin, PlanEvent, PlanState, PlanVersion, VokeSchedule
from schedules.policy import SchedulePolicy, current_schedule_policy
from schedules.services.carried_by_voke import create_schedules, withdraw_schedules
from schedules.services.drafts import save_draft
from schedules.services.voke_turns import run_voke_turns
from schedules.slots import PlannedSlot
from tests import factories
from tests.dispatch.helpers import deliver
from tests.factories import OPERATOR
from tests.link.helpers import event, hear
from tests.schedules.plans import DAY, at, slot
from vcp import Family

NOON = at("12:00")
SECOND = timedelta(seconds=1)


def policy() -> SchedulePolicy:
    return current_schedule_policy()


def plant_at_voke(*, on: Connection | None = None, **changes: Any) -> Plant:
    return factories.plant(on=on, **({"schedule_carrier": ScheduleCarrier.VOKE} | changes))


def four_slots(kw: float = 20.0, first: str = "12:00", **changes: Any) -> list[PlannedSlot]:
    """An hour of quarter hours from noon on, unless told otherwise."""
    begins = at(first)
    return [
        slot("12:00", kw, start_at=begins + number * timedelta(minutes=15),
             end_at=begins + (number + 1) * timedelta(minutes=15), **changes)
        for number in range(4)
    ]  # fmt: skip


def published(
    plant: Plant,
    slots: Sequence[PlannedSlot],
    *,
    now: datetime = NOON,
    carrier: ScheduleCarrier = ScheduleCarrier.VOKE,
) -> PlanVersion:
    """What publishing does, without the rules: the version in force, the one before withdrawn."""
    version = save_draft(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        day=DAY,
        slots=slots,
        actor=OPERATOR,
        at=now,
        origin=Origin.PERSON,
    )
    with transaction.atomic():
        plan = DayPlan.objects.select_for_update(no_key=True).get(pk=version.plan_id)
        Plant.objects.select_for_update(no_key=True).get(pk=plant.pk)
        before = plan.versions.filter(state=PlanState.PUBLISHED).first()
        if before is not None:
            PlanVersion.objects.filter(pk=before.pk).update(state=PlanState.REPLACED, ended_at=now)
        PlanVersion.objects.filter(pk=version.pk).update(
            state=PlanState.PUBLISHED, carrier=carrier, published_at=now
        )
        version.refresh_from_db()
        if carrier == ScheduleCarrier.VOKE:
            create_schedules(version, actor=OPERATOR, at=now, policy=policy())
        if before is not None:
            withdraw_schedules(before, successor=version, actor=OPERATOR, at=now, policy=policy())
    return version


def cancelled(version: PlanVersion, *, now: datetime = NOON) -> None:
    """What cancelling a plan does."""
    with transaction.atomic():
        DayPlan.objects.select_for_update(no_key=True).get(pk=version.plan_id)
        Plant.objects.select_for_update(no_key=True).get(pk=version.plan.plant_id)
        PlanVersion.objects.filter(pk=version.pk).update(state=PlanState.CANCELLED, ended_at=now)
        withdraw_schedules(version, successor=None, actor=OPERATOR, at=now, policy=policy())


def turns(now: datetime, **changes: Any) -> int:
    """The tick, without chance."""
    return run_voke_turns(at=now, policy=policy(), chance=lambda: 0.5, **changes)


def schedules_of(version: PlanVersion) -> list[VokeSchedule]:
    rows = VokeSchedule.objects.filter(version=version).order_by("pk")
    return list(rows.select_related("create_command", "cancel_command", "version__plan"))


def only(version: PlanVersion) -> VokeSchedule:
    (row,) = schedules_of(version)
    return row


def send(plant: Plant, *, now: datetime = NOON) -> None:
    """Put what is due into the outbox and let the broker confirm it."""
    queue_due(at=now)
    deliver(plant.connection, at=now)


def voke_says(
    row: VokeSchedule,
    status: str,
    *,
    now: datetime = NOON,
    about: Command | None = None,
    nameless: bool = False,
    **members: Any,
) -> None:
    """A schedule event, with the correlation of the command it is about (the creation) unless `nameless`."""
    command = about or row.create_command
    ids = {} if nameless else {"correlationId": str(command.messages.latest("pk").correlation_id)}
    payload = {"scheduleId": str(row.schedule_id), "status": status} | members
    told = event(Family.EVENT_SCHEDULE, payload, site=row.plant, at=now, tail=status.lower(), **ids)
    hear(row.plant.connection, told, at=now)


def history(version: PlanVersion) -> list[str]:
    """The words of the plan's history that speak of this version."""
    return list(PlanEvent.objects.filter(version=version).order_by("pk").values_list("word", flat=True))


def in_force(plant: Plant, *, now: datetime = NOON) -> PlanVersion:
    """A plan of an hour that Voke has accepted."""
    version = published(plant, four_slots(), now=now)
    send(plant, now=now)
    voke_says(only(version), "ACCEPTED", now=now)
    return version


def commands(plant: Plant, kind: Kind = Kind.SCHEDULE_CREATE) -> list[Command]:
    return list(Command.objects.filter(plant=plant, kind=kind).order_by("pk"))
