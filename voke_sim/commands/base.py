"""What every command family answers: a verdict when it arrives, readiness, a beginning, and its progress.

A family is one module with one class, and one line in the registry (`commands/registry.py`).
"""

from datetime import datetime
from typing import Any, Protocol

import msgspec

from vcp import AckStatus, CommandResult, RejectionCode
from voke_sim.site import Site
from voke_sim.state import OpenCommand, Plan
from voke_sim.turn import Turn


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of the site that a command would break; it becomes the alarm's fields."""

    breached_field: str
    """Wire name of the limit, such as `maxChargeKw`."""
    asked: float
    limit: float
    device_id: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The command may be carried out; with `results` only in part (PARTIAL)."""

    plan: Plan
    not_before: datetime | None = None
    results: tuple[CommandResult, ...] = ()
    breaches: tuple[Breach, ...] = ()
    message: str | None = None

    @property
    def is_partial(self) -> bool:
        return any(result.status != AckStatus.ACCEPTED for result in self.results)


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The command is refused."""

    code: RejectionCode
    message: str
    results: tuple[CommandResult, ...] = ()
    breaches: tuple[Breach, ...] = ()


Verdict = Accepted | Rejected


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a waiting command may begin: now, never any more (`is_over`), or not yet."""

    is_ready: bool
    is_over: bool = False
    reason: str = ""


READY = Readiness(is_ready=True)


class Tracking(msgspec.Struct, frozen=True, kw_only=True):
    """The command's order is in force; `is_reached` is the present moment's word."""

    is_reached: bool
    actual_kw: float | None = None
    target_kw: float | None = None
    needs_stability: bool = True
    """False: reached once is reached (a mode)."""
    is_last: bool = False
    """The order ends now: COMPLETED if reached, else DEVIATED."""
    has_own_end: bool = False
    """True: the family knows itself when time is up (an ENERGY interval); no deadline counts."""
    reason: str | None = None


class PreEmpted(msgspec.Struct, frozen=True, kw_only=True):
    """Something stronger has the devices; the command may come back."""

    reason: str
    actual_kw: float | None = None
    target_kw: float | None = None


Progress = Tracking | PreEmpted


class CommandKind(Protocol):
    """One command family."""

    def judge(self, site: Site, payload: Any, *, message_id: str, turn: Turn) -> Verdict:
        """May it be carried out at this site, as far as can be told now? Changes nothing but arrival
        numbers.
        """

    def readiness(self, site: Site, command: OpenCommand, at: datetime) -> Readiness:
        """May it begin?"""

    def begin(self, site: Site, command: OpenCommand, turn: Turn) -> dict[str, Any]:
        """Put its order in force; the effect's detail for the journal."""

    def progress(self, site: Site, command: OpenCommand, turn: Turn) -> Progress:
        """Where does it stand? Asked only while its order is in force."""


def stopped() -> Rejected:
    """The answer under an emergency STOP.

    Interpretation: the sources name no code for it; the command is not applicable to the site's present
    state.
    """
    return Rejected(
        code=RejectionCode.INVALID_COMMAND,
        message="an emergency STOP is in force; a mode command releases it",
    )
