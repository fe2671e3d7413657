"""Each scenario runs in memory and over AMQPS."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest

from tests.contract.world import World, amqps_world, memory_world

MakeWorld = Callable[..., AbstractContextManager[World]]


@pytest.fixture(params=["memory", "amqps"])
def make_world(request: pytest.FixtureRequest, transactional_db: None) -> MakeWorld:
    """Opens a world over the parametrised transport; keyword arguments configure the stand-in."""
    if request.param == "memory":
        return memory_world
    return partial(
        amqps_world, request.getfixturevalue("partner"), str(request.getfixturevalue("rabbit").ca_file)
    )
