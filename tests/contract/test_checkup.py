"""`check_connection` over the whole loop: green when everything works, and the stand-in's word for what does not."""

import pytest

from dispatch.states import State
from esm import clock
from link.checkup import CheckOptions, Step, checks
from plants.models import Connection
from tests.contract.world import World, amqps_world, eventually
from tests.services.partner import Partner
from tests.services.rabbit import RabbitServer
from vcp import Mode, OperatingMode
from voke_sim.config import RestConfig

pytestmark = pytest.mark.django_db(transaction=True)


def look(world: World, rabbit: RabbitServer) -> dict[Step, tuple[str, str]]:
    link = Connection.objects.get(pk=world.connection.pk)
    options = CheckOptions(ca_file=str(rabbit.ca_file), ack_timeout_s=60)
    return {
        result.step: (result.verdict.value, result.code)
        for result in checks(link, clock=clock.now, options=options)
    }


def test_all_steps_are_green_while_the_stand_in_runs(rabbit: RabbitServer, partner: Partner):
    rest = RestConfig(api_key=partner.api_key)
    with amqps_world(partner, str(rabbit.ca_file), rest=rest) as world:
        Connection.objects.filter(pk=world.connection.pk).update(
            rest_base_url=f"{world.simulator.rest_url}/api/v1"
        )
        command = world.send(Mode(mode=OperatingMode.PEAK_SHAVING))
        world.wait_for(command, State.ACCEPTED, State.EXECUTING, State.COMPLETED)

        eventually(lambda: look(world, rabbit)[Step.CLOCK][0] == "OK", what="clocks have been compared")

        found = look(world, rabbit)

    assert found == dict.fromkeys(Step, ("OK", ""))
