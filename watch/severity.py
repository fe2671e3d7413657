"""Which alarm reaches which channel: severities are an open vocabulary, channels have a threshold. Pure."""

from watch.models import Severity

_RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}
UNKNOWN_RANK = _RANKS[Severity.ERROR.value]


def rank_of(severity: str) -> int:
    """0 INFO … 3 CRITICAL. Interpretation: a word that we do not know ranks as ERROR: better one message too many."""
    return _RANKS.get(severity.strip().upper(), UNKNOWN_RANK)


def is_heard(severity: str, *, minimum: str, only_this: bool) -> bool:
    """Whether a channel with this threshold hears of an alarm of this severity."""
    rank, wanted = rank_of(severity), rank_of(minimum)
    return rank == wanted if only_this else rank >= wanted
