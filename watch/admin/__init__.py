"""The admin pages of this room."""

from watch.admin import channels, notifications, ticks

__all__ = ["channels", "notifications", "ticks"]
