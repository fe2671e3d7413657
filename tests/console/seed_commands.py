"""An organisation whose commands tell every story: done and proven, off target, silent and explained, never sent.

Asked for, moved, judged and diagnosed by the services, so that every page is one that could have happened.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.diagnosis_rules import current_diagnosis_rules
from dispatch.models import Command, OutboundMessage, Verification
from dispatch.services.diagnosis import diagnose
from dispatch.services.life import Move, advance_many
from dispatch.services.overdue import mark_ack_overdue
from dispatch.services.verification import verify_due
from dispatch.states import State
from plants.models import Connection, Organisation, Plant, User
from tests import factories
from tests.admin.seed_commands import _event as event_of
from tests.admin.seed_commands import make_commands
from tests.dispatch.helpers import ask, deliver, mode, setpoint
from tests.dispatch.proof_world import RULES, measure
from tests.dispatch.silences import reports, speaks
from vcp import Direction, OperatingMode

NAMES = (
    "Brewery Přerov",
    "Cold store Olomouc",
    "Sawmill Ždírec",
    "Hospital Tábor",
    "Solar park Hodonín",
    "Bus depot Křimice",
    "Wholesale market Brno",
    "Logistics park Jažlovice",
    "Dairy Klatovy",
)


@dataclass(frozen=True, kw_only=True)
class Commands:
    """The rows that a test wants at hand; `at`: the present of the pages."""

    at: datetime
    connection: Connection
    plants: Sequence[Plant]
    every: Sequence[Command]
    verified: Command
    off_target: Command
    unanswered: Command
    unanswered_verified: Command


def seed(owner: Organisation, *, at: datetime, person: User | None = None, count: int = 54) -> Commands:
    """Commands of the last three hours before `at`, in every state."""
    link = _connection(owner, "Voke production", "8d1f")
    other = _connection(owner, "Voke Slovakia", "22aa")
    plants = [_plant(link if number <= 4 else other, number) for number in range(1, len(NAMES) + 1)]
    every = make_commands(plants[4:], count, at - timedelta(minutes=25), random.Random(7))
    begun = at - timedelta(minutes=24)
    told = Commands(
        at=at,
        connection=link,
        plants=plants,
        every=every,
        verified=_proven(plants[0], 275.0, begun),
        off_target=_proven(plants[2], 180.0, begun, short_kw=41.0),
        unanswered=_silent(plants[3], begun),
        unanswered_verified=_proven(plants[1], 120.0, begun, answered=False),
    )
    verify_due(at=at, rules=RULES)
    for one in (link, other):
        speaks(one, at=at - timedelta(minutes=5), since=at - timedelta(hours=3))
    for plant in plants:
        reports(plant, at=at - timedelta(minutes=5))
    rules = current_diagnosis_rules()
    diagnose(at=at - timedelta(minutes=5), rules=rules)
    diagnose(at=at, rules=rules)
    for one in (link, other):
        speaks(one, at=at, since=at - timedelta(hours=3))
    if person is not None:
        Command.objects.filter(automatic=False).update(
            requested_by=person, requested_by_name=person.get_full_name() or person.get_username()
        )
    return told


def _connection(owner: Organisation, name: str, key: str) -> Connection:
    return factories.connection(
        owner=owner, name=name, vhost=f"partner-{key}", key_id=key, source="busbar", rest_base_url=""
    )


def _plant(link: Connection, number: int) -> Plant:
    return factories.plant(
        on=link,
        name=NAMES[number - 1],
        external_plant_id=f"PLANT-{number:03d}",
        max_import_kw=400.0,
        max_export_kw=400.0,
        max_charge_kw=200.0,
        max_discharge_kw=200.0,
        assets=[
            factories.battery(rated_power_kw=200.0, capacity_kwh=400.0),
            factories.pv("INV-1", asset_type="INVERTER", rated_power_kw=250.0),
        ],
    )


def _proven(
    plant: Plant, kw: float, begun: datetime, *, short_kw: float = 0.0, answered: bool = True
) -> Command:
    """An export of a quarter of an hour with what was measured around it; the plant needs seven seconds to follow."""
    chance = random.Random(kw)
    ends = begun + timedelta(minutes=15)
    payload = setpoint(kw, direction=Direction.EXPORT, valid_from=begun, valid_until=ends)
    command = ask(plant, payload, at=begun, reason="Price is above 120 EUR/MWh")
    deliver(command.connection, at=begun + timedelta(milliseconds=27))

    def grid_kw(second: float) -> float:
        into = second - 900
        share = min(max(into / 40, 0.0), 1.0) if into < 900 else max(1 - (into - 900) / 60, 0.0)
        return round(46 - (46 + kw - short_kw) * share + chance.uniform(-2, 2), 1)

    measure(
        plant,
        grid_kw,
        since=begun - timedelta(minutes=15),
        until=begun + timedelta(minutes=24),
        soc_pct=61.0,
        battery_power_kw=-80.0,
        fve_power_kw=210.0,
        consumption_power_kw=70.0,
    )
    if answered:
        hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=begun + timedelta(milliseconds=611))
        hear(command, State.EXECUTING, "EXECUTION_EXECUTING", at=begun + timedelta(seconds=3))
        hear(command, State.COMPLETED, "EXECUTION_COMPLETED", at=ends + timedelta(seconds=2))
    else:
        _overdue(command, begun)
    command.refresh_from_db()
    return command


def hear(command: Command, word: State, cause: str, *, at: datetime, late: timedelta = timedelta()) -> None:
    """Voke's word on a command, with the message that brought it, `late` after it was said."""
    message = OutboundMessage.objects.get(command=command)
    inbound = event_of(command, message, word, cause, at)
    move = Move(
        command_id=command.pk,
        to=word,
        cause=cause,
        actor="Voke",
        told_at=at - late,
        detail={"status": word.value},
        outbound_id=message.pk,
        inbound_id=inbound.pk,
    )
    advance_many(moves=[move], at=at)


def _silent(plant: Plant, begun: datetime) -> Command:
    command = ask(plant, mode(OperatingMode.PEAK_SHAVING, reason="Cap the 14:00 quarter"), at=begun)
    deliver(command.connection, at=begun + timedelta(milliseconds=31))
    _overdue(command, begun)
    command.refresh_from_db()
    return command


def _overdue(command: Command, begun: datetime) -> None:
    """No ACK came, while link and plant spoke."""
    later = begun + timedelta(minutes=2)
    speaks(command.connection, at=later, since=begun - timedelta(hours=3))
    reports(command.plant, at=later)
    mark_ack_overdue(at=later)


def proof_of(command: Command) -> Verification:
    """Its proof as it is stored."""
    return Verification.objects.get(command=command)
