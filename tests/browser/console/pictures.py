"""The README's pictures: `make screenshots`. Not a test by its name, so that only that command runs it.

A summer day at one organisation, its clock standing still at 13:42:18 in Prague: the same rows give the same pictures.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page

from esm import clock
from people.rights import Role
from plants.models import Connection, LinkHealth, Organisation, Plant, StreamHealth
from tests.console import seed_alarms, seed_commands, seed_fleet, seed_plans
from tests.console.seed_plant import NOON, lived_day
from tests.console.seed_reverse import pulled

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "pictures"
_SETTLES_MS = 1500
NAMES = (
    "Cold store Olomouc", "Sawmill Ždírec", "Dairy Klatovy", "Solar park Hodonín", "Logistics park Jažlovice",
    "Bus depot Křimice", "Bakery Pardubice", "Wholesale market Brno", "Greenhouse Němčice",
)  # fmt: skip


CALM = ("Printworks Humpolec", "Water plant Želivka", "Data hall Říčany", "Foundry Blansko", "Bakery Vsetín")


@pytest.mark.timeout(900)
def test_the_pictures_of_the_readme(sign_in: Callable[..., Page], organisation: Organisation) -> None:
    organisation.name = "acme energy"
    organisation.save()
    with clock.frozen(NOON):
        lived = lived_day(organisation)
        # Each seed brings its connection; two of one organisation can't have the same name.
        Connection.objects.filter(organisation=organisation).update(name="Voke Moravia")
        fleet = seed_fleet.make_fleet(organisation, NOON)
        _calm(fleet)
        _alive(lived.plant.connection, like=fleet.connection)
        for plant, name in zip(fleet.plants, NAMES, strict=False):
            Plant.objects.filter(pk=plant.pk).update(name=name)
        tomorrow = (NOON + timedelta(days=1)).date()
        seed_plans.draft_of(lived.plant, tomorrow, at=NOON)
        plant_page = f"/console/plants/{lived.plant.pk}/"
        _take(
            sign_in,
            ("fleet", "/console/fleet/", 1440, "light"),
            ("fleet-dark", "/console/fleet/", 1440, "dark"),
            ("plant", plant_page, 1440, "light"),
            ("plant-phone", plant_page, 390, "light"),
            ("plan", f"{plant_page}plan/{tomorrow}/", 1440, "dark"),
        )
        told = seed_commands.seed(organisation, at=NOON)
        _alive(told.connection, like=fleet.connection)
        Connection.objects.filter(name="Voke production").update(name="Voke West")
        seed_alarms.seed(organisation, at=NOON)
        pulled(organisation, at=NOON, requests=900)
        _take(
            sign_in,
            ("command", f"/console/commands/{told.unanswered_verified.pk}/", 1440, "light"),
            ("reverse", "/console/reverse/", 1440, "light"),
            ("alarms", "/console/alarms/", 1440, "dark"),
        )


def _take(sign_in: Callable[..., Page], *shots: tuple[str, str, int, str]) -> None:
    for name, path, width, theme in shots:
        page = sign_in(Role.ENGINEER, width=width, theme=theme)
        page.goto(path)
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(_SETTLES_MS)
        page.screenshot(path=FOLDER / f"{name}.png")
        page.close()


def _calm(fleet: seed_fleet.Fleet) -> None:
    """More plants that do what was planned: a fleet is mostly calm."""
    for number, name in enumerate(CALM):
        plant = seed_fleet.plant(fleet.connection, name, 20 + number)
        seed_fleet.measured(plant, NOON, grid_power_kw=-60.0 - 23 * number, fve_power_kw=110.0 + 31 * number)
        seed_fleet.quarters(plant, NOON, kw=-60.0 - 23 * number)
        seed_fleet.planned([plant], NOON, kw=60.0 + 23 * number)


def _alive(connection: Connection | None, *, like: Connection) -> None:
    """A connection as well as another one."""
    LinkHealth.objects.filter(connection=connection).delete()
    StreamHealth.objects.filter(connection=connection).delete()
    for row in (*LinkHealth.objects.filter(connection=like), *StreamHealth.objects.filter(connection=like)):
        row.pk, row.connection = None, connection
        row.save(force_insert=True)
