"""Addresses of the console's pages: a page has hundreds of them and few kinds, so each kind is looked up once.

What is kept is true as long as the process lives: the pieces between an address's numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import get_script_prefix, reverse
from django.utils.html import escape

_STANDS_FOR_A_NUMBER = 7_000_000_000_000_000
_KEPT_MAX = 1024
_kept: dict[tuple[str, str, tuple[str | None, ...]], "Pieces"] = {}


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """What stands between the numbers of an address; `escaped`: the same for markup."""

    plain: Sequence[str]
    escaped: Sequence[str]


def address(view_name: str, *args: Any) -> str:
    """As `django.urls.reverse`; numbers and words in it cost no search."""
    return _filled(view_name, args, for_markup=False)


def address_html(view_name: str, *args: Any) -> str:
    """The same, escaped."""
    return _filled(view_name, args, for_markup=True)


def _filled(view_name: str, args: tuple[Any, ...], *, for_markup: bool) -> str:
    kind = tuple(None if type(arg) is int and arg >= 0 else arg for arg in args)
    if not all(part is None or isinstance(part, str) for part in kind):
        found = reverse(view_name, args=args)
        return escape(found) if for_markup else found
    key = (get_script_prefix(), view_name, kind)
    pieces = _kept.get(key)
    if pieces is None:
        pieces = _looked_up(view_name, kind)
        if len(_kept) >= _KEPT_MAX:  # words are days and tabs: more than this are somebody's inventions
            _kept.clear()
        _kept[key] = pieces
    between = pieces.escaped if for_markup else pieces.plain
    if len(between) == 1:
        return between[0]
    numbers = [str(arg) for arg, part in zip(args, kind, strict=True) if part is None]
    return between[0] + "".join(
        f"{number}{piece}" for number, piece in zip(numbers, between[1:], strict=True)
    )


def _looked_up(view_name: str, kind: tuple[str | None, ...]) -> Pieces:
    numbers = [str(_STANDS_FOR_A_NUMBER + place) for place in range(len(kind))]
    rest = reverse(
        view_name,
        args=[int(number) if part is None else part for number, part in zip(numbers, kind, strict=True)],
    )
    plain = []
    for number, part in zip(numbers, kind, strict=True):
        if part is None:
            before, _, rest = rest.partition(number)
            plain.append(before)
    plain.append(rest)
    return Pieces(plain=plain, escaped=[escape(piece) for piece in plain])
