"""Chance by the seed: within `seeded` every id and every draw that the platform makes follows from one number.

Services take `new_id`, but ticks and admin call them with its default, `uuid.uuid4` itself. That function takes its
bytes from `uuid.os.urandom`: there, and nowhere else, the source is exchanged. Keys, nonces and tokens (`secrets`,
`cryptography`) go on drawing from the system: nothing that is compared may depend on them.
"""

import os
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _SeededOs:
    """The module `os` as `uuid` sees it, with bytes from a seed."""

    def __init__(self, rng: random.Random) -> None:
        self.urandom = rng.randbytes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """`uuid.uuid4()` and the module functions of `random` follow from the seed until the block ends."""
    before, state = uuid.os, random.getstate()  # type: ignore[attr-defined]
    uuid.os = _SeededOs(random.Random(f"platform/{seed}"))  # type: ignore[attr-defined]  # noqa: S311
    random.seed(f"draws/{seed}")
    try:
        yield
    finally:
        uuid.os = before  # type: ignore[attr-defined]
        random.setstate(state)
