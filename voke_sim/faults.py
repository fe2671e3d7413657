"""Misbehaviour on request: which messages are lost, late, doubled, swapped or refused, and which site is
away.

A rule may come from the configuration or be set at run time (`FaultBoard`), also over HTTP (`rest`). Rules
are asked in the order of their making; for each question the first that applies decides.
"""

import random
import threading
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from vcp import Family, RejectionCode


class FaultKind(StrEnum):
    """What goes wrong. The first four concern what Voke publishes, the last three Voke as a whole, the others what it
    receives or runs."""

    DROP = "drop"
    """An event is never published."""
    DELAY = "delay"
    """An event is published `delay_s` later."""
    DUPLICATE = "duplicate"
    """An event is published twice, the same bytes with the same messageId."""
    REORDER = "reorder"
    """An event waits until the site's next event has gone, at most `delay_s`."""
    REJECT = "reject"
    """A command is answered REJECTED with `rejection_code`."""
    SWALLOW = "swallow"
    """A command is lost at Voke after the broker took it: nobody knows it, nobody answers."""
    SILENT = "silent"
    """Commands are taken and ignored, and nothing at all is published for the site."""
    OFFLINE = "offline"
    """The site is out of reach: no telemetry, accepted commands wait until it is back."""
    FORGET_SCHEDULES = "forget-schedules"
    """The site's schedules are lost without a word."""
    CANCEL_SCHEDULES = "cancel-schedules"
    """Voke cancels the site's schedules by itself, and says so."""
    DISPATCH_FAILURE = "dispatch-failure"
    """An accepted command ends FAILED when it should start."""
    DEVICE_OFFLINE = "device-offline"
    """The device can't be reached: DEVICE_OFFLINE."""
    DEVICE_FAULT = "device-fault"
    """The device is broken: DEVICE_FAULT, and it gives no power."""
    CLOCK_SKEW = "clock-skew"
    """Voke's clock is `skew_s` ahead (negative: behind): timestamps, the age of commands, the Date of REST answers."""
    UNBOUND = "unbound"
    """No queue of Voke is bound to the partner's commands: the broker returns them."""
    FULL = "full"
    """Voke's queue is full: the broker refuses commands (nack) as long as it lasts."""


class OfflineAck(StrEnum):
    """What a command to an offline site hears."""

    QUEUED = "queued"
    """QUEUED at once, execution when the site is back."""
    DELAYED = "delayed"
    """Nothing until the site is back, then ACCEPTED and the execution."""


OF_EVENTS = frozenset({FaultKind.DROP, FaultKind.DELAY, FaultKind.DUPLICATE, FaultKind.REORDER})
OF_COMMANDS = frozenset({FaultKind.REJECT, FaultKind.DISPATCH_FAILURE, FaultKind.SWALLOW})
OF_SCHEDULES = frozenset({FaultKind.FORGET_SCHEDULES, FaultKind.CANCEL_SCHEDULES})
OF_VOKE = frozenset({FaultKind.CLOCK_SKEW, FaultKind.UNBOUND, FaultKind.FULL})
OF_DEVICES = frozenset({FaultKind.DEVICE_OFFLINE, FaultKind.DEVICE_FAULT})


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One misbehaviour and the messages it meets; an absent selector meets all."""

    kind: FaultKind
    site: str | None = None
    """The site's UUID or externalPlantId."""
    device: str | None = None
    """Device id, for the two device faults."""
    families: tuple[str, ...] = ()
    """Leading words of families, such as `event.telemetry` or `command.device`."""
    probability: Annotated[float, Meta(gt=0, le=1)] = 1.0
    count: Annotated[int, Meta(ge=1)] | None = None
    """The rule is used up after so many hits; None = never."""
    delay_s: Annotated[float, Meta(gt=0, le=86_400)] = 2.0
    skew_s: Annotated[float, Meta(ge=-86_400, le=86_400)] = 600.0
    rejection_code: RejectionCode = RejectionCode.INVALID_COMMAND
    message: str | None = None
    offline_ack: OfflineAck = OfflineAck.QUEUED

    def __post_init__(self) -> None:
        if self.device is not None and self.kind not in OF_DEVICES:
            raise ValueError(f"device: has no meaning for {self.kind.value}")
        if self.site is not None and self.kind in OF_VOKE:
            raise ValueError(f"site: has no meaning for {self.kind.value}, which is Voke's own")
        known = [family.value for family in Family]
        for family in self.families:
            if not any(name == family or name.startswith(f"{family}.") for name in known):
                raise ValueError(f"families: {family!r} is no family of the protocol")
        sides = _sides(self.kind)
        if self.families and not sides:
            raise ValueError(f"families: has no meaning for {self.kind.value}, which meets a site or device")
        if any(family.split(".")[0] not in sides for family in self.families):
            raise ValueError(f"families: {self.kind.value} concerns {' and '.join(sides)} families only")
        if (self.count is not None or self.probability < 1) and not sides and self.kind not in OF_SCHEDULES:
            raise ValueError(f"count, probability: {self.kind.value} is a lasting state")


