"""Whatever a rule or a service refuses can be said in every language: its sentence is marked where it is raised."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import vcp.errors
from link import rest_errors

ROOT = Path(vcp.errors.__file__).parent.parent
ROOMS = ("vcp", "plants", "people", "metering", "dispatch", "schedules", "link", "watch", "console")
"""All but the API of the reverse channel, which machines read; its services are looked at too."""
_PROTOCOL = {
    name for name, one in vars(vcp.errors).items() if isinstance(one, type) and issubclass(one, ValueError)
}
_REST = {name for name in vars(rest_errors) if name.startswith("Rest")}
REFUSALS = (
    {"Invalid", "Conflict", "NotFound", "DomainError", "LinkError", "UndecryptableSecret"} | _PROTOCOL | _REST
)
_NAMES = re.compile(r"%\((\w+)\)")


def _sources() -> Iterator[tuple[str, ast.Module]]:
    folders = [ROOT / room for room in ROOMS] + [ROOT / "trading_api/services"]
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if "migrations" not in path.parts and "management" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _is_bare(first: ast.expr) -> bool:
    """English that nobody could translate."""
    match first:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.IfExp(body=body, orelse=other):
            return _is_bare(body) or _is_bare(other)
        case ast.BoolOp(values=values):
            return any(_is_bare(one) for one in values)
        case ast.BinOp(left=left):
            return _is_bare(left)
        case _:
            return False


def _bare_in(function: ast.AST) -> Iterator[ast.Call]:
    """Refusals of a bare text, in the call itself or in the name that it is given."""
    named = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _is_bare(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and _called(node) in REFUSALS and node.args:
            first = node.args[0]
            if _is_bare(first) or (isinstance(first, ast.Name) and first.id in named):
                yield node


def test_no_refusal_is_a_bare_english_text() -> None:
    bare = {
        f"{name}:{node.lineno} {ast.unparse(node)[:100]}"
        for name, module in _sources()
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef)
        for node in _bare_in(function)
    }

    assert bare == set(), "\n".join(sorted(bare))


def test_every_pattern_stands_where_it_is_said_and_names_its_facts() -> None:
    wrong, found = [], 0
    for name, module in _sources():
        for node in ast.walk(module):
            if not isinstance(node, ast.Call) or _called(node) not in {"said", "said_many"}:
                continue
            found += 1
            count = 1 if _called(node) == "said" else 2
            patterns = [one.value for one in node.args[:count] if isinstance(one, ast.Constant)]
            given = {one.arg for one in node.keywords} | ({"count"} if count == 2 else set())
            named = {text for one in patterns for text in _NAMES.findall(str(one))}
            if len(patterns) < count or (None not in given and named != given):
                wrong.append(f"{name}:{node.lineno} {ast.unparse(node)[:100]}")

    assert wrong == [], "\n".join(wrong)
    assert found > 350
