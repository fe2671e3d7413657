"""What a stream wants to hear: `plant:12,13|command|alarm:p12`.

A topic alone: everything of the organisation. With keys: what has one of them as its id, or belongs to the plant of
`p<id>`. The list of a fleet asks for the plants on screen, not for all.
"""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

from live.events import Event, Topic

KEYS_MAX: Final = 500
_KEY = re.compile(r"p?[0-9A-Za-z_.-]{1,80}")
_NAMES: Final = frozenset(topic.value for topic in Topic)
Door: TypeAlias = tuple[int, str, str]
"""Organisation, topic and key; "*" is every key."""


class BadWishes(ValueError):
    """The text is no list of topics."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """Topic -> keys; None = all of the topic."""

    topics: Mapping[str, Set[str] | None]

    def doors(self, organisation_id: int) -> Iterator[Door]:
        """Where events come in that are wished for."""
        for topic, keys in self.topics.items():
            for key in ("*",) if keys is None else keys:
                yield organisation_id, topic, key

    @property
    def plants(self) -> Set[str] | None:
        """Keys of the plants whose values are wished for; None = of all."""
        keys = self.topics.get(Topic.PLANT.value, frozenset())
        return None if keys is None else {key.removeprefix("p") for key in keys}

    def include(self, event: Event) -> bool:
        """Whether an event of the organisation is wished for."""
        if event.topic not in self.topics:
            return False
        keys = self.topics[event.topic]
        return keys is None or event.key in keys or f"p{event.plant}" in keys


def doors_of(event: Event) -> tuple[Door, ...]:
    """Where an event comes in."""
    organisation_id, topic, key, plant = event[:4]
    every = (organisation_id, topic, "*")
    own = (organisation_id, topic, key)
    return (every, own, (organisation_id, topic, f"p{plant}")) if plant else (every, own)


def wishes_of(text: str) -> Wishes:
    """Read the parameter `topics`; raises `BadWishes`."""
    topics: dict[str, Set[str] | None] = {}
    for part in text.split("|"):
        name, colon, listed = part.partition(":")
        if name not in _NAMES or name in topics:
            raise BadWishes(f"topic {name[:20]!r}")
        keys = frozenset(listed.split(",")) if colon else None
        if keys is not None and (len(keys) > KEYS_MAX or not all(_KEY.fullmatch(key) for key in keys)):
            raise BadWishes(f"keys of {name}")
        topics[name] = keys
    return Wishes(topics=topics)
