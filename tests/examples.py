"""How many examples a random test over the database makes: few, the same in every run, or many new ones on request.

RANDOM_EXAMPLES=20 python -m pytest tests/metering      # 20 times as many, drawn anew each time

The run on SQLite, which proves that the statements are portable, makes a third: the rules were tried before.
"""

import os
from typing import Any

from hypothesis import HealthCheck, settings

from tests.settings import SQLITE

FACTOR = int(os.environ.get("RANDOM_EXAMPLES", "1"))


def examples(count: int, **more: Any) -> settings:
    """Settings of a random test with `count` examples in an ordinary run on PostgreSQL."""
    usual = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
    return settings(
        max_examples=-(-count * FACTOR // (3 if SQLITE else 1)),
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,
        **(usual | more),
    )
