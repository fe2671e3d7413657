"""Small steps that the tests of carried-out plans share: publish, tick, deliver, look at what became of slots."""

from datetime import datetime
from typing import Any

from dispatch.models import Command, Outcome
from dispatch.services.confirms import Word, record
from plants.models import Plant
from schedules.models import Override, PlanVersion, SlotRun
from schedules.policy import SchedulePolicy, current_schedule_policy
from schedules.services.carried_by_us import run_due_slots
from schedules.services.override_turns import say_overrides_again
from schedules.services.overrides import begin_override, end_override, expire_overrides
from schedules.services.publishing import cancel_plan, publish
from schedules.slots import PlannedSlot
from tests import factories
from tests.dispatch.helpers import ask, claims, release, setpoint, stop_now
from tests.factories import OPERATOR
from tests.schedules.helpers import checked
from tests.schedules.plans import EVE

ANN = factories.Actor(name="Ann")


def plain_plant(**changes: Any) -> Plant:
    """Without a capacity, so that no warning about its charge stands against a plan."""
    return factories.plant(**({"capacity_kwh": 0} | changes))


def policy() -> SchedulePolicy:
    return current_schedule_policy()


def put_in_force(plant: Plant, *slots: PlannedSlot, now: datetime = EVE, **changes: Any) -> PlanVersion:
    """A plan of the plant, made, checked and published."""
    return publish_now(checked(plant, *slots, at=now, **changes), now)


def publish_now(version: PlanVersion, now: datetime) -> PlanVersion:
    """Publish a checked version, its warnings accepted."""
    return publish(
        organisation_id=version.plan.organisation_id,
        version_id=version.pk,
        actor=OPERATOR,
        at=now,
        policy=policy(),
        accept_warnings=True,
    )


def cancel(version: PlanVersion, now: datetime) -> PlanVersion:
    return cancel_plan(
        organisation_id=version.plan.organisation_id,
        version_id=version.pk,
        actor=OPERATOR,
        reason="rain",
        at=now,
        policy=policy(),
    )


def tick(now: datetime, **changes: Any) -> int:
    """The ticks of overrides and slots, in the order of a second."""
    expire_overrides(at=now)
    say_overrides_again(at=now, policy=policy())
    return run_due_slots(at=now, policy=policy(), **changes)


def override(plant: Plant, until: datetime, *, now: datetime, kw: float = 5.0, **changes: Any) -> Override:
    facts: dict[str, Any] = {"payload": setpoint(kw), "actor": ANN, "reason": "peak", "policy": policy()}
    return begin_override(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        until_at=until,
        at=now,
        **(facts | changes),
    )


def end(row: Override, now: datetime, **changes: Any) -> Override:
    facts: dict[str, Any] = {"actor": ANN, "reason": "over", "policy": policy()} | changes
    return end_override(organisation_id=row.organisation_id, override_id=row.pk, at=now, **facts)


def emergency_stop(plant: Plant, now: datetime) -> Command:
    return ask(plant, stop_now(), at=now)


def released(plant: Plant, now: datetime) -> Command:
    return release(plant, at=now)


def sent(plant: Plant, now: datetime, outcome: Outcome = Outcome.CONFIRMED) -> None:
    """The relay hands everything over, and the broker says so."""
    while window := claims(plant.connection, at=now):
        record(
            words=[Word(outbound_id=one.outbound_id, outcome=outcome, detail="") for one in window],
            at=now,
            policy=policy().dispatch,
        )


def runs_of(plan: PlanVersion) -> list[tuple[str, str]]:
    """(state, cause) of each turn, in the order of time."""
    rows = SlotRun.objects.filter(slot__version=plan).order_by("slot__start_at", "turn")
    return list(rows.values_list("state", "cause"))


def asked_of(plant: Plant) -> list[tuple[str, Any, str, str]]:
    """Setpoints as they were asked for: kW, from and until as wall-clock minutes of UTC, priority."""
    rows = Command.objects.filter(plant=plant, kind="site-setpoint").order_by("pk")
    return [
        (
            one.payload["targetValueKw"],
            one.payload["validFrom"][11:19],
            one.payload["validUntil"][11:19],
            one.payload["priority"],
        )
        for one in rows
    ]
