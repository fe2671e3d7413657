"""The numbers that decide how long a command may wait, read once by entry points and passed down."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Time limits of dispatch. Interpretation: Voke publishes no numbers for replay or acknowledgement."""

    replay_margin: timedelta
    setpoint_deliver_by: timedelta
    command_deliver_by: timedelta
    ack_timeout: timedelta
    execution_timeout: timedelta
    emergency_reissue: timedelta
    emergency_scope: str


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
    )
