"""An organisation with one of everything that an address of the console can name."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.test import Client

from dispatch.models import Command, EmergencyOrder
from people.models import OneTimeLink, PersonSession
from people.rights import Role
from plants.models import AlarmCase, Connection, Organisation, Plant, User
from schedules.models import Override, PlanUpload
from tests.admin.seed import seed
from tests.admin.seed_commands import make_order
from tests.factories import AT
from trading_api.models import ConfigUpdateRequest, Credential, PullJournal


def seeded_organisation() -> Organisation:
    """The first organisation of the seeded installation, with people of each role."""
    organisation = seed(at=AT, plants=5, commands=8, journal=4, letters=1).organisations[0]
    people_of(organisation)
    return organisation


def people_of(organisation: Organisation) -> dict[Role, User]:
    """One person of each role."""
    found = {}
    for role in Role:
        name = f"{role.lower()}-{organisation.slug}"
        user, _ = User.objects.get_or_create(
            username=name, defaults={"organisation": organisation, "role": role, "first_name": f"Per {role}"}
        )
        found[role] = user
    return found


def signed_in(user: User, **options: Any) -> Client:
    """A browser of this person; errors of ours are answers, as they are to a browser."""
    client = Client(raise_request_exception=False, **options)
    client.force_login(user)
    return client


def keys_in(organisation: Organisation) -> Mapping[str, int]:
    """The key of a row of the organisation for each parameter; what belongs to a plant belongs to the same one."""
    override = Override.objects.filter(organisation=organisation).latest("pk")
    plant = override.plant
    person = people_of(organisation)[Role.VIEWER]
    rows: dict[str, Any] = {
        "override_id": override,
        "plant_id": plant,
        "command_id": Command.objects.filter(plant=plant).latest("pk"),
        "case_id": AlarmCase.objects.filter(organisation=organisation).earliest("pk"),
        "connection_id": Connection.objects.filter(organisation=organisation).earliest("pk"),
        "credential_id": Credential.objects.filter(organisation=organisation).earliest("pk"),
        "pull_id": PullJournal.objects.filter(organisation=organisation).earliest("pk"),
        "update_id": ConfigUpdateRequest.objects.filter(
            plant__organisation=organisation, state="OPEN"
        ).earliest("pk"),
        "order_id": _order(organisation),
        "upload_id": PlanUpload.objects.create(
            organisation=organisation,
            name="day.csv",
            content=b"plant,start,type,value,direction\n",
            made_at=AT,
            by=people_of(organisation)[Role.ADMIN],
        ),
        "person_id": person,
        "link_id": OneTimeLink.objects.create(
            organisation=organisation,
            name="Somebody",
            role=Role.VIEWER,
            digest="d" * 64,
            pepper_version="1",
            made_by_name="Ann",
            created_at=AT,
            expires_at=AT + timedelta(days=1),
        ),
    }
    return {name: row.pk for name, row in rows.items()}


def _order(organisation: Organisation) -> EmergencyOrder:
    rows = EmergencyOrder.objects.filter(organisation=organisation)
    if not rows.exists():
        make_order(Plant.objects.filter(organisation=organisation).latest("pk"), AT - timedelta(minutes=140))
    return rows.latest("pk")


def everything() -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables but those of sessions: what "nothing changed" means."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model is not PersonSession and not model._meta.proxy
    }


def changed_tables(before: Mapping[str, Any]) -> list[str]:
    """The tables that hold something else by now."""
    return [label for label, rows in everything().items() if rows != before[label]]


def names_in(organisation: Organisation) -> list[str]:
    """Words by which somebody would recognise the organisation."""
    plants = Plant.objects.filter(organisation=organisation)
    return [organisation.name, *plants.values_list("name", flat=True)]
