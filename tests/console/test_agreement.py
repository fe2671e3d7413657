"""Pages that show the same thing say the same of it, and a time of another day is told with its day."""

import re
from datetime import timedelta

import pytest

from console.commands.life import life_of
from console.commands.strip import steps_of
from console.commands.timeline import timeline_of
from console.commands.verdict import verdict_of
from console.commands.words import row_chip
from dispatch.models import Command, Proof
from dispatch.states import State
from tests import factories
from tests.console.seed_commands import seed
from tests.dispatch.helpers import ask, mode
from tests.factories import AT

pytestmark = pytest.mark.django_db
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
    assert steps_of(life)[1].caption == "at 3 Jan 06:00"
    assert timeline_of(life)[-1].lines == ["3 Jan 06:00:00, in 26\u202fh"]
    assert "3 Jan" in operator_client.get(f"/console/plants/{plant.pk}/last/").content.decode()
