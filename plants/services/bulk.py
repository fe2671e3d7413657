"""Saves a document of plants in one step: all of them, or none with every problem named."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from plants.bulk import PlantSheet
from plants.errors import DomainError, Several
from plants.models import Plant, TimeConfigOrigin
from plants.services.plants import save_assets, save_plant
from plants.services.time_config import Author, set_time_config


@transaction.atomic
def save_sheets(*, sheets: Sequence[PlantSheet], author: Author, at: datetime) -> list[Plant]:
    """Insert the plants of a document with their assets and time-config blocks; raises `Several`."""
    plants: list[Plant] = []
    for index, sheet in enumerate(sheets):
        try:
            plant = save_plant(plant=sheet.plant, at=at)
            save_assets(plant=plant, changed=sheet.assets, removed=[], at=at)
            if sheet.blocks:
                set_time_config(
                    plant_id=plant.pk,
                    blocks=sheet.blocks,
                    origin=TimeConfigOrigin.IMPORT,
                    author=author,
                    at=at,
                )
        except Several as error:
            raise Several([_under(index, problem) for problem in error.problems]) from error
        plants.append(plant)
    return plants


def _under(index: int, problem: DomainError) -> DomainError:
    return DomainError(problem.words, path=f"[{index}].{problem.path}", code=problem.code)
