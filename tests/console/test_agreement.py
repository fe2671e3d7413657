"""Pages that show the same thing say the same of it, and a time of another day is told with its day."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from console.commands.life import life_of
from console.commands.strip import steps_of
from console.commands.timeline import timeline_of
from console.commands.verdict import verdict_of
from console.commands.words import clock_text, row_chip
from console.plans.words import outcome_told
from console.plant.words import outcome_text
from dispatch.models import Command, Proof
from dispatch.states import State
from plants.models import ScheduleCarrier
from schedules.models import PlanVersion, RunState
from schedules.selectors.plans import SlotOutcome
from schedules.slots import PlannedSlot
from tests import factories
from tests.console.seed_commands import seed
from tests.dispatch.helpers import ask, mode
from tests.factories import AT
from vcp import Direction, SetpointType

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
_ROW = re.compile(
    r"href=\"/console/commands/(\d+)/[^\"]*\".*?data-state=\"(\w+)\".*?<span>(.*?)</span>", re.S
)


def _chips(html: str) -> dict[str, tuple[str, str]]:
    return {number: (state, word) for number, state, word in _ROW.findall(html)}


def test_a_plants_page_says_of_a_command_what_the_list_of_commands_says(operator_client, organisation):
    seeded = seed(organisation, at=AT, count=36)
    seeded.off_target.verification.target = 0.0
    seeded.off_target.verification.save()
    Command.objects.filter(pk=seeded.verified.pk).update(state=State.DEVIATED)
    listed = _chips(operator_client.get("/console/commands/").content.decode())

    told = {}
    for plant in seeded.plants:
        told |= _chips(operator_client.get(f"/console/plants/{plant.pk}/last/").content.decode())

    assert len(told) > 10
    assert told == {number: chip for number, chip in listed.items() if number in told}


@pytest.mark.parametrize("state", [State.FAILED, State.RETURNED, State.REFUSED, State.CANCELLED])
def test_what_failed_or_never_left_is_not_told_by_a_measurement(organisation, state):
    command = seed(organisation, at=AT, count=0).off_target
    assert command.verification.verdict == Proof.OFF_TARGET
    command.state = state

    assert row_chip(command).state == state


def test_a_command_for_another_day_is_told_with_its_day_wherever_it_waits(operator_client, organisation):
    link = factories.connection(owner=organisation, rest_base_url="")
    plant = factories.plant(on=link)
    command = ask(plant, mode(), due_at=AT + timedelta(days=1, hours=2))
    life = life_of(organisation_id=organisation.pk, command_id=command.pk, at=AT)

    assert verdict_of(life).title == "Waits for 3 Jan 06:00"
    assert steps_of(life)[1].caption == "on 3 Jan"
    assert timeline_of(life)[-1].lines == ["3 Jan 06:00:00, in 26\u202fh"]
    assert "3 Jan" in operator_client.get(f"/console/plants/{plant.pk}/last/").content.decode()


@pytest.mark.parametrize(("hour", "text"), [(0, "02:15"), (1, "02:15 B")])
def test_the_hour_that_comes_twice_is_told_apart_in_titles_of_commands(hour, text):
    assert clock_text(datetime(2026, 10, 25, hour, 15, tzinfo=UTC), "Europe/Prague") == text


def _outcome(*, value: float = 20.0, **facts: object) -> SlotOutcome:
    slot = PlannedSlot(
        start_at=AT - HOUR, end_at=AT, type=SetpointType.POWER, value=value, direction=Direction.EXPORT
    )
    return SlotOutcome(slot=slot, **facts)


def _version(carrier: ScheduleCarrier, published_at) -> PlanVersion:
    return PlanVersion(carrier=carrier, published_at=published_at)


OURS = _version(ScheduleCarrier.DISPATCHER, AT - 3 * HOUR)


@pytest.mark.parametrize(
    ("version", "word"),
    [
        (_version(ScheduleCarrier.DISPATCHER, AT), "Passed"),
        (_version(ScheduleCarrier.VOKE, AT), "Passed"),
        (_version(ScheduleCarrier.VOKE, AT - 3 * HOUR), "With Voke"),
    ],
)
def test_only_what_voke_carries_is_with_voke(version, word):
    assert outcome_told(_outcome(), at=AT, version=version).word == word


def test_a_missed_target_of_zero_is_told_alike_by_plan_and_plant():
    one = _outcome(value=0.0, verdict=Proof.OFF_TARGET, off_by=5.0, unit="kW")

    assert outcome_told(one, at=AT, version=OURS).word == "5.0\u202fkW import" == outcome_text(one)


def test_why_a_slot_was_not_in_force_is_told_by_plan_and_plant():
    one = _outcome(run_state=RunState.COMMANDED, command_state=State.REJECTED, verdict=Proof.NOT_IN_FORCE)

    assert outcome_told(one, at=AT, version=OURS).word == "Rejected" == outcome_text(one)
