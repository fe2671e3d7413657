"""Which alarm reaches which channel: severities are an open vocabulary, channels have a threshold. Pure."""

from plants.severity import UNKNOWN_RANK, rank_of

__all__ = ["UNKNOWN_RANK", "is_heard", "rank_of"]


def is_heard(severity: str, *, minimum: str, only_this: bool) -> bool:
    """Whether a channel with this threshold hears of an alarm of this severity."""
    rank, wanted = rank_of(severity), rank_of(minimum)
    return rank == wanted if only_this else rank >= wanted
