"""Topic patterns as AMQP 0-9-1 defines them, compared with an independent regular-expression oracle."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membroker import topic_matches


@pytest.mark.parametrize(
    ("pattern", "routing_key"),
    [
        ("acme.command.#", "acme.command"),
        ("acme.command.#", "acme.command.device"),
        ("acme.command.#", "acme.command.device.charge"),
        ("acme.event.mode.*", "acme.event.mode.changed"),
        ("#", ""),
        ("#", "anything.at.all"),
        ("#.alarm", "alarm"),
        ("acme.#.raised", "acme.event.alarm.raised"),
        ("*.*", "a.b"),
    ],
)
def test_a_pattern_takes_what_its_wildcards_cover(pattern: str, routing_key: str) -> None:
    assert topic_matches(pattern, routing_key)


@pytest.mark.parametrize(
    ("pattern", "routing_key"),
    [
        ("acme.event.alarm.*", "acme.event.alarm"),
        ("acme.event.mode.*", "acme.event.mode.changed.twice"),
        ("acme.command.#", "acme.commands"),
        ("acme.command.#", "beta.command.device"),
        ("acme.command", "acme.command.device"),
        ("*", "a.b"),
        ("", "a"),
    ],
)
def test_a_pattern_leaves_what_its_wildcards_do_not_cover(pattern: str, routing_key: str) -> None:
    assert not topic_matches(pattern, routing_key)


def _oracle(pattern: str, routing_key: str) -> bool:
    """The same rule said with `re`: every word carries its dot in front."""
    parts = {"#": r"(\.[^.]*)*", "*": r"\.[^.]*"}
    expression = "".join(parts.get(word, re.escape("." + word)) for word in pattern.split("."))
    return re.fullmatch(expression, "." + routing_key) is not None


_key = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=6).map(".".join)
_pattern = st.lists(st.sampled_from(["a", "b", "ab", "*", "#"]), min_size=1, max_size=6).map(".".join)


@given(pattern=_pattern, routing_key=_key)
def test_matching_agrees_with_regular_expressions_on_generated_patterns(
    pattern: str, routing_key: str
) -> None:
    assert topic_matches(pattern, routing_key) is _oracle(pattern, routing_key)


def test_many_hashes_against_a_long_key_are_still_answered_at_once() -> None:
    pattern = ".".join(["#", "a"] * 40)

    assert not topic_matches(pattern, ".".join(["a"] * 300 + ["b"]))
