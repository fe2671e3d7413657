"""Sentences for people that remember what they were made from, so that a page can say them in its language.

Whatever is stored, logged or answered to a machine gets the English sentence: a `Said` is that text. What shows it to
people asks for its pattern and its facts, and puts the facts into the pattern of the page's language. Pure: languages
are the business of who shows it. Patterns are found by `makemessages`, so they are written out where `said` is called.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, Self

Fact = str | int | float
"""What is filled in: a text, a number, or a sentence of its own (`Said` and `Numeral` are texts)."""
_NO_FACTS: Final[Mapping[str, Fact]] = {}


class Translation(Protocol):
    """A language, as gettext knows it."""

    def one(self, pattern: str) -> str:
        """The pattern in the language."""

    def counted(self, one: str, many: str, count: int) -> str:
        """The one of its plural forms that the count takes."""

    def number(self, text: str) -> str:
        """A number, written as in Python, as the language writes it."""


class Numeral(str):
    """A number as Python writes it and with the places that it shall have; a page writes it as its language does."""

    __slots__ = ()


class Said(str):
    """An English sentence with the pattern and facts that it was made from; a plain text is a pattern without facts.

    `many`: the pattern for every number but one, `counted`: the number; '' and 1 where nothing is counted.
    """

    pattern: str
    many: str
    counted: int
    facts: Mapping[str, Fact]

    def __new__(cls, text: str = "") -> Self:
        made = super().__new__(cls, text)
        made.pattern, made.many, made.counted, made.facts = str(text), "", 1, _NO_FACTS
        return made

    def local(self, language: Translation) -> str:
        """The sentence in a language, its facts too where they are sentences or numbers with a fraction."""
        pattern = (
            language.counted(self.pattern, self.many, self.counted)
            if self.many
            else language.one(self.pattern)
            if self.pattern  # gettext has the head of its catalogue for ''
            else ""
        )
        if not self.facts:
            return pattern
        return pattern % {name: _local(fact, language) for name, fact in self.facts.items()}

    def with_texts(self, change: Callable[[str], str]) -> "Said":
        """The same sentence, its facts changed where they are texts; of a text without facts, the text."""
        if not self.facts:
            changed = change(self)
            return self if changed == self else Said(changed)
        facts = {name: _changed(fact, change) for name, fact in self.facts.items()}
        return _made(self.pattern, self.many, self.counted, facts)

    def packed(self) -> dict[str, Any]:
        """As JSON keeps it; `unpacked` reads it."""
        row: dict[str, Any] = {"text": self.pattern}
        if self.many:
            row |= {"many": self.many, "count": self.counted}
        if self.facts:
            row["facts"] = {name: _packed(fact) for name, fact in self.facts.items()}
        return row


def said(pattern: str, /, **facts: Fact) -> Said:
    """A sentence: `said("at most %(most)d characters", most=80)`. Without facts a per cent sign is itself."""
    return _made(pattern, "", 1, facts)


def said_many(one: str, many: str, count: int, /, **facts: Fact) -> Said:
    """A sentence that counts: `said_many("%(count)d slot", "%(count)d slots", 3)`; `count` is one of its facts."""
    return _made(one, many, count, {"count": count, **facts})


def joined(mark: str, parts: Sequence[str]) -> Said:
    """Sentences, or texts, one behind the other with a mark between them."""
    facts = {f"part{number}": part for number, part in enumerate(parts)}
    return _made(mark.replace("%", "%%").join(f"%({name})s" for name in facts), "", 1, facts)


def worded(text: str, like: Said) -> Said:
    """A sentence whose English is `text`, and which pages say as `like`."""
    made = Said(text)
    made.pattern, made.many, made.counted, made.facts = like.pattern, like.many, like.counted, like.facts
    return made


def unpacked(row: Mapping[str, Any]) -> Said:
    """What `packed` made. Raises KeyError, TypeError or ValueError for anything else."""
    facts = {str(name): _unpacked(fact) for name, fact in row.get("facts", {}).items()}
    return _made(str(row["text"]), str(row.get("many", "")), int(row.get("count", 1)), facts)


def told_by(error: BaseException) -> Said:
    """What an exception says: the sentence that it was made with, or its text."""
    first = error.args[0] if error.args else ""
    return first if isinstance(first, Said) else Said(str(error))


def _made(pattern: str, many: str, counted: int, facts: Mapping[str, Fact]) -> Said:
    chosen = many if many and counted != 1 else pattern
    told = {name: _text(fact) if isinstance(fact, float) else fact for name, fact in facts.items()}
    made = Said(chosen % told if facts else chosen)
    made.pattern, made.many, made.counted, made.facts = pattern, many, counted, facts
    return made


def _text(number: float) -> str:
    return f"{number:g}"


def _local(fact: Fact, language: Translation) -> str | int:
    match fact:
        case Said():
            return fact.local(language)
        case Numeral():
            return language.number(fact)
        case float():
            return language.number(_text(fact))
        case _:
            return fact


def _changed(fact: Fact, change: Callable[[str], str]) -> Fact:
    match fact:
        case Said():
            return fact.with_texts(change)
        case Numeral():
            return fact
        case str():
            return change(fact)
        case _:
            return fact


def _packed(fact: Fact) -> Any:
    match fact:
        case Said():
            return fact.packed()
        case Numeral():
            return {"number": str(fact)}
        case _:
            return fact


def _unpacked(fact: Any) -> Fact:
    if isinstance(fact, Mapping):
        return Numeral(fact["number"]) if "number" in fact else unpacked(fact)
    if not isinstance(fact, str | int | float):
        raise TypeError(f"{type(fact).__name__} is no fact")
    return fact
