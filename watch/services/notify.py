"""One turn of telling people: what changed becomes messages, and those that may go are sent."""

from datetime import datetime

from watch.services.sending import SendOptions, send_due
from watch.services.telling import tell

BUDGET_S = 8.0
"""After this long no further message is begun: a tick must come to its end before it counts as overdue."""


def notify(*, at: datetime, product: str, options: SendOptions, budget_s: float = BUDGET_S) -> int:
    """Answers how many messages were tried."""
    tell(at=at, product=product)
    return send_due(at=at, options=options, budget_s=budget_s)
