"""Config updates: a slightly changed copy of what the partner served, followed until it is settled."""

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

_MEMBERS = ("from", "to", "pBatMin", "pBatMax", "socMin", "socMax")
_STEP_KW = 1.0
_STEP_PCT = 1.0


class OpenUpdate(msgspec.Struct, kw_only=True):
    """An update that is not settled: the body as first sent, and when to ask again."""

    plant: str
    body: dict[str, Any]
    due_at: datetime
    attempts: int = 0
    request_id: str | None = None

    def take_request_id(self, request_id: Any) -> str | None:
        """Keep the first `requestId`; what is odd about this one, or None."""
        if not isinstance(request_id, str):
            return "the answer has no requestId"
        if self.request_id is not None and request_id != self.request_id:
            return f"requestId changed from {self.request_id} to {request_id}"
        self.request_id = request_id
        return None


def changed_blocks(blocks: Sequence[Any], rng: random.Random) -> list[dict[str, Any]] | None:
    """The time-config blocks with one limit of one block moved inwards by a step, shape of fact sheet
    section 8.

    Moved inwards, so that a partner has no reason but its own policy to refuse; outwards again where there
    is no room. None when the blocks are not of the known shape.
    """
    copies: list[dict[str, Any]] = [
        {name: block.get(name) for name in _MEMBERS} for block in blocks if isinstance(block, dict)
    ]
    if len(copies) != len(blocks) or not copies or not all(_is_known(block) for block in copies):
        return None
    block = copies[rng.randrange(len(copies))]
    if rng.random() < 0.5:
        has_room = block["pBatMax"] - _STEP_KW >= max(0.0, block["pBatMin"])
        block["pBatMax"] += -_STEP_KW if has_room else _STEP_KW
    else:
        has_room = block["socMin"] + _STEP_PCT < block["socMax"]
        block["socMin"] = max(0.0, block["socMin"] + (_STEP_PCT if has_room else -_STEP_PCT))
    return copies


def _is_known(block: dict[str, Any]) -> bool:
    numbers = [block[name] for name in _MEMBERS[2:]]
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers)
    return are_numbers and isinstance(block["from"], str) and isinstance(block["to"], str)
