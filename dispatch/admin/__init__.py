"""The admin pages of this room, and those of plants and connections as this room completes them."""

from dispatch.admin import commands, connections, orders, plants, site, wire

__all__ = ["commands", "connections", "orders", "plants", "site", "wire"]
