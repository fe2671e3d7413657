"""A lived-in installation: organisations, connections, plants with telemetry, commands in every state, alarms, journal.

Commands are asked for through the services and moved through their one writer, so that every timeline is one that could
have happened. Reproducible: the same arguments give the same rows but for ids of messages.
"""

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import transaction

from dispatch.models import Command, EmergencyLatch
from dispatch.policy import current_policy
from dispatch.services.site_config import publish_changed
from plants.models import (
    Alarm,
    AlarmOrigin,
    Asset,
    Connection,
    ConnectionMode,
    LinkHealth,
    LinkState,
    Organisation,
    Plant,
    PlantState,
    RecentTelemetryBody,
    TimeConfigOrigin,
    User,
)
from plants.services.alarm_filing import Told, file_alarms
from plants.services.link_health import note_link
from plants.services.organisations import create_organisation
from plants.services.plants import save_assets, save_plant
from plants.services.time_config import Author, set_time_config
from plants.time_config import Block
from tests import factories
from tests.admin.seed_commands import make_commands, make_emergencies
from tests.admin.seed_gaps import make_gaps
from tests.admin.seed_metering import make_metering
from tests.admin.seed_people import make_acts
from tests.admin.seed_plans import make_override, make_plans
from tests.admin.seed_site import make_site_reports
from tests.admin.seed_watch import make_watch
from tests.admin.seed_wire import fill_inbox, fill_journal, make_updates
from trading_api.models import ConfigUpdateRequest, Credential
from trading_api.services.credentials import issue_credentials
from vcp import (
    format_timestamp,
)

_PLACES = (
    "Brewery Přerov",
    "Cold store Olomouc",
    "Sawmill Ždírec",
    "Hospital Tábor",
    "Solar park Hodonín",
    "Bus depot Křimice",
    "Wholesale market Brno",
    "Logistics park Jažlovice",
    "Dairy Klatovy",
    "Greenhouse Němčice",
    "Printworks Humpolec",
    "Quarry Kamenec",
    "Bakery Vsetín",
    "Foundry Blansko",
    "Waterworks Znojmo",
)


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """The rows that a test wants at hand."""

    organisations: list[Organisation]
    connections: list[Connection]
    plants: list[Plant]
    commands: list[Command]
    credentials: list[Credential]
    updates: list[ConfigUpdateRequest]


def people(*, password: str) -> dict[str, User]:
    """An administrator, and a member of staff without any right."""
    return {
        "admin": User.objects.create_superuser(
            "jana", "jana@example.com", password, first_name="Jana", last_name="Dvořáková"
        ),
        "staff": User.objects.create_user(
            "petr", "petr@example.com", password, is_staff=True, first_name="Petr"
        ),
    }


@transaction.atomic
def seed(
    *, at: datetime, plants: int = 12, commands: int = 40, journal: int = 40, letters: int = 8
) -> Seeded:
    """Fill the database as of the instant `at`."""
    chance = random.Random(20260714)
    organisations, connections = _owners(at)
    made = [_plant(number, connections, at, chance) for number in range(plants)]
    for plant in made:
        _alarms(plant, at, chance)
    asked = make_commands(made, commands, at, chance)
    publish_changed(at=at, policy=current_policy())
    make_site_reports(made, at)
    make_emergencies(made, at)
    _plans(made, at)
    credentials = [
        issue_credentials(
            organisation=one, label="production", client_id=f"voke-{one.slug}", at=at - timedelta(days=40)
        ).credential
        for one in organisations
    ]
    Credential.objects.filter(pk=credentials[0].pk).update(last_token_at=at - timedelta(minutes=12))
    updates = make_updates(made, credentials, at)
    fill_journal(made, credentials, journal, at, chance)
    fill_inbox(made, connections, letters, at, chance)
    make_watch(connections[0], at)
    make_gaps(made, at)
    make_metering(made, at)
    make_acts(organisations, at)
    return Seeded(
        organisations=organisations,
        connections=connections,
        plants=made,
        commands=asked,
        credentials=credentials,
        updates=updates,
    )


