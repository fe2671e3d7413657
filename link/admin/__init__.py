"""The admin pages of this room."""

from link.admin import dead_letters

__all__ = ["dead_letters"]
