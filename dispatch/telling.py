"""What screens are told of commands, latches and diagnoses, after the commit that changed them (`live`)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from dispatch.states import State
from live import Announcement, Topic, announce_many


class About(NamedTuple):
    """Whose a command is and of what kind."""

    plant_id: int
    organisation_id: int
    kind: str


class Locked(dict[int, State]):
    """The states of locked commands, and what screens are told of each beside a new one."""

    def __init__(self, rows: Iterable[tuple[int, str, int, int, str]]) -> None:
        """`rows`: command, state, plant, organisation, kind."""
        super().__init__()
        self.about: dict[int, About] = {}
        for pk, state, plant_id, organisation_id, kind in rows:
            self[pk] = State(state)
            self.about[pk] = About(plant_id, organisation_id, kind)


def tell_states(states: Mapping[int, tuple[State, str]], about: Mapping[int, About], *, at: datetime) -> None:
    """`states`: the new state of each command and why."""
    announce_many(
        [
            _of_command(pk, about[pk], at, state=state.value, cause=cause)
            for pk, (state, cause) in states.items()
            if pk in about
        ]
    )


def tell_made(made: Iterable[tuple[int, Mapping[str, Any]]], *, at: datetime) -> None:
    """`made`: new commands by id, with the columns of their rows."""
    announce_many(
        [
            _of_command(
                pk,
                About(row["plant_id"], row["organisation_id"], str(row["kind"])),
                at,
                state=str(row["state"]),
                cause=str(row.get("cause", "")),
                made=True,
            )
            for pk, row in made
        ]
    )


def tell_proof(proven: Iterable[tuple[int, About, str, float | None]], *, at: datetime) -> None:
    """`proven`: command, whose, verdict of the measurement, by how much it is off."""
    announce_many(
        [_of_command(pk, about, at, verdict=verdict, off_by=off_by) for pk, about, verdict, off_by in proven]
    )


def tell_diagnosed(diagnosed: Iterable[tuple[int, About, str]], *, at: datetime) -> None:
    """`diagnosed`: command, whose, the cause that was found ("" = still looked for)."""
    announce_many(
        [
            Announcement(
                about.organisation_id,
                Topic.DIAGNOSIS,
                str(pk),
                {"command": pk, "plant": about.plant_id, "cause": cause},
                at,
                about.plant_id,
            )
            for pk, about, cause in diagnosed
        ]
    )


def tell_latches(latched: Mapping[int, int], *, is_set: bool, at: datetime, kind: str = "") -> None:
    """`latched`: plant -> organisation."""
    announce_many(
        [
            Announcement(
                organisation_id,
                Topic.LATCH,
                str(plant_id),
                {"plant": plant_id, "set": is_set, "type": kind},
                at,
                plant_id,
            )
            for plant_id, organisation_id in latched.items()
        ]
    )


def _of_command(pk: int, about: About, at: datetime, **facts: str | float | bool | None) -> Announcement:
    data = {"id": pk, "plant": about.plant_id, "kind": about.kind, **facts}
    return Announcement(about.organisation_id, Topic.COMMAND, str(pk), data, at, about.plant_id)
