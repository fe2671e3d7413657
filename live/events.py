"""What is told to screens: topics, announcements, and how far somebody has heard.

Rules:
- An announcement is a hint with the new values in it. The database stays the truth: a page that missed something asks
  it, and `resync` says when.
- `plant` tells a plant's newest values, the last one wins and those between may be left out. All other topics are
  lists: every item arrives, in order, once.
- Nothing secret and no raw body is ever announced.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

import msgspec

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Place: TypeAlias = tuple[int, int]
"""Where an entry stands in its log: grows with every entry, compared as a pair."""
START: Final[Place] = (0, 0)


class Topic(StrEnum):
    """What an announcement is about."""

    PLANT = "plant"
    COMMAND = "command"
    ALARM = "alarm"
    PULL = "pull"
    UPDATE = "update"
    LINK = "link"
    PLAN = "plan"
    OVERRIDE = "override"
    LATCH = "latch"
    DIAGNOSIS = "diagnosis"


class Announcement(NamedTuple):
    """Something that changed, for the screens of one organisation.

    `key`: the id of what changed. `plant_id`: whose it is, if it belongs to a plant. `part` and `version` are for
    values of which the last one wins: parts of a plant's values that change by themselves, and what orders them; one
    that is not newer than what was told is left out.
    """

    organisation_id: int
    topic: Topic
    key: str
    data: Mapping[str, Json]
    at: datetime
    plant_id: int | None = None
    part: str = ""
    version: float = 0.0


class Event(NamedTuple):
    """An announcement as it travels; `body` is what screens get, as JSON."""

    organisation_id: int
    topic: str
    key: str
    plant: str
    part: str
    version: float
    body: bytes

    @property
    def is_tile(self) -> bool:
        """Whether the last one wins."""
        return self.topic == Topic.PLANT.value


class _Told(msgspec.Struct):
    topic: str
    key: str
    at: datetime
    data: Mapping[str, Json]


_ENCODE = msgspec.json.Encoder().encode


def event_of(told: Announcement) -> Event:
    """Raises TypeError when the data is no JSON."""
    organisation_id, topic, key, data, at, plant_id, part, version = told
    return Event(
        organisation_id,
        topic.value,
        key,
        "" if plant_id is None else str(plant_id),
        part,
        version,
        _ENCODE(_Told(topic.value, key, at, data)),
    )


class Position(NamedTuple):
    """How far somebody has heard: in which history, and where in its two logs."""

    epoch: str
    lists: Place
    tiles: Place

    def __str__(self) -> str:
        return f"{self.epoch}.{self.lists[0]}-{self.lists[1]}.{self.tiles[0]}-{self.tiles[1]}"


_POSITION = re.compile(r"([0-9a-f]{1,32})\.(\d{1,20})-(\d{1,20})\.(\d{1,20})-(\d{1,20})")


def position_of(text: str) -> Position | None:
    """The position that a text names; None when it names none."""
    match = _POSITION.fullmatch(text)
    if match is None:
        return None
    epoch, *numbers = match.groups()
    a, b, c, d = (int(number) for number in numbers)
    return Position(epoch, (a, b), (c, d))
