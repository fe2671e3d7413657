"""When the clock of an emptied queue begins and ends."""

import pytest

from bench.emptying import middle_rate


class Database:
    """One that counts so many rows of readings and meters at each look."""

    def __init__(self, *counts):
        self.left = list(counts)

    def execute(self, _query):
        return self

    def fetchone(self):
        return self.left.pop(0)


def test_the_clock_runs_from_what_was_held_at_the_start_until_what_is_held_is_the_rest():
    database = Database((400, 0), (900, 200), (1800, 0), (2500, 1000), (3000, 1000))

    rate = middle_rate(database, held=1000, count=4000)

    assert rate > 0
    assert database.left == [
        (3000, 1000)
    ]  # 2,500 and half of 1,000 rows of meters are 3,000 messages: enough


@pytest.mark.parametrize(
    ("held", "count", "looks"),
    [(1000, 2000, []), (1000, 4000, [(4000, 0), (4000, 0)])],
    ids=["most of them are held", "all were stored between two looks"],
)
def test_too_few_messages_are_no_measurement(held, count, looks):
    with pytest.raises(RuntimeError, match="too few messages"):
        middle_rate(Database(*looks), held=held, count=count)
