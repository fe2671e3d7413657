"""Topic patterns of AMQP 0-9-1: words parted by dots, `*` for exactly one word, `#` for zero or more
words.
"""

from collections.abc import Sequence


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether a queue bound with `pattern` takes a message with `routing_key`.

    `acme.command.#` takes `acme.command` as well as `acme.command.device.charge`; `acme.event.alarm.*` does
    not take the bare `acme.event.alarm`.
    """
    return _matches(pattern.split("."), routing_key.split("."))


def _matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Greedy match with one point of return: the last `#` seen, extended by a word at each failure.

    Linear in space and at worst pattern x words in time, so that `#.#.#.#` cannot explode as recursion would.
    """
    at_pattern = at_word = 0
    hash_at, resume_word = -1, 0
    while at_word < len(words):
        if at_pattern < len(pattern) and pattern[at_pattern] == "#":
            hash_at, resume_word = at_pattern, at_word
            at_pattern += 1
        elif at_pattern < len(pattern) and pattern[at_pattern] in ("*", words[at_word]):
            at_pattern += 1
            at_word += 1
        elif hash_at >= 0:
            resume_word += 1
            at_pattern, at_word = hash_at + 1, resume_word
        else:
            return False
    return all(word == "#" for word in pattern[at_pattern:])
