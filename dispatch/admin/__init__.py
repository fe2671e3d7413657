"""The admin pages of this room, and those of plants and connections as this room completes them."""

from dispatch.admin import commands, connections, plants, site, wire

__all__ = ["commands", "connections", "plants", "site", "wire"]
