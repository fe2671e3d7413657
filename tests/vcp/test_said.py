"""Sentences that remember what they were made from: English as text, any language as told."""

import json
import pickle

import pytest

from vcp.said import Numeral, Said, joined, said, said_many, told_by, unpacked, worded


class _Czech:
    """A language of three forms, with a comma in its numbers."""

    TEXTS = {
        "%(power)s over %(whose)s": "%(whose)s: o %(power)s více",
        "the plant": "elektrárna",
        "done": "hotovo",
    }

    def one(self, pattern: str) -> str:
        return self.TEXTS.get(pattern, pattern)

    def counted(self, one: str, many: str, count: int) -> str:
        return f"%(count)d {'slot' if count == 1 else 'sloty' if count < 5 else 'slotů'}"

    def number(self, text: str) -> str:
        return text.replace(".", ",")


def test_the_text_is_english_and_the_language_has_its_own_order_and_numbers() -> None:
    words = said("%(power)s over %(whose)s", power=Numeral("12.50"), whose=said("the plant"))

    assert words == "12.50 over the plant"
    assert words.local(_Czech()) == "elektrárna: o 12,50 více"


@pytest.mark.parametrize(
    ("count", "text", "told"), [(1, "1 slot", "1 slot"), (3, "3 slots", "3 sloty"), (7, "7 slots", "7 slotů")]
)
def test_a_count_takes_the_form_of_the_language(count: int, text: str, told: str) -> None:
    words = said_many("%(count)d slot", "%(count)d slots", count)

    assert (str(words), words.local(_Czech())) == (text, told)


@pytest.mark.parametrize(
    "words",
    [
        Said("plain 100 %"),
        Said(),
        said("done"),
        said("%(part)s %% of %(n)s, %(x)s", part=joined(", ", ["a", said("done")]), n=3, x=1.5),
        said_many("%(count)d slot", "%(count)d slots", 2),
        said("%(x)s kW", x=Numeral("1.0")),
        worded("key: done", said("%(name)s: %(what)s", name="key", what=said("done"))),
    ],
)
def test_what_is_packed_or_pickled_says_the_same(words: Said) -> None:
    again = unpacked(json.loads(json.dumps(words.packed())))

    assert again.local(_Czech()) == words.local(_Czech())
    assert pickle.loads(pickle.dumps(words)).local(_Czech()) == words.local(_Czech())
    assert type(str(words)) is str


def test_texts_within_are_changed_and_the_pattern_stays() -> None:
    words = said("%(who)s: %(what)s", who="se\ncret", what=said("%(a)s", a="secret")).with_texts(
        lambda text: text.replace("\n", "").replace("secret", "***")
    )

    assert words == "***: ***"
    assert words.pattern == "%(who)s: %(what)s"


def test_nothing_is_nothing_in_every_language() -> None:
    assert Said().local(_Czech()) == ""
    assert joined("; ", []) == ""


def test_an_exception_tells_the_sentence_that_it_was_made_with() -> None:
    assert told_by(OSError(said("done"))).local(_Czech()) == "hotovo"
    assert told_by(OSError(2, "No such file")) == "[Errno 2] No such file"


@pytest.mark.parametrize(
    "row", [{}, {"text": "x", "facts": {"a": None}}, {"text": "%(a)s", "facts": {"b": 1}}]
)
def test_what_was_not_packed_is_refused(row: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        unpacked(row)
