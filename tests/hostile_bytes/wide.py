"""How many examples a property test makes: few and the same in every run, or many and new ones on request.

HOSTILE_EXAMPLES=50 python -m pytest tests/hostile_bytes      # 50 times as many, drawn anew each time
    HOSTILE_SHRINK=yes  ...                                        # a failing example is made small first
"""

import os

from hypothesis import HealthCheck, Phase, settings

SHRINK = os.environ.get("HOSTILE_SHRINK") == "yes"
FACTOR = int(os.environ.get("HOSTILE_EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Settings of a property test with `count` examples in an ordinary run."""
    return settings(
        max_examples=count * FACTOR,
        derandomize=FACTOR == 1,
        deadline=None,
        database=None,
        # To shrink an example that writes to a database takes minutes: it is shown as found, unless asked for.
        phases=[phase for phase in Phase if SHRINK or phase not in (Phase.shrink, Phase.explain)],
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
