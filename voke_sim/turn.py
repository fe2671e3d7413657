"""One tick's companions: the instant, and what the rules may consult and speak through."""

from dataclasses import dataclass
from datetime import datetime

from voke_sim.config import SimConfig
from voke_sim.faults import FaultBoard
from voke_sim.voice import Voice


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Passed down from the engine; nothing below it reads a clock or keeps a reference."""

    at: datetime
    config: SimConfig
    faults: FaultBoard
    voice: Voice
