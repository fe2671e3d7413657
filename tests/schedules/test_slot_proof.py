"""Slots of plans, proven by measurement: those that Voke carries, and how both carriers' verdicts are counted."""

from collections import Counter
from datetime import datetime, timedelta

import pytest

from dispatch.models import Proof, Verification
from dispatch.services.verification import verify_due
from dispatch.states import State
from schedules.models import PlanVersion, RunState, SlotProof, SlotRun
from schedules.selectors.proof import verdicts_of
from schedules.services.carried_by_voke import create_schedules
from schedules.services.proof import prove_slots_due
from tests import factories
from tests.dispatch.helpers import ask, deliver, mode, setpoint
from tests.dispatch.proof_world import GRACE, RULES, count, measure, say
from tests.factories import OPERATOR
from tests.queries import queries_of
from tests.schedules.at_voke import NOON, cancelled, four_slots, only, plant_at_voke, policy, published, send
from vcp import Direction, Priority, SetpointType

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SLOT = timedelta(minutes=15)
OVER = NOON + HOUR + GRACE


def in_force(plant, slots=None, **changes) -> PlanVersion:
    """Published, sent and accepted at noon."""
    version = published(plant, slots or four_slots(**changes))
    send(plant)
    say(only(version).create_command, State.ACCEPTED, at=NOON)
    return version


def verdicts(version: PlanVersion, *, now: datetime = OVER) -> list[str]:
    prove_slots_due(at=now, rules=RULES)
    return [row.verdict for row in proofs(version)]


def proofs(version: PlanVersion) -> list[SlotProof]:
    return list(SlotProof.objects.filter(slot__version=version).order_by("slot__start_at"))


def test_each_slot_is_judged_when_it_is_over():
    plant = plant_at_voke()
    version = in_force(plant)
    measure(plant, 20.0, since=NOON, until=NOON + HOUR)

    first = verdicts(version, now=NOON + SLOT + GRACE)

    assert first == ["VERIFIED", "PENDING", "PENDING", "PENDING"]
    assert verdicts(version) == ["VERIFIED"] * 4
    assert (proofs(version)[1].from_at, proofs(version)[1].to_at) == (NOON + SLOT + MINUTE, NOON + 2 * SLOT)
    assert proofs(version)[1].target == 20.0


def test_a_plan_that_was_published_days_before_is_judged_and_its_cancellation_counts():
    kept, dropped = plant_at_voke(), plant_at_voke()
    early = NOON - timedelta(days=9)
    plans = []
    for plant in (kept, dropped):
        plans.append(published(plant, four_slots(), now=early))
        send(plant, now=early)
        measure(plant, 20.0, since=NOON, until=NOON + HOUR)
    cancelled(plans[1], now=early + HOUR)
    send(dropped, now=early + HOUR)

    assert verdicts(plans[0]) == ["VERIFIED"] * 4
    assert verdicts(plans[1]) == ["NOT_IN_FORCE"] * 4


def test_a_slot_that_was_missed_says_by_how_much():
    plant = plant_at_voke()
    version = in_force(plant)
    measure(plant, lambda s: 20.0 if s < 900 else 12.0, since=NOON, until=NOON + HOUR)

    assert verdicts(version) == ["VERIFIED", "OFF_TARGET", "OFF_TARGET", "OFF_TARGET"]
    assert proofs(version)[2].off_by == pytest.approx(-8.0)


def test_an_energy_slot_is_judged_on_the_meter():
    plant = plant_at_voke()
    version = in_force(plant, four_slots(2.5, type=SetpointType.ENERGY))
    count(plant, import_kw=10.0, since=NOON - 2 * MINUTE, until=NOON + HOUR + 2 * MINUTE)

    assert verdicts(version) == ["VERIFIED"] * 4
    assert {(one.source, one.unit) for one in proofs(version)} == {("METER", "kWh")}


def test_a_plan_that_never_reached_voke_was_not_in_force():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    measure(plant, 20.0, since=NOON, until=NOON + HOUR)

    assert verdicts(version) == ["NOT_IN_FORCE"] * 4


def test_a_plan_that_voke_rejected_was_not_in_force():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)
    say(only(version).create_command, State.REJECTED, at=NOON)

    assert verdicts(version) == ["NOT_IN_FORCE"] * 4


def test_a_schedule_that_reached_voke_within_a_slot_is_judged_from_then_on():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant, now=NOON + 4 * MINUTE)
    measure(plant, 20.0, since=NOON, until=NOON + HOUR)

    assert verdicts(version)[0] == "VERIFIED"
    assert proofs(version)[0].from_at == NOON + 5 * MINUTE


