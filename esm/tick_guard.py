"""The guard of the ticks, with this installation's table of them and its settings; for relay and consumer."""

from django.conf import settings

from esm import clock
from esm.ticks import PERIODS
from watch.guard import TickGuard
from watch.limits import current_limits
from watch.services.sending import current_send_options


def tick_guard() -> TickGuard:
    """A guard that begins to look now."""
    return TickGuard(
        periods=PERIODS,
        clock=clock.now,
        limits=current_limits(),
        options=current_send_options(),
        product=settings.PRODUCT_NAME,
    )
