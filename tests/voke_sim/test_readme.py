"""The README tells of every field and every fault there is."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from voke_sim.config import SimConfig
from voke_sim.faults import FaultKind, FaultRule

README = (Path(__file__).parents[2] / "voke_sim" / "README.md").read_text(encoding="utf-8")


def structs_in(annotation: Any) -> list[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [struct for argument in get_args(annotation) for struct in structs_in(argument)]


def field_names(struct: type[msgspec.Struct]) -> set[str]:
    names = set()
    for field in msgspec.structs.fields(struct):
        names.add(field.name)
        for inner in structs_in(field.type):
            names |= field_names(inner)
    return names


@pytest.mark.parametrize("name", sorted(field_names(SimConfig)))
def test_every_configuration_field_is_documented(name: str) -> None:
    assert f"`{name}" in README or f'"{name}"' in README


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_fault_is_documented(kind: FaultKind) -> None:
    assert f"| `{kind.value}` |" in README


def test_the_fault_example_is_valid() -> None:
    begin = README.index('{"faults": [')
    document = msgspec.json.decode(README[begin : README.index("```", begin)])

    assert [rule.kind for rule in msgspec.convert(document["faults"], list[FaultRule])] == [
        FaultKind.DELAY,
        FaultKind.REJECT,
        FaultKind.OFFLINE,
    ]
