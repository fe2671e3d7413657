"""What the tests of silence share: a link that speaks, a command that met silence, the ticks that explain it."""

from datetime import datetime, timedelta
from typing import Any

from dispatch.diagnosis_rules import DiagnosisRules
from dispatch.models import Command, Diagnosis, OutboundMessage
from dispatch.services.diagnosis import diagnose
from dispatch.services.overdue import mark_ack_overdue
from plants.models import Connection, LinkHealth, LinkState, Plant, PlantState, StreamHealth
from tests import factories
from tests.dispatch.helpers import ask, deliver, setpoint
from tests.factories import AT

ACK = timedelta(seconds=60)
LATER = AT + ACK
RULES = DiagnosisRules(
    patience=timedelta(seconds=120), looks=3, look_again=timedelta(seconds=30), lease=timedelta(seconds=180)
)


def speaks(
    link: Connection, *, at: datetime = LATER, skew_ms: int = 20, since: datetime | None = None
) -> None:
    """Both halves are connected, and something arrived a second before `at`."""
    for role in LinkHealth.Role:
        LinkHealth.objects.update_or_create(
            connection=link,
            role=role,
            defaults={
                "state": LinkState.CONNECTED,
                "since": since or AT - timedelta(hours=1),
                "seen_at": at,
                "heard_until": at,
            },
        )
    StreamHealth.objects.update_or_create(
        connection=link,
        stream=StreamHealth.Stream.REALTIME,
        defaults={
            "last_at": at - timedelta(seconds=1),
            "last_sent_at": at - timedelta(seconds=1),
            "skew_ms": skew_ms,
        },
    )


def reports(plant: Plant, *, at: datetime = LATER) -> None:
    """The plant's telemetry arrived a second before `at`."""
    moment = at - timedelta(seconds=1)
    PlantState.objects.update_or_create(
        plant=plant, defaults={"measured_at": moment, "received_at": moment, "data_quality": "GOOD"}
    )


def silent_command(payload: Any = None, *, plant: Plant | None = None, speaking: bool = True) -> Command:
    """Sent, and without an ACK in time; the link and the plant speak unless told otherwise."""
    plant = plant or factories.plant()
    command = ask(plant, payload or setpoint())
    deliver(plant.connection)
    if speaking:
        speaks(plant.connection)
        reports(plant)
    mark_ack_overdue(at=LATER)
    command.refresh_from_db()
    return command


def explained(command: Command, *, at: datetime = LATER) -> Diagnosis:
    """The diagnosis after a tick."""
    diagnose(at=at, rules=RULES)
    return Diagnosis.objects.get(command=command)


def change_message(command: Command, **changes: Any) -> None:
    """Store other facts of the command's message than were built."""
    OutboundMessage.objects.filter(command=command).update(**changes)


def finding(row: Diagnosis, check: str) -> dict[str, str]:
    """What one check found."""
    return next((one for one in row.evidence if one["check"] == check), {})


def no_rest() -> Plant:
    return factories.plant(on=factories.connection(rest_base_url=""))
