"""The admin pages of this room."""

from trading_api.admin import credentials, journal, updates

__all__ = ["credentials", "journal", "updates"]
