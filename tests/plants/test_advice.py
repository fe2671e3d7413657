"""The table of words: every code that a link can carry has a title, a meaning and something to do."""

import re
from pathlib import Path

import pytest

import link
import plants
from plants.advice import ADVICE, advice

ROOT = Path(link.__file__).parent
SOURCES = [
    *ROOT.glob("amqp*.py"),
    *(ROOT / f"{name}.py" for name in ("memory", "worker", "workers", "run", "silence", "broker")),
]


def codes_of(sources):
    return {
        code
        for source in sources
        for code in re.findall(r'code: ?(?:str)? ?= ?"([A-Z_]+)"|code="([A-Z_]+)"', source.read_text())
    }


def test_every_code_that_a_link_can_carry_is_explained():
    codes = {one or other for one, other in codes_of(SOURCES)}

    assert len(codes) > 15
    assert codes <= set(ADVICE)


def test_every_code_that_health_is_judged_with_is_explained():
    source = (Path(plants.__file__).parent / "selectors" / "link_health.py").read_text()
    codes = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', source))

    assert {"NO_PROCESS", "NOTHING_EVER_ARRIVED", "METER_SILENT"} <= codes
    assert codes <= set(ADVICE)


@pytest.mark.parametrize("words", ADVICE.values(), ids=list(ADVICE))
def test_every_explanation_says_what_it_means_and_what_to_do_in_sentences(words):
    assert words.title
    assert not words.title.endswith(".")
    assert words.meaning.endswith(".")
    assert words.action.endswith(".")


def test_a_code_that_is_not_known_is_answered_with_general_words():
    assert advice("SOMETHING_NEW").action
