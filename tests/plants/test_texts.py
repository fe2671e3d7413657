"""Numbers out of addresses and forms: whatever somebody types there."""

import pytest

from plants.texts import number_of, numbers_of


@pytest.mark.parametrize(
    "text", ["", " 1", "-1", "+1", "1.0", "1e3", "0x1", "\u0661", "\u00b2", "9" * 19, "9" * 5000]
)
def test_what_no_column_of_ids_holds_is_no_number(text: str) -> None:
    assert number_of(text) is None


def test_a_number_is_read_up_to_its_most_digits() -> None:
    assert [number_of("0"), number_of("007"), number_of("9" * 18)] == [0, 7, 10**18 - 1]
    assert [number_of("1234567", most_digits=6), number_of("123456", most_digits=6)] == [None, 123456]


def test_the_numbers_among_texts_keep_their_order() -> None:
    assert numbers_of(["3", "", "x", "1", "3"]) == [3, 1, 3]
