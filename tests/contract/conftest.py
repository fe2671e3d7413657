"""Each scenario runs in memory and over AMQPS."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest

from tests.contract.plans_world import PlansWorld
from tests.contract.world import World, amqps_wiring, amqps_world, memory_wiring, memory_world

MakeWorld = Callable[..., AbstractContextManager[World]]
MakePlans = Callable[..., AbstractContextManager[PlansWorld]]


@pytest.fixture(params=["memory", "amqps"])
def make_world(request: pytest.FixtureRequest, transactional_db: None) -> MakeWorld:
    """Opens a world over the parametrised transport; keyword arguments configure the stand-in."""
    if request.param == "memory":
        return memory_world
    return partial(
        amqps_world, request.getfixturevalue("partner"), str(request.getfixturevalue("rabbit").ca_file)
    )


@pytest.fixture(params=["memory", "amqps"])
def make_plans(request: pytest.FixtureRequest, transactional_db: None) -> MakePlans:
    """Opens a world of day plans over the parametrised transport."""
    if request.param == "memory":
        return partial(PlansWorld, memory_wiring)
    wiring = partial(
        amqps_wiring, request.getfixturevalue("partner"), str(request.getfixturevalue("rabbit").ca_file)
    )
    return partial(PlansWorld, wiring)