def _plans(made: Sequence[Plant], at: datetime) -> None:
    """Days of plants that can be sent to, and one person's override."""
    latched = EmergencyLatch.objects.filter(released_at=None).values_list("plant_id", flat=True)
    free = [
        plant for plant in made if plant.pk not in latched and plant.connection.mode == ConnectionMode.ACTIVE
    ]
    make_plans(free[:4], at=at)
    make_override(free[0], at=at)


def _owners(at: datetime) -> tuple[list[Organisation], list[Connection]]:
    organisations = [
        create_organisation(name="Moravia Flex", slug="moravia-flex", at=at - timedelta(days=90)),
        create_organisation(name="Bohemia Storage", slug="bohemia-storage", at=at - timedelta(days=60)),
    ]
    links = [
        factories.connection(
            owner=organisations[0],
            name="Voke production",
            vhost="partner-8d1f",
            key_id="8d1f",
            scopes=[
                "vcp:connect",
                "vcp:read",
                "vcp:write:setpoint",
                "vcp:write:mode",
                "vcp:write:device-command",
                "vcp:write:config",
            ],
            activated_at=at - timedelta(days=30),
        ),
        factories.connection(
            owner=organisations[0],
            name="Voke staging",
            vhost="partner-22aa",
            key_id="22aa",
            mode=ConnectionMode.OBSERVE,
        ),
        factories.connection(
            owner=organisations[1], name="Voke", vhost="partner-77c0", key_id="77c0", scopes=[]
        ),
    ]
    _tell_health(links, at)
    return organisations, links


def _tell_health(links: Sequence[Connection], at: datetime) -> None:
    roles = LinkHealth.Role
    for link, role, state, ago, error in (
        (links[0], roles.PUBLISH, LinkState.CONNECTED, 2, ""),
        (links[0], roles.CONSUME, LinkState.CONNECTED, 1, ""),
        (
            links[1],
            roles.CONSUME,
            LinkState.REFUSED,
            3,
            "ACCESS_REFUSED: the broker refused the login for user acme",
        ),
        (
            links[2],
            roles.PUBLISH,
            LinkState.DOWN,
            4,
            "UNREACHABLE: no answer from amqp.voke.turena.cz:5671 within 5 s",
        ),
        (links[2], roles.CONSUME, LinkState.CONNECTED, 400, ""),
    ):
        note_link(
            connection_id=link.pk,
            role=role,
            state=state,
            at=at - timedelta(seconds=ago),
            error=error,
            event_at=at - timedelta(seconds=ago + 4),
        )
        LinkHealth.objects.filter(connection=link, role=role).update(
            since=at - timedelta(hours=3, minutes=12)
        )


def _plant(number: int, links: Sequence[Connection], at: datetime, chance: random.Random) -> Plant:
    link = (links[0], links[0], links[2], links[1])[number % 4]
    name = _PLACES[number % len(_PLACES)]
    if number >= len(_PLACES):
        name += f" {number // len(_PLACES) + 1}"
    plant = save_plant(
        plant=Plant(
            organisation=link.organisation,
            connection=link,
            external_plant_id=f"PLANT-{number + 1:03d}",
            voke_uuid=uuid.UUID(int=7_000_000 + number),
            name=name,
            capacity_kwh=200.0,
            fve_peak_power_kwp=412.0,
            max_import_kw=400.0,
            max_export_kw=300.0,
            max_charge_kw=120.0,
            max_discharge_kw=120.0,
            soc_min_pct=5.0,
            soc_max_pct=98.0,
            dispatch_enabled=number % 11 != 10,
        ),
        at=at - timedelta(days=30),
    )
    save_assets(
        plant=plant,
        changed=[
            Asset(
                external_id="B1",
                asset_type="BESS",
                name="Battery hall",
                rated_power_kw=120.0,
                capacity_kwh=200.0,
            ),
            Asset(external_id="INV-1", asset_type="INVERTER", name="PV east", rated_power_kw=200.0),
            Asset(external_id="INV-2", asset_type="FVE", name="PV west", rated_power_kw=212.0),
            Asset(external_id="M1", asset_type="METER", name="Grid meter"),
        ],
        removed=[],
        at=at - timedelta(days=30),
    )
    _blocks(plant, at)
    if number % 9 != 8:
        _state(plant, number, at, chance)
    plant.refresh_from_db()
    return plant


