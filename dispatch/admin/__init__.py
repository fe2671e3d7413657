"""The admin pages of this room, and those of plants, connections and organisations as this room completes them."""

from dispatch.admin import commands, connections, orders, organisations, plants, site, wire

__all__ = ["commands", "connections", "orders", "organisations", "plants", "site", "wire"]
