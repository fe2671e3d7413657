"""The admin pages of this room."""

from metering.admin import gaps, holds, periods, register_events

__all__ = ["gaps", "holds", "periods", "register_events"]
