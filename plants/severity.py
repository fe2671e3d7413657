"""How bad a severity is: Voke's words are an open vocabulary, lists and thresholds need an order. Pure."""

KNOWN = ("INFO", "WARNING", "ERROR", "CRITICAL")
"""The severities of the sheet, mildest first."""
_RANKS = {word: rank for rank, word in enumerate(KNOWN)}
UNKNOWN_RANK = _RANKS["ERROR"]


def rank_of(severity: str) -> int:
    """0 INFO … 3 CRITICAL. Interpretation: a word that we do not know ranks as ERROR: better one message too many."""
    return _RANKS.get(severity.strip().upper(), UNKNOWN_RANK)


def is_known(severity: str) -> bool:
    """Whether the word is one of the sheet's."""
    return severity.strip().upper() in _RANKS
