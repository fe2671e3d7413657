"""The admin pages of this room, and that of plants as this room completes it."""

from schedules.admin import overrides, plans, plants

__all__ = ["overrides", "plans", "plants"]
