"""The one place that knows how the reverse channel spells things (fact sheet, section 8).

Voke does not publish the bodies of list, config and update: every choice of ours is marked "Interpretation:" and
follows a setting where somebody could reasonably have chosen otherwise. Inside, times are half-open local minutes and
battery power is + = charging; nothing outside this module sees the wire's form of either.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec
from django.conf import settings

from plants.time_config import Block, minute_text

# Part of every ETag: count up when the code changes what list or config look like.
_FORM: Final = 1
_WALL_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_WIRE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
NO_LIST_KEY: Final = "none"


class Outcome(StrEnum):
    """What became of a config update; the wire's names for it are a setting."""

    ACCEPTED = "ACCEPTED"
    APPLIED = "APPLIED"
    REJECTED = "REJECTED"


class PowerSign(StrEnum):
    """Which direction of battery power is positive on the wire."""

    CHARGE = "charge"
    DISCHARGE = "discharge"


@dataclass(frozen=True, kw_only=True)
class ResultCode:
    """`resultCode` on the wire and whether nothing more will come of the request (`terminal`)."""

    name: str
    terminal: bool


# Interpretation: the names and flags of result codes are not visible; "terminal/non-terminal" is all the sources say.
DEFAULT_RESULT_CODES: Final[Mapping[Outcome, ResultCode]] = {
    Outcome.ACCEPTED: ResultCode(name="ACCEPTED", terminal=False),
    Outcome.APPLIED: ResultCode(name="APPLIED", terminal=True),
    Outcome.REJECTED: ResultCode(name="REJECTED", terminal=True),
}


def parse_result_codes(words: Iterable[str]) -> dict[Outcome, ResultCode]:
    """The setting TRADING_RESULT_CODES: words `OUTCOME=NAME:terminal` or `OUTCOME=NAME:open`; raises ValueError."""
    codes = dict(DEFAULT_RESULT_CODES)
    for word in words:
        outcome, _, rest = word.partition("=")
        name, _, flag = rest.partition(":")
        if (
            outcome not in Outcome.__members__
            or not _WIRE_NAME.fullmatch(name)
            or flag not in {"terminal", "open"}
        ):
            raise ValueError(
                f"each word is written OUTCOME=NAME:terminal or OUTCOME=NAME:open, OUTCOME one of {', '.join(Outcome)}"
            )
        codes[Outcome(outcome)] = ResultCode(name=name, terminal=flag == "terminal")
    if len({code.name for code in codes.values()}) != len(codes):
        raise ValueError("each outcome needs a name of its own")
    return codes


def parse_wire_names(words: Sequence[str]) -> tuple[str, ...]:
    """Field names of the wire, at least one, each once; raises ValueError."""
    if not words or len(set(words)) != len(words) or not all(_WIRE_NAME.fullmatch(word) for word in words):
        raise ValueError("needs different names of letters, digits and '_', at most 32 characters each")
    return tuple(words)


def plant_id_fields() -> tuple[str, ...]:
    """The names under which our plant id travels, the preferred one first."""
    # Interpretation: the query parameter is `plantId`, the plant's own field `externalPlantId`; both are sent and read.
    fields: tuple[str, ...] = settings.TRADING_PLANT_ID_FIELDS
    return fields


def _plant_ids(external_plant_id: str) -> dict[str, Any]:
    return dict.fromkeys(plant_id_fields(), external_plant_id)


_PLANT_FIELDS: Final = (
    "name", "description", "capacityKwh", "fvePeakPowerKwp", "plantWithLoad", "configEnabled", "esiState",
)  # fmt: skip


def plants_to_wire(plants: Iterable[Sequence[Any]]) -> list[msgspec.Struct]:
    """Items of `list` from rows of the plant selector: what is encoded without a dictionary for each."""
    id_fields = tuple(name for name in plant_id_fields() if name not in _PLANT_FIELDS)
    item, times = _item(id_fields), len(id_fields)
    return [
        item(
            *((ref,) * times),
            name,
            description or None,
            _number(capacity_kwh),
            _number(fve_peak_power_kwp),
            bool(plant_with_load),  # SQLite has numbers
            bool(config_enabled),
            esi_state,
        )
        for (
            ref, name, description, capacity_kwh, fve_peak_power_kwp, plant_with_load, config_enabled, esi_state,
        ) in plants
    ]  # fmt: skip


