"""Message families, routing keys, queue names, and what each family asks of its sender.

A routing key is `{prefix}.{family}[.{tail}]`. Keys are read by their leading words, never as a whole: Voke's
documents disagree on what follows (`event.alarm` or `event.alarm.raised`, telemetry with or without the
site).
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from vcp.errors import InvalidBundle, UnroutableKey
from vcp.said import said
from vcp.vocabulary import Unknown

EXCHANGE: Final = "vcp"
"""The one topic exchange [pub per-org-amqp-queues]."""

_MAX_KEY_BYTES: Final = 255  # AMQP 0-9-1 short string


class Family(StrEnum):
    """A kind of message; the value is its routing key without prefix and tail."""

    COMMAND_SITE_SETPOINT = "command.site-setpoint"
    COMMAND_DEVICE = "command.device"
    COMMAND_EMERGENCY = "command.emergency"
    COMMAND_MODE = "command.mode"
    CONFIG_CONSTRAINTS = "config.constraints"
    CONFIG_TOPOLOGY = "config.topology"
    CONFIG_FALLBACK = "config.fallback"
    SCHEDULE_CREATE = "schedule.create"
    SCHEDULE_CANCEL = "schedule.cancel"
    EVENT_TELEMETRY_REALTIME = "event.telemetry.realtime"
    EVENT_TELEMETRY_METER = "event.telemetry.meter"
    EVENT_COMMAND_ACK = "event.command.ack"
    EVENT_EXECUTION = "event.execution"
    EVENT_ALARM = "event.alarm"
    EVENT_MODE = "event.mode"
    EVENT_SCHEDULE = "event.schedule"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A routing key, read: its family, and the words after it (a siteId on telemetry) or None."""

    family: Family | Unknown
    tail: str | None


_FAMILIES: Final[Mapping[str, Family]] = {family.value: family for family in Family}

DEFAULT_SIGNED_FAMILIES: Final[frozenset[str]] = frozenset(
    {Family.COMMAND_DEVICE, Family.COMMAND_MODE, Family.SCHEDULE_CREATE, Family.SCHEDULE_CANCEL}
)
"""Families that Voke drops silently when unsigned [pub vcp-signing]."""

CONNECT_SCOPE: Final = "vcp:connect"
"""Scope that opens the AMQP connection, and all that reading events needs."""

# Interpretation: no scope is named for emergencies; the setpoint scope is the only other one for a whole
# site.
REQUIRED_SCOPE: Final[Mapping[Family, str]] = MappingProxyType(
    {
        Family.COMMAND_SITE_SETPOINT: "vcp:write:setpoint",
        Family.COMMAND_DEVICE: "vcp:write:device-command",
        Family.COMMAND_EMERGENCY: "vcp:write:setpoint",
        Family.COMMAND_MODE: "vcp:write:mode",
        Family.CONFIG_CONSTRAINTS: "vcp:write:config",
        Family.CONFIG_TOPOLOGY: "vcp:write:config",
        Family.CONFIG_FALLBACK: "vcp:write:config",
        Family.SCHEDULE_CREATE: "vcp:write:schedule",
        Family.SCHEDULE_CANCEL: "vcp:write:schedule",
        **{family: CONNECT_SCOPE for family in Family if family.value.startswith("event.")},
    }
)


def routing_key(prefix: str, family: Family, tail: str | None = None) -> str:
    """The key to publish a family under; `tail` is the siteId on telemetry.

    Raises UnroutableKey for an empty word, a wildcard, white space, or more than 255 bytes.
    """
    key = f"{prefix}.{family.value}" if tail is None else f"{prefix}.{family.value}.{tail}"
    words = key.split(".")
    if not all(words) or any(char in "*#" or char.isspace() or not char.isprintable() for char in key):
        raise UnroutableKey(said("a routing key needs words without wildcards and white space"))
    if len(key.encode(errors="replace")) > _MAX_KEY_BYTES:
        raise UnroutableKey(said("longer than %(limit)s bytes", limit=_MAX_KEY_BYTES))
    return key


def classify(routing_key: str, prefix: str) -> Route:
    """Read a routing key. Never fails: another prefix or family gives Unknown(routing_key)."""
    words = routing_key.removeprefix(f"{prefix}.").split(".") if routing_key.startswith(f"{prefix}.") else []
    for length in (2, 3):
        family = _FAMILIES.get(".".join(words[:length]))
        if family is not None:
            return Route(family=family, tail=".".join(words[length:]) or None)
    return Route(family=Unknown(routing_key), tail=None)


def must_be_signed(family: str, signed_families: Collection[str]) -> bool:
    """Whether a family, or a sub-key such as `command.device.charge`, is among the signed ones.

    An entry covers everything below it: `schedule` stands for `schedule.create` and `schedule.cancel`.
    """
    return any(family == entry or family.startswith(f"{entry}.") for entry in signed_families)


class QueueNames(msgspec.Struct, frozen=True, kw_only=True):
    """The seven queues of a partner's vhost: three that Voke consumes, four that the partner consumes."""

    command: str
    config: str
    schedule: str
    event_telemetry: str
    event_status: str
    event_alarm: str
    event_execution: str

    @property
    def to_voke(self) -> tuple[str, ...]:
        """Queues that Voke consumes."""
        return (self.command, self.config, self.schedule)

    @property
    def to_partner(self) -> tuple[str, ...]:
        """Queues that the partner consumes."""
        return (self.event_telemetry, self.event_status, self.event_alarm, self.event_execution)


_QUEUE_KEYS: Final = {
    "command": "command",
    "config": "config",
    "schedule": "schedule",
    "event_telemetry": "eventTelemetry",
    "event_status": "eventStatus",
    "event_alarm": "eventAlarm",
    "event_execution": "eventExecution",
}
_NO_OVERRIDES: Final[Mapping[str, str]] = MappingProxyType({})


def queue_names(queue_prefix: str, overrides: Mapping[str, str] = _NO_OVERRIDES) -> QueueNames:
    """Queue names from the bundle's `queues` where it names them, else `vcp.{queue_prefix}.…`.

    `overrides` uses the bundle's keys (`eventTelemetry`) or ours (`event_telemetry`); other keys are ignored.
    Raises InvalidBundle for a name that is no text of 1 to 255 bytes.
    """
    names: dict[str, str] = {}
    for ours, theirs in _QUEUE_KEYS.items():
        name = overrides.get(theirs, overrides.get(ours))
        if name is None:
            name = f"vcp.{queue_prefix}.{ours.replace('_', '.')}"
        if not isinstance(name, str) or not name or len(name.encode(errors="replace")) > _MAX_KEY_BYTES:
            raise InvalidBundle(said("a queue name is a text of 1 to 255 bytes"), path=f"queues.{theirs}")
        names[ours] = name
    return QueueNames(**names)


def bindings(names: QueueNames, routing_prefix: str) -> list[tuple[str, str]]:
    """(queue, binding key) of the whole topology, fact sheet section 2.

    Alarm and execution end in `#`, since Voke publishes the bare key too and `*` would miss it.
    """
    suffixes = [
        (names.command, "command.#"),
        (names.config, "config.#"),
        (names.schedule, "schedule.*"),
        (names.event_telemetry, "event.telemetry.#"),
        (names.event_status, "event.command.ack"),
        (names.event_status, "event.mode.*"),
        (names.event_status, "event.schedule.*"),
        (names.event_alarm, "event.alarm.#"),
        (names.event_execution, "event.execution.#"),
    ]
    return [(queue, f"{routing_prefix}.{suffix}") for queue, suffix in suffixes]
