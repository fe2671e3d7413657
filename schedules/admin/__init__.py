"""The admin pages of this room."""

from schedules.admin import overrides, plans

__all__ = ["overrides", "plans"]
