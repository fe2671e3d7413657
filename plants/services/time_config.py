"""Time-config blocks: each edit is checked as a whole and becomes a new version with who and what changed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction

from plants.errors import Several
from plants.models import Plant, TimeConfigBlock, TimeConfigOrigin, TimeConfigVersion, User
from plants.selectors.plants import battery_ratings, blocks_of_version
from plants.services.organisations import bump_revision
from plants.time_config import Block, check_blocks, describe_changes


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who changes something: a user, or a machine by its name."""

    name: str
    user: User | None = None


def check_time_config(*, plant: Plant, blocks: Sequence[Block]) -> None:
    """Raises `Several` with every broken rule (paths `timeConfigs[i].field`)."""
    problems = check_blocks(blocks, ratings=battery_ratings(plant), gaps_allowed=plant.gaps_allowed)
    if problems:
        raise Several(problems)


def set_time_config(
    *, plant_id: int, blocks: Sequence[Block], origin: TimeConfigOrigin, author: Author, at: datetime
) -> TimeConfigVersion:
    """Make `blocks` the plant's current set; equal to the current one = the same version, nothing is written."""
    with transaction.atomic():
        # Without a join: after waiting for the lock a joined row would still be the one from before the wait.
        plant = Plant.objects.select_for_update(no_key=True).get(pk=plant_id)
        check_time_config(plant=plant, blocks=blocks)
        ordered = sorted(blocks, key=lambda block: block.start_minute)
        current = plant.time_config
        before = [] if current is None else blocks_of_version(current.pk)
        if current is not None and before == ordered:
            return current
        version = TimeConfigVersion.objects.create(
            plant=plant,
            number=1 if current is None else current.number + 1,
            origin=origin,
            made_at=at,
            made_by=author.user,
            made_by_name=author.name[:150],
            changes=describe_changes(before, ordered),
        )
        TimeConfigBlock.objects.bulk_create(
            [TimeConfigBlock(plant=plant, version=version, **asdict(block)) for block in ordered]
        )
        Plant.objects.filter(pk=plant.pk).update(time_config=version, updated_at=at)
        bump_revision(organisation_id=plant.organisation_id)
    return version
