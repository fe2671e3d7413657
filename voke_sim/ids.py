"""Ids of the stand-in for runs that must repeat byte for byte; else it takes `simulator.fresh_id`."""

import random
import uuid

from voke_sim.voice import IdSource


def seeded_ids(seed: int) -> IdSource:
    """UUIDv4 texts that follow from the seed. A stand-in that is started anew must go on with the same source."""
    rng = random.Random(f"voke/{seed}")  # noqa: S311 - ids, not secrets
    return lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4))
