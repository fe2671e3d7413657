"""Walking through decoded JSON: what checks need when something was found that should not be there."""

from collections.abc import Iterable, Iterator
from typing import Any

from vcp.errors import join_path


def children(value: Any) -> Iterable[Any]:
    """The items of an object or array; nothing for a scalar."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every scalar, and of every key at the path of its object.

    Recursive: bound the depth before.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield path, key
            yield from leaves(item, join_path(path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value
