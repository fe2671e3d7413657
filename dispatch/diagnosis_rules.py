"""The numbers that silence is explained by, read once by entry points and passed down."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

_AGAIN = timedelta(seconds=5)
_LEASE = timedelta(seconds=180)
"""Longer than a connection's turn may last (`link.diagnosing`)."""


@dataclass(frozen=True, kw_only=True)
class DiagnosisRules:
    """`patience`: for how long it may be too early to tell, looked at every `again`; `looks` at Voke's log at most.

    `look_again`: the pause after the first look that told nothing, doubled after each; `lease`: for how long a look is
    somebody's own.
    """

    patience: timedelta
    looks: int
    look_again: timedelta
    again: timedelta = _AGAIN
    lease: timedelta = _LEASE


def current_diagnosis_rules() -> DiagnosisRules:
    """The rules of this installation's settings."""
    return DiagnosisRules(
        patience=timedelta(seconds=settings.DIAGNOSIS_PATIENCE_S),
        looks=settings.DIAGNOSIS_LOOKS,
        look_again=timedelta(seconds=settings.DIAGNOSIS_LOOK_AGAIN_S),
    )