def _blocks(plant: Plant, at: datetime) -> None:
    night = Block(
        start_minute=0,
        end_minute=360,
        p_bat_min_kw=-10.0,
        p_bat_max_kw=120.0,
        soc_min_pct=20.0,
        soc_max_pct=95.0,
    )
    day = Block(
        start_minute=360,
        end_minute=1440,
        p_bat_min_kw=-120.0,
        p_bat_max_kw=60.0,
        soc_min_pct=10.0,
        soc_max_pct=95.0,
    )
    author = Author(name="jana")
    for days, blocks in ((30, [night, Block(**asdict(day) | {"p_bat_max_kw": 120.0})]), (3, [night, day])):
        set_time_config(
            plant_id=plant.pk,
            blocks=blocks,
            origin=TimeConfigOrigin.PERSON,
            author=author,
            at=at - timedelta(days=days),
        )


def _state(plant: Plant, number: int, at: datetime, chance: random.Random) -> None:
    age = (3.0, 25.0, 840.0, 5.0)[number % 4]
    pv, battery, load = chance.uniform(40, 290), chance.uniform(-110, 100), chance.uniform(20, 120)
    measured_at = at - timedelta(seconds=age)
    PlantState.objects.filter(plant=plant).update(
        measured_at=measured_at,
        received_at=measured_at,
        grid_power_kw=load + battery - pv,
        fve_power_kw=pv,
        battery_power_kw=battery,
        consumption_power_kw=load,
        soc_pct=chance.uniform(15, 90),
        available_battery_energy_kwh=chance.uniform(20, 190),
        data_quality="GOOD",
        devices=[
            {"deviceId": "B1", "assetType": "BESS", "powerKw": battery, "socPercent": 64, "status": "ONLINE"},
            {"deviceId": "INV-1", "assetType": "INVERTER", "powerKw": pv / 2, "status": "ONLINE"},
        ],
        mode="GRID_TARGET",
        mode_since=at - timedelta(hours=2),
        mode_override_until=at + timedelta(minutes=33) if number % 3 == 0 else None,
    )
    body = {"version": "1.1", "timestamp": format_timestamp(measured_at), "payload": {"gridPowerKw": pv}}
    RecentTelemetryBody.objects.create(
        plant=plant,
        routing_key="acme.event.telemetry.realtime",
        received_at=measured_at,
        body=json.dumps(body).encode(),
    )


def _alarms(plant: Plant, at: datetime, chance: random.Random) -> None:
    connection = plant.connection
    assert connection is not None
    kinds = (
        ("CONSTRAINT_VIOLATION", "CRITICAL", "Export of 312 kW is over the limit of 300 kW"),
        (
            "OPERATING_MODE_NOT_HONORED",
            "WARNING",
            "The site is in STANDARD although GRID_TARGET was asked for",
        ),
        ("SCHEDULE_SLOT_MISSED", "ERROR", "The slot of 13:15 was not carried out"),
        ("GRID_FREQUENCY_DEVIATION", "NOTICE", "A word of Voke's own"),
    )
    first = chance.randrange(len(kinds))  # not by the plant's id, which depends on the tests that ran before
    for index in range(chance.choice((0, 0, 1, 2))):
        code, severity, message = kinds[(first + index) % len(kinds)]
        raised_at = at - timedelta(minutes=chance.randint(4, 600))
        alarm = Alarm.objects.create(
            connection=connection,
            plant=plant,
            origin=AlarmOrigin.VOKE,
            alarm_id=f"alarm-{plant.pk}-{index}",
            severity=severity,
            code=code,
            message=message,
            raised_at=raised_at,
            cleared_at=raised_at + timedelta(minutes=3) if index else None,
            told_at=raised_at,
            received_at=raised_at,
            actual_value=312,
            expected_value=300,
            breached_field="maxExportKw",
            metadata={"slot": "13:15"},
        )
        told = Told(
            alarm=alarm,
            organisation_id=plant.organisation_id,
            raised_at=alarm.raised_at,
            cleared_at=alarm.cleared_at,
        )
        file_alarms(told=[told], at=at)
