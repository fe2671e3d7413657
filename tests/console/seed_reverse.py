"""What Voke pulled and asked for, in one organisation: plants with configs, credentials, a journal, updates."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from plants.models import Organisation, Plant, TimeConfigOrigin
from plants.services.time_config import Author, set_time_config
from plants.time_config import Block
from tests import factories
from tests.admin.seed_wire import fill_journal, make_updates
from trading_api.models import ConfigUpdateRequest, ServedVersion
from trading_api.services.credentials import issue_credentials


def day_blocks(*, soc_min_pct: float = 15.0) -> list[Block]:
    """A day in two blocks: night and day."""
    return [
        Block(
            start_minute=start,
            end_minute=end,
            p_bat_min_kw=-50.0,
            p_bat_max_kw=50.0,
            soc_min_pct=soc_min_pct,
            soc_max_pct=95.0,
        )
        for start, end in ((0, 480), (480, 1440))
    ]


def plants_with_configs(organisation: Organisation, *, count: int, at: datetime) -> list[Plant]:
    """Plants of which each has one version of its config."""
    link = factories.connection(owner=organisation)
    plants = [
        factories.plant(
            on=link, name=f"Plant {number}", max_charge_kw=200, max_discharge_kw=200, soc_min_pct=5
        )
        for number in range(count)
    ]
    for plant in plants:
        set_time_config(
            plant_id=plant.pk,
            blocks=day_blocks(),
            origin=TimeConfigOrigin.PERSON,
            author=Author(name="jana"),
            at=at - timedelta(days=2),
        )
    return plants


def pulled(
    organisation: Organisation, *, at: datetime, plants: int = 4, requests: int = 60
) -> tuple[Sequence[Plant], Sequence[ConfigUpdateRequest]]:
    """A Voke that pulls: all but the last plant were served, the first update waits for a person."""
    made = plants_with_configs(organisation, count=plants, at=at)
    credential = issue_credentials(organisation=organisation, at=at, label="Voke staging").credential
    for plant in made[:-1]:
        ServedVersion.objects.create(credential=credential, plant=plant, number=1, served_at=at)
    fill_journal(made, [credential], requests, at, random.Random(7))
    return made, make_updates(made, [credential], at)
