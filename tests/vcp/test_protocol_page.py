"""`docs/protocol.md` names all that the code speaks."""

import re
from enum import StrEnum
from pathlib import Path

import msgspec
import pytest

import vcp
from vcp import errors, vocabulary
from vcp.structs import WireStruct

PAGE = (Path(vcp.__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"[A-Za-z0-9_]+", PAGE))


def wire_names(struct_type: type[WireStruct]) -> set[str]:
    return {
        field.encode_name for field in msgspec.structs.fields(struct_type) if field.name != struct_type.RAW
    }


STRUCTS = [kind for kind in vars(vcp).values() if isinstance(kind, type) and issubclass(kind, WireStruct)]
VOCABULARIES = [
    kind
    for kind in vars(vocabulary).values()
    if isinstance(kind, type) and issubclass(kind, StrEnum) and kind is not StrEnum
]
CODES = [
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ProtocolError) and kind is not errors.ProtocolError
]


@pytest.mark.parametrize("struct_type", STRUCTS)
def test_every_member_stands_on_the_page(struct_type: type[WireStruct]) -> None:
    assert wire_names(struct_type) - NAMES == set()


@pytest.mark.parametrize("words", VOCABULARIES)
def test_every_word_stands_on_the_page(words: type[StrEnum]) -> None:
    assert {word.value for word in words} - NAMES == set()


def test_every_family_with_its_payload_scope_and_signature_stands_on_the_page() -> None:
    for family, payload_type in vcp.PAYLOAD_TYPES.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{family.value}` | `"))
        assert f"| `{payload_type.__name__}` |" in row
        assert vcp.REQUIRED_SCOPE[family] in row
        assert ("**yes**" in row) is (family in vcp.DEFAULT_SIGNED_FAMILIES)


def test_every_binding_stands_on_the_page() -> None:
    for _, binding in vcp.bindings(vcp.queue_names("acme"), "{prefix}"):
        assert f"`{binding}`" in PAGE


def test_the_bounds_are_the_pages() -> None:
    assert (vcp.MAX_BATCH, vcp.MAX_REASON_LENGTH, vcp.MAX_SLOTS, vcp.MAX_ASSETS) == (32, 500, 3000, 500)
    assert (vcp.MAX_FALLBACK_AFTER_S, vcp.MAX_NAME_LENGTH) == (604_800, 200)
    assert (vcp.MAX_DEPTH, vcp.MAX_ID_LENGTH, vcp.MAX_SAFE_INTEGER) == (64, 128, 2**53 - 1)


def test_every_error_code_stands_on_the_page() -> None:
    assert [code for code in CODES if f"| `{code}` |" not in PAGE] == []