def _sides(kind: FaultKind) -> tuple[str, ...]:
    """First words of the families that a kind of fault concerns."""
    if kind in OF_EVENTS:
        return ("event",)
    if kind in (FaultKind.REJECT, FaultKind.SWALLOW):
        return ("command", "schedule")
    return ("command",) if kind in OF_COMMANDS else ()


class FaultBoard:
    """The rules in force. Thread-safe: the engine asks while another thread changes them."""

    def __init__(self, rules: Sequence[FaultRule], rng: random.Random) -> None:
        self._lock = threading.Lock()
        self._rng = rng
        self._rules: dict[int, FaultRule] = dict(enumerate(rules, start=1))
        self._left: dict[int, int] = {}
        self._next_id = len(rules) + 1
        self._count_hits(self._rules)

    def add(self, rule: FaultRule) -> int:
        """Put a rule in force; the number that takes it away again."""
        with self._lock:
            number, self._next_id = self._next_id, self._next_id + 1
            self._rules[number] = rule
            self._count_hits({number: rule})
            return number

    def remove(self, number: int) -> bool:
        """Take a rule away; False when it was gone or used up already."""
        with self._lock:
            self._left.pop(number, None)
            return self._rules.pop(number, None) is not None

    def replace(self, rules: Sequence[FaultRule]) -> None:
        """Put exactly these rules in force."""
        with self._lock:
            self._rules = {self._next_id + index: rule for index, rule in enumerate(rules)}
            self._next_id += len(rules)
            self._left = {}
            self._count_hits(self._rules)

    def rules(self) -> dict[int, FaultRule]:
        """The rules in force by number."""
        with self._lock:
            return dict(self._rules)

    def for_message(self, kind: FaultKind, family: Family, names: Sequence[str]) -> FaultRule | None:
        """The rule of that kind which meets this message of the site called `names`; uses up one hit."""
        with self._lock:
            for number, rule in self._rules.items():
                if rule.kind is kind and _meets(rule, names) and _covers(rule, family) and self._hits(rule):
                    self._use(number)
                    return rule
            return None

    def for_site(self, kind: FaultKind, names: Sequence[str]) -> FaultRule | None:
        """The lasting rule of that kind in force for the site called `names`."""
        with self._lock:
            return next(
                (rule for rule in self._rules.values() if rule.kind is kind and _meets(rule, names)), None
            )

    def for_voke(self, kind: FaultKind) -> FaultRule | None:
        """The lasting rule of that kind in force for Voke as a whole."""
        return self.for_site(kind, ())

    def clock_skew(self) -> timedelta:
        """By how much Voke's clock is ahead."""
        rule = self.for_voke(FaultKind.CLOCK_SKEW)
        return timedelta() if rule is None else timedelta(seconds=rule.skew_s)

    def strikes(self, kind: FaultKind, names: Sequence[str]) -> bool:
        """Whether a fault of that kind meets the site called `names` now; uses up one hit."""
        with self._lock:
            for number, rule in self._rules.items():
                if rule.kind is kind and _meets(rule, names) and self._hits(rule):
                    self._use(number)
                    return True
            return False

    def for_device(self, kind: FaultKind, names: Sequence[str], device_id: str) -> bool:
        """Whether a device of the site called `names` suffers from that kind of fault."""
        with self._lock:
            return any(
                rule.kind is kind and _meets(rule, names) and rule.device in (None, device_id)
                for rule in self._rules.values()
            )

    def _hits(self, rule: FaultRule) -> bool:
        return rule.probability >= 1 or self._rng.random() < rule.probability

    def _count_hits(self, rules: dict[int, FaultRule]) -> None:
        self._left.update({number: rule.count for number, rule in rules.items() if rule.count is not None})

    def _use(self, number: int) -> None:
        if number in self._left:
            self._left[number] -= 1
            if self._left[number] == 0:
                del self._left[number], self._rules[number]


def _meets(rule: FaultRule, names: Sequence[str]) -> bool:
    return rule.site is None or rule.site in names


def _covers(rule: FaultRule, family: Family) -> bool:
    return not rule.families or any(
        family.value == chosen or family.value.startswith(f"{chosen}.") for chosen in rule.families
    )
