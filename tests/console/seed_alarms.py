"""An inbox as it is lived in: of every severity, flapping, over, owned, commented, closed, about no plant at all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from people.rights import Role
from plants.models import AlarmCase, Connection, Organisation, Plant, User
from plants.services.alarm_care import acknowledge, assign, close, comment
from plants.services.alarms import AlarmWord, apply_alarms, clear_platform_alarm, raise_platform_alarm
from tests import factories
from tests.dispatch.proof_world import measure
from vcp import Alarm as AlarmEvent
from watch.models import Notification, NotificationChannel, NotificationState

_NAMES = ("Brewery Přerov", "Cold store Olomouc", "Sawmill Ždírec", "Hospital Tábor", "Solar park Hodonín")
_KINDS = (
    ("CONSTRAINT_VIOLATION", "CRITICAL", "Export of 312 kW is over the limit of 300 kW", 4),
    ("SCHEDULE_SLOT_MISSED", "WARNING", "The slot of 13:15 was not carried out", 27),
    ("OPERATING_MODE_NOT_HONORED", "ERROR", "The site is in STANDARD although GRID_TARGET was asked for", 96),
    ("GRID_FREQUENCY_DEVIATION", "NOTICE", "A word of Voke's own", 130),
    ("DEVICE_OFFLINE", "INFO", "Inverter INV-2 has not answered for five minutes", 300),
)


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """The rows at hand."""

    connection: Connection
    plants: Sequence[Plant]
    people: Sequence[User]

    def case(self, code: str) -> AlarmCase:
        """The newest case of a code."""
        return AlarmCase.objects.filter(code=code).order_by("-pk")[0]


def tell(
    plant: Plant,
    *,
    code: str,
    severity: str,
    message: str = "",
    raised_at: datetime,
    cleared_at: datetime | None = None,
    alarm_id: str = "",
    **facts: object,
) -> None:
    """One word of Voke's about an alarm."""
    event = AlarmEvent(
        alarm_id=alarm_id or f"{code}-{raised_at.timestamp()}",
        severity=severity,
        code=code,
        message=message,
        raised_at=raised_at,
        cleared_at=cleared_at,
        **facts,
    )
    assert plant.connection_id is not None
    said = AlarmWord(plant_id=plant.pk, event=event, told_at=cleared_at or raised_at)
    apply_alarms(connection_id=plant.connection_id, words=[said], at=cleared_at or raised_at)


@transaction.atomic
def seed(organisation: Organisation, *, at: datetime) -> Seeded:
    """Fill the inbox as of the instant `at`."""
    connection = factories.connection(owner=organisation, name="Voke production")
    plants = [factories.plant(on=connection, name=name) for name in _NAMES]
    people = [
        User.objects.create_user(
            name, organisation=organisation, role=Role.OPERATOR, first_name=first, last_name=last
        )
        for name, first, last in (("petr", "Petr", "Novák"), ("eva", "Eva", "Malá"))
    ]
    for plant, (code, severity, message, minutes) in zip(plants, _KINDS, strict=True):
        tell(
            plant,
            code=code,
            severity=severity,
            message=message,
            raised_at=at - timedelta(minutes=minutes),
            actual_value=312.0,
            expected_value=300.0,
            breached_field="maxExportKw",
            tolerance_pct=5.0,
            device_id="B1" if severity == "INFO" else None,
        )
    found = Seeded(connection=connection, plants=plants, people=people)
    _flapping(found, at)
    _own(found, at)
    _cared_for(found, at)
    _told(found, at)
    _measured(plants[0], at)
    return found


def _flapping(found: Seeded, at: datetime) -> None:
    start = at - timedelta(minutes=58)
    for number in range(12):
        raised_at = start + timedelta(minutes=number * 5)
        is_last = number == 11
        tell(
            found.plants[2],
            code="COMMUNICATION_LOST",
            severity="WARNING",
            message="The site controller does not answer",
            raised_at=raised_at,
            cleared_at=None if is_last else raised_at + timedelta(minutes=2),
        )


def _own(found: Seeded, at: datetime) -> None:
    facts = {"severity": "WARNING", "message": "Connected, and nothing has arrived since 10:29."}
    raise_platform_alarm(
        connection_id=found.connection.pk,
        alarm_id=f"LINK:{found.connection.pk}",
        code="LINK_SILENT",
        at=at - timedelta(hours=3),
        **facts,
    )
    raise_platform_alarm(
        connection_id=None,
        plant_id=found.plants[3].pk,
        alarm_id="drift",
        severity="WARNING",
        code="SITE_DRIFT",
        message="Voke's limits differ from ours: maxExportKw 300, 280 at Voke.",
        at=at - timedelta(hours=6),
    )
    clear_platform_alarm(connection_id=None, alarm_id="drift", at=at - timedelta(hours=5))


def _cared_for(found: Seeded, at: datetime) -> None:
    petr, eva = found.people
    missed, mode = found.case("SCHEDULE_SLOT_MISSED"), found.case("OPERATING_MODE_NOT_HONORED")
    acknowledge(case_id=mode.pk, by=petr, at=at - timedelta(minutes=80))
    comment(
        case_id=mode.pk,
        text="The controller was restarted at 11:20.\nThe site's technician looks at it.",
        by=petr,
        at=at - timedelta(minutes=70),
    )
    assign(case_id=missed.pk, owner=eva, by=petr, at=at - timedelta(minutes=20))
    tell(
        found.plants[4],
        code="SOC_OUT_OF_RANGE",
        severity="ERROR",
        message="SoC 7 % is below 10 %",
        raised_at=at - timedelta(hours=8),
        cleared_at=at - timedelta(hours=7),
    )
    close(case_id=found.case("SOC_OUT_OF_RANGE").pk, why="Charged again", by=eva, at=at - timedelta(hours=2))


def _told(found: Seeded, at: datetime) -> None:
    channel = NotificationChannel.objects.create(
        organisation=found.connection.organisation,
        name="Night shift",
        kind="EMAIL",
        addresses="night@example.com",
        created_at=at - timedelta(days=9),
    )
    case = found.case("CONSTRAINT_VIOLATION")
    Notification.objects.create(
        channel=channel,
        alarm=case.latest,
        uid="6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        event="RAISED",
        severity="CRITICAL",
        rank=3,
        code=case.code,
        content={},
        state=NotificationState.SENT,
        made_at=at - timedelta(minutes=4),
        sent_at=at - timedelta(minutes=3, seconds=56),
    )


def _measured(plant: Plant, at: datetime) -> None:
    """Half an hour before the first alarm: export that climbs over its limit."""
    measure(
        plant,
        lambda seconds: -(250 + 58 * math.tanh((seconds - 1900) / 240) + 5 * math.sin(seconds / 30)),
        since=at - timedelta(minutes=40),
        until=at,
        soc_pct=58.0,
    )
