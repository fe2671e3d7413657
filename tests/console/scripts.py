"""Literals of the console's scripts: a lexer that knows strings, templates, comments and regular expressions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[2] / "console/static/console"
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<name>[\w$]+)|(?P<other>.)""",
    re.S,
)
_REGEX: Final = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n\[])+/[a-z]*")
# After these a slash begins a regular expression; after a name, a number or a bracket it divides.
_OPERATORS: Final = frozenset("(,=:[!&|?{};+-*%<>~^") | {"return", "=>"}


@dataclass(frozen=True, kw_only=True)
class Literal:
    """A text in a script. `before`: the code before it, without spaces, up to 200 characters of its statement."""

    text: str
    line: int
    before: str


def literals(source: str) -> Iterator[Literal]:
    """Every string, and the fixed parts of every template."""
    yield from _scan(source, 0, [], 0)[1]


def _scan(source: str, at: int, code: list[str], depth: int) -> tuple[int, list[Literal]]:
    """Up to the end, or within a template up to the brace that closes its `${`."""
    found: list[Literal] = []
    while at < len(source):
        if source[at] == "`":
            at, parts = _template(source, at + 1, code)
            found += parts
            code.append("``")
            continue
        if source[at] == "/" and source[at + 1] not in "/*" and (not code or code[-1] in _OPERATORS):
            match = _REGEX.match(source, at)
            assert match is not None, source[at : at + 40]
            code.append("//")
            at = match.end()
            continue
        if depth and source[at] == "{":
            depth += 1
        elif depth and source[at] == "}":
            depth -= 1
            if depth == 0:
                return at + 1, found
        match = _TOKEN.match(source, at)
        assert match is not None
        at = match.end()
        if match["string"]:
            found.append(_literal(match[0][1:-1], source, match.start(), code))
            code.append(f'"{match[0][1:-1]}"')
        elif not match["space"]:
            code.append(match[0])
    return at, found


def _template(source: str, at: int, code: list[str]) -> tuple[int, list[Literal]]:
    found: list[Literal] = []
    begin = at
    text = ""
    while source[at] != "`":
        if source.startswith("${", at):
            at, inner = _scan(source, at + 2, code, 1)
            found += inner
            text += "{}"
        elif source[at] == "\\":
            text += source[at : at + 2]
            at += 2
        else:
            text += source[at]
            at += 1
    return at + 1, [_literal(text, source, begin, code), *found]


def _literal(text: str, source: str, at: int, code: list[str]) -> Literal:
    before = re.sub(r"(?<=[\w$]) (?=\W)|(?<=[^\w$]) ", "", " ".join(code[-60:]))[-200:]
    return Literal(text=text, line=source.count("\n", 0, at) + 1, before=before.rpartition(";")[2])
