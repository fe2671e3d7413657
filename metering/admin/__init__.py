"""The admin pages of this room."""

from metering.admin import gaps

__all__ = ["gaps"]
