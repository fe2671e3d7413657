"""Texts of others (brokers, headers, addresses, forms) as every database takes them."""

from collections.abc import Iterable

MOST_DIGITS = 18
"""Of a number that fits into a column of ids."""


def storable_text(text: object) -> str:
    """The text without lone surrogates and U+0000: PostgreSQL refuses both, and a row that is refused comes again."""
    clean = str(text).encode("utf-8", "replace").decode()
    return clean.replace("\0", "\N{SYMBOL FOR NULL}")


def number_of(text: str, *, most_digits: int = MOST_DIGITS) -> int | None:
    """A whole number that is not negative, out of an address, a form or a header; None where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= most_digits else None


def numbers_of(texts: Iterable[str]) -> list[int]:
    """The numbers among some texts, in their order."""
    return [number for text in texts if (number := number_of(text)) is not None]