@lru_cache(maxsize=16)
def _item(id_fields: tuple[str, ...]) -> type[msgspec.Struct]:
    # Fields are numbered: a name of the wire may be a word that Python keeps for itself.
    names = (*id_fields, *_PLANT_FIELDS)
    fields = [f"field_{number}" for number in range(len(names))]
    return msgspec.defstruct("Item", fields, rename=dict(zip(fields, names, strict=True)), gc=False)


def list_to_wire(items: Sequence[Any]) -> Any:
    """The body of `list`."""
    # Interpretation: a bare array; TRADING_LIST_KEY names the key of an object that wraps it instead.
    key: str = settings.TRADING_LIST_KEY
    return items if key == NO_LIST_KEY else {key: items}


def config_to_wire(
    external_plant_id: str, *, config_enabled: bool, blocks: Iterable[Block]
) -> dict[str, Any]:
    """The body of `config`."""
    return {
        **_plant_ids(external_plant_id),
        "configEnabled": config_enabled,
        "timeConfigs": blocks_to_wire(blocks),
    }


def blocks_to_wire(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """`timeConfigs`."""
    return [_block_to_wire(block) for block in blocks]


def _block_to_wire(block: Block) -> dict[str, Any]:
    low, high = _signed_range(block.p_bat_min_kw, block.p_bat_max_kw)
    return {
        "from": minute_text(block.start_minute),
        "to": minute_text(block.end_minute - 1),
        "pBatMin": _number(low),
        "pBatMax": _number(high),
        "socMin": _number(block.soc_min_pct),
        "socMax": _number(block.soc_max_pct),
    }


def block_from_wire(item: Mapping[str, Any]) -> Block:
    """A block from one item whose form has been checked; its rules have not."""
    # Interpretation: local wall clock, and `to` is the last minute that belongs to the block (the stub's 00:00-23:59).
    low, high = _signed_range(float(item["pBatMin"]), float(item["pBatMax"]))
    return Block(
        start_minute=parse_wall_clock(item["from"]),
        end_minute=parse_wall_clock(item["to"]) + 1,
        p_bat_min_kw=low,
        p_bat_max_kw=high,
        soc_min_pct=float(item["socMin"]),
        soc_max_pct=float(item["socMax"]),
    )


def parse_wall_clock(text: str) -> int:
    """The minute of the day of `HH:MM` (00:00 to 23:59); raises ValueError."""
    match = _WALL_CLOCK.fullmatch(text)
    if match is None:
        raise ValueError("a local time is written HH:MM, 00:00 to 23:59")
    return int(match[1]) * 60 + int(match[2])


def _signed_range(low: float, high: float) -> tuple[float, float]:
    """Battery power between our sign and the wire's; the same step in both directions."""
    # Interpretation: the sources do not say which sign charges; + = charging, as batteryPowerKw of the telemetry.
    if settings.TRADING_PBAT_SIGN == PowerSign.DISCHARGE:
        return 0.0 - high, 0.0 - low
    return low, high


def _number(value: float | None) -> float | int | None:
    """Whole numbers without a fraction, as JavaScript writes them."""
    return int(value) if value is not None and value.is_integer() else value


def result_code(outcome: Outcome) -> ResultCode:
    """The wire's name and flag of an outcome."""
    codes: Mapping[Outcome, ResultCode] = settings.TRADING_RESULT_CODES
    return codes[outcome]


def update_to_wire(
    outcome: Outcome, *, message: str, request_id: str, details: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """The answer to a config update that was understood; `details` name the broken rules of a rejected one."""
    code = result_code(outcome)
    answer: dict[str, Any] = {
        "resultCode": code.name,
        "terminal": code.terminal,
        "message": message,
        "requestId": request_id,
    }
    if details:
        answer["details"] = list(details)
    return answer


def mapping_digest() -> str:
    """Changes whenever a setting or the form of list or config changes: an ETag of the old form is worth nothing."""
    return _digest((_FORM, plant_id_fields(), settings.TRADING_LIST_KEY, settings.TRADING_PBAT_SIGN))


@lru_cache(maxsize=16)
def _digest(parts: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
