"""Which connection or plant a person at the shell means."""

from django.core.management.base import CommandError

from plants.models import Connection, Plant
from plants.selectors.connections import SECRET_FIELDS
from plants.texts import number_of


def connection_called(name: str, slug: str | None) -> Connection:
    """By name, else by number; its secrets are not read yet, so that one that does not decrypt is an answer."""
    rows = Connection.objects.defer(*SECRET_FIELDS).order_by("pk")
    if slug:
        rows = rows.filter(organisation__slug=slug)
    found = list(rows.filter(name=name)[:2])
    if not found and (number := number_of(name)) is not None:
        found = list(rows.filter(pk=number))
    if len(found) != 1:
        reason = "no connection has" if not found else "two connections have"
        raise CommandError(f"{reason} the name or number {name!r}" + ("" if slug else "; see --organisation"))
    return found[0]


def plant_called(external_plant_id: str, slug: str | None) -> Plant:
    """By its externalPlantId, within the organisation where one is given."""
    rows = Plant.objects.filter(external_plant_id=external_plant_id).order_by("pk")
    if slug:
        rows = rows.filter(organisation__slug=slug)
    found = list(rows[:2])
    if len(found) != 1:
        reason = "no plant has this id" if not found else "two organisations use this id: add --organisation"
        raise CommandError(f"{external_plant_id!r}: {reason}")
    return found[0]
