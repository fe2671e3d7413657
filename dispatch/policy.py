"""The numbers that decide how long a command may wait and how it is proven, read once by entry points and passed down.

Each command class may have deadlines of its own (`deadlines`); a class that names none has the common ones. That of an
emergency is shorter: a third of the common one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings

from dispatch.models import Kind
from dispatch.verification import ProofRules

EMERGENCY_SHARE = 3
"""An emergency waits for an answer a third of the common time, unless it has a number of its own."""
CLASS_OF: Mapping[str, str] = {
    Kind.SITE_SETPOINT: "SETPOINT",
    Kind.DEVICE: "DEVICE",
    Kind.EMERGENCY: "EMERGENCY",
    Kind.MODE: "MODE",
    Kind.SCHEDULE_CREATE: "SCHEDULE",
    Kind.SCHEDULE_CANCEL: "SCHEDULE",
}
"""The command class of a kind, as its settings are named: ACK_TIMEOUT_{class}_S, EXECUTION_TIMEOUT_{class}_S."""


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """How long after it was sent a command's ACK is overdue, and how long after its start its execution report is."""

    ack: timedelta
    execution: timedelta


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Time limits of dispatch. Interpretation: Voke publishes no numbers for replay or acknowledgement.

    `ack_timeout`, `execution_timeout`: the common deadlines; `deadlines`: those of the kinds that have others.
    """

    replay_margin: timedelta
    setpoint_deliver_by: timedelta
    command_deliver_by: timedelta
    ack_timeout: timedelta
    execution_timeout: timedelta
    emergency_reissue: timedelta
    emergency_scope: str
    deadlines: Mapping[str, Deadlines] = field(default_factory=dict)
    proof: ProofRules = field(default_factory=ProofRules)

    def ack_timeout_of(self, kind: str) -> timedelta:
        """How long after it was sent a command of this kind may be without an ACK."""
        own = self.deadlines.get(kind)
        return self.ack_timeout if own is None else own.ack

    def execution_timeout_of(self, kind: str) -> timedelta:
        """How long after its start a command of this kind may be without a report of its execution."""
        own = self.deadlines.get(kind)
        return self.execution_timeout if own is None else own.execution


def current_policy() -> Policy:
    """The policy of this installation's settings."""
    return Policy(
        replay_margin=timedelta(seconds=settings.REPLAY_MARGIN_S),
        setpoint_deliver_by=timedelta(seconds=settings.SETPOINT_DELIVER_BY_S),
        command_deliver_by=timedelta(seconds=settings.COMMAND_DELIVER_BY_S),
        ack_timeout=timedelta(seconds=settings.ACK_TIMEOUT_S),
        execution_timeout=timedelta(seconds=settings.EXECUTION_TIMEOUT_S),
        emergency_reissue=timedelta(seconds=settings.EMERGENCY_REISSUE_S),
        emergency_scope=settings.EMERGENCY_SCOPE,
        deadlines=_deadlines(),
        proof=current_proof_rules(),
    )


def current_proof_rules() -> ProofRules:
    """How commands are proven by measurement, as this installation sets it."""
    return ProofRules(
        settling=timedelta(seconds=settings.VERIFY_SETTLING_S),
        least=timedelta(seconds=settings.VERIFY_LEAST_S),
        grace=timedelta(seconds=settings.VERIFY_GRACE_S),
        late=timedelta(hours=settings.VERIFY_LATE_H),
        tolerance_kw=settings.VERIFY_TOLERANCE_KW,
        tolerance_pct=settings.VERIFY_TOLERANCE_PCT,
        coverage_pct=settings.VERIFY_COVERAGE_PCT,
    )


def _deadlines() -> dict[str, Deadlines]:
    return {
        kind: Deadlines(
            ack=_of_class(settings.ACK_TIMEOUTS_S, name, settings.ACK_TIMEOUT_S),
            execution=_of_class(settings.EXECUTION_TIMEOUTS_S, name, settings.EXECUTION_TIMEOUT_S),
        )
        for kind, name in CLASS_OF.items()
    }


def _of_class(own_s: Mapping[str, int], name: str, common_s: int) -> timedelta:
    """0 = not set: the common time, a third of it for an emergency."""
    if own_s[name]:
        return timedelta(seconds=own_s[name])
    return timedelta(seconds=common_s / EMERGENCY_SHARE if name == "EMERGENCY" else common_s)
