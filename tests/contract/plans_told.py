"""What became of the day plans of a world: what each plant followed, what was sent, and what effects it had."""

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from dispatch.models import Command, Kind, OutboundMessage, Outcome
from plants.models import Plant
from voke_sim.journal import Journal

ZONE = ZoneInfo("Europe/Prague")
SETPOINT, CREATE, CANCEL, MODE = (
    Kind.SITE_SETPOINT.value, Kind.SCHEDULE_CREATE.value, Kind.SCHEDULE_CANCEL.value, Kind.MODE.value,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What a plant followed from an instant on: `wall` as its clock shows it, `source` as the journal names it."""

    at: datetime
    source: str
    kw: float | None

    @property
    def wall(self) -> str:
        return f"{self.at.astimezone(ZONE):%H:%M:%S}"


class Told:
    """What a world's journal and tables tell."""

    journal: Journal

    def followed(self, plant: Plant) -> list[Followed]:
        """What the plant followed since the world began: no two alike in succession, none that lasted no time."""
        rows = self.journal.rows(
            "SELECT at, source, target_kw FROM targets WHERE site_id = ? ORDER BY seq", str(plant.voke_uuid)
        )
        told: list[Followed] = []
        for row in rows:
            at = datetime.fromisoformat(row["at"])
            if told and told[-1].at == at:
                told.pop()
            if not told or (told[-1].source, told[-1].kw) != (row["source"], row["target_kw"]):
                told.append(Followed(at=at, source=row["source"], kw=row["target_kw"]))
        return told

    def steps(self, plant: Plant) -> list[tuple[str, float | None]]:
        """(wall clock, kW) of each change of a plant's target after the first; None = no target."""
        told = self.followed(plant)
        return [(one.wall, one.kw) for before, one in itertools.pairwise(told) if before.kw != one.kw]

    def sent(self, plant: Plant, kind: str) -> list[Command]:
        """The plant's commands of a kind of which something reached the broker, in the order of their making."""
        reached = OutboundMessage.objects.filter(outcome=Outcome.CONFIRMED, command__plant=plant).values(
            "command"
        )
        return list(Command.objects.filter(pk__in=reached, kind=kind).order_by("pk"))

    def effects(self, command: Command) -> int:
        """How many effects the command's messages had at the stand-in."""
        ids = [str(message.message_id) for message in command.messages.all()]
        marks = ", ".join("?" * len(ids))
        return self.count_in_journal(f"SELECT COUNT(*) FROM effects WHERE message_id IN ({marks})", *ids)

    def count_in_journal(self, query: str, *values: Any) -> int:
        """The one number that a query of the stand-in's journal answers."""
        (row,) = self.journal.rows(query, *values)
        return int(next(iter(row.values())))


def delivered() -> QuerySet[OutboundMessage]:
    """The messages that the broker has."""
    return OutboundMessage.objects.filter(outcome=Outcome.CONFIRMED)


def proofs(commands: list[Command]) -> list[str]:
    """What the measurement said of commands."""
    return [command.verification.verdict for command in commands]


def values(commands: list[Command]) -> list[float]:
    """The targets of setpoints."""
    return [command.payload["targetValueKw"] for command in commands]