def test_an_override_ends_what_is_judged_of_its_slot():
    plant = plant_at_voke()
    version = in_force(plant)
    begins = NOON + 20 * MINUTE
    high = ask(
        plant,
        setpoint(
            5.0,
            direction=Direction.IMPORT,
            priority=Priority.HIGH,
            valid_from=begins,
            valid_until=NOON + 50 * MINUTE,
        ),
        at=begins,
    )
    deliver(plant.connection, at=begins)
    measure(plant, lambda s: 5.0 if 1200 <= s < 3000 else 20.0, since=NOON, until=NOON + HOUR)
    verify_due(at=OVER, rules=RULES)

    assert verdicts(version) == ["VERIFIED", "VERIFIED", "NOT_IN_FORCE", "VERIFIED"]
    assert proofs(version)[1].to_at == begins
    assert proofs(version)[3].from_at == NOON + 51 * MINUTE
    assert Verification.objects.get(command=high).verdict == Proof.VERIFIED


def test_a_mode_ends_the_running_slot_only():
    plant = plant_at_voke()
    version = in_force(plant)
    ask(plant, mode(), at=NOON + 5 * MINUTE)
    deliver(plant.connection, at=NOON + 5 * MINUTE)
    measure(plant, 20.0, since=NOON, until=NOON + HOUR)

    assert verdicts(version) == ["VERIFIED"] * 4
    assert proofs(version)[0].to_at == NOON + 5 * MINUTE


def test_slots_of_a_cancelled_plan_were_not_in_force_any_more():
    plant = plant_at_voke()
    version = in_force(plant)
    stops = NOON + 20 * MINUTE
    cancelled(version, now=stops)
    send(plant, now=stops)
    measure(plant, lambda s: 20.0 if s < 1200 else 0.0, since=NOON, until=NOON + HOUR)

    assert verdicts(version) == ["VERIFIED", "VERIFIED", "NOT_IN_FORCE", "NOT_IN_FORCE"]
    assert proofs(version)[1].to_at == stops


def test_where_a_version_was_replaced_each_is_judged_for_its_own_time():
    plant = plant_at_voke()
    before = in_force(plant)
    changes = NOON + 20 * MINUTE
    after = published(plant, four_slots(8.0), now=changes)
    send(plant, now=changes)
    measure(plant, lambda s: 20.0 if s < 1200 else 8.0, since=NOON, until=NOON + HOUR)

    assert verdicts(before) == ["VERIFIED", "VERIFIED", "NOT_IN_FORCE", "NOT_IN_FORCE"]
    assert [row.verdict for row in proofs(after)] == ["VERIFIED"] * 3


def test_slots_that_were_over_when_it_was_published_have_no_proof():
    plant = plant_at_voke()
    version = published(plant, four_slots(), now=NOON + 31 * MINUTE)

    assert [row.slot.start_at for row in proofs(version)] == [NOON + 2 * SLOT, NOON + 3 * SLOT]


def test_creating_the_schedules_once_more_opens_no_proof_twice():
    plant = plant_at_voke()
    version = in_force(plant)

    create_schedules(version, actor=OPERATOR, at=NOON + MINUTE, policy=policy())

    assert len(proofs(version)) == 4


@pytest.mark.postgresql
def test_the_number_of_statements_does_not_grow_with_the_slots_that_are_due():
    def statements(number):
        for _ in range(number):
            plant = plant_at_voke()
            in_force(plant)
            measure(plant, 3.0, since=NOON, until=NOON + HOUR)
        done = queries_of(lambda: prove_slots_due(at=OVER, rules=RULES))
        SlotProof.objects.update(again_at=None)
        return done

    assert statements(1) == statements(5)
    assert SlotProof.objects.filter(verdict=Proof.OFF_TARGET).count() == 24


# --- counting ---------------------------------------------------------------------------------------------------------


def turn(slot, number: int, verdict: str | None) -> None:
    """A turn of a slot that we carry, with its command's verdict; None = nothing was sent."""
    command = None
    if verdict is not None:
        plant = slot.version.plan.plant
        command = ask(plant, setpoint(valid_from=slot.start_at, valid_until=slot.end_at), at=slot.start_at)
        Verification.objects.filter(command=command).update(verdict=verdict)
    SlotRun.objects.create(
        plant=slot.version.plan.plant, slot=slot, turn=number, due_at=slot.start_at, state=RunState.COMMANDED,
        command=command,
    )  # fmt: skip


def test_verdicts_are_told_over_both_carriers_and_all_turns():
    plant = plant_at_voke()
    theirs = in_force(plant)
    measure(plant, 20.0, since=NOON, until=NOON + HOUR)
    verdicts(theirs)
    ours = published(factories.plant(), four_slots(), carrier="DISPATCHER")
    slots = list(ours.slots.order_by("start_at"))
    for slot, turns in zip(
        slots, [["VERIFIED"], ["NOT_IN_FORCE", "VERIFIED"], ["VERIFIED", "OFF_TARGET"], [None]], strict=True
    ):
        for number, verdict in enumerate(turns, 1):
            turn(slot, number, verdict)

    found = verdicts_of(version_ids=[theirs.pk, ours.pk])

    assert Counter(found.values()) == {Proof.VERIFIED: 6, Proof.OFF_TARGET: 1}
    assert slots[3].pk not in verdicts_of(version_ids=[ours.pk])
    assert queries_of(lambda: verdicts_of(version_ids=[theirs.pk, ours.pk])) == 2
