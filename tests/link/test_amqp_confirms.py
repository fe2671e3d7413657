"""The bookkeeping of a window: which word of the broker settles which message."""

import pytest

from link.amqp_confirms import Window
from link.amqp_consumer import acknowledgements
from link.broker import Fate, Outgoing


def _window(count: int) -> Window:
    window = Window(
        [
            Outgoing(
                outbound_id=number,
                routing_key="acme.command.mode",
                message_id=f"m{number}",
                correlation_id="",
                body=b"{}",
                not_after=None,
            )
            for number in range(count)
        ]
    )
    for tag, entry in enumerate(window.undecided(), start=1):
        window.handed_over(entry, tag)
    return window


def _fates(window: Window) -> list[Fate]:
    return [one.fate for one in window.results()]


def test_one_ack_may_settle_all_tags_up_to_its_own() -> None:
    window = _window(4)

    window.settle(3, multiple=True, fate=Fate.CONFIRMED)

    assert _fates(window) == [Fate.CONFIRMED, Fate.CONFIRMED, Fate.CONFIRMED, Fate.UNKNOWN]
    assert window.unconfirmed == 1


def test_an_ack_of_one_tag_settles_no_other() -> None:
    window = _window(3)

    window.settle(2, multiple=False, fate=Fate.CONFIRMED)

    assert _fates(window) == [Fate.UNKNOWN, Fate.CONFIRMED, Fate.UNKNOWN]


def test_a_nack_may_settle_several_too_but_none_that_is_already_settled() -> None:
    window = _window(3)
    window.settle(1, multiple=False, fate=Fate.CONFIRMED)

    window.settle(3, multiple=True, fate=Fate.NACKED)

    assert _fates(window) == [Fate.CONFIRMED, Fate.NACKED, Fate.NACKED]


def test_a_returned_message_stays_returned_although_it_is_acked() -> None:
    window = _window(2)

    window.returned("m0", "312 NO_ROUTE")
    window.settle(2, multiple=True, fate=Fate.CONFIRMED)

    assert _fates(window) == [Fate.RETURNED, Fate.CONFIRMED]
    assert window.unconfirmed == 0


def test_words_about_unknown_tags_and_messages_are_ignored() -> None:
    window = _window(1)

    window.settle(99, multiple=False, fate=Fate.CONFIRMED)
    window.returned("somebody else's", "312 NO_ROUTE")

    assert _fates(window) == [Fate.UNKNOWN]


def test_a_return_does_not_concern_a_message_that_was_never_handed_over() -> None:
    window = Window(
        [
            Outgoing(
                outbound_id=1,
                routing_key="k",
                message_id="m0",
                correlation_id="",
                body=b"",
                not_after=None,
            )
        ]
    )

    window.returned("m0", "312 NO_ROUTE")

    assert _fates(window) == [Fate.NOT_SENT]


def test_after_the_channel_was_reopened_only_undecided_messages_are_left() -> None:
    window = _window(3)
    window.settle(1, multiple=False, fate=Fate.CONFIRMED)
    window.returned("m1", "312 NO_ROUTE")

    window.forget_tags()

    assert [entry.message.message_id for entry in window.undecided()] == ["m2"]
    assert window.unconfirmed == 0


def test_a_message_once_handed_over_is_never_called_too_late() -> None:
    window = _window(1)
    (entry,) = window.undecided()

    entry.too_late()

    assert _fates(window) == [Fate.UNKNOWN]


@pytest.mark.parametrize(
    ("open_numbers", "settled", "expected"),
    [
        ([1, 2, 3], {1, 2, 3}, [(3, True)]),
        ([1, 2, 3], {1, 2}, [(2, True)]),
        ([1, 2, 3], {1}, [(1, False)]),
        ([1, 2, 3], {2, 3}, [(2, False), (3, False)]),
        ([2, 5, 9], {2, 5}, [(5, True)]),
        ([1, 2, 3, 4], {1, 2, 4}, [(2, True), (4, False)]),
        ([1, 2, 3], set(), []),
    ],
)
def test_one_acknowledgement_never_covers_a_delivery_that_is_still_open(
    open_numbers: list[int], settled: set[int], expected: list[tuple[int, bool]]
) -> None:
    assert acknowledgements(open_numbers, settled) == expected
