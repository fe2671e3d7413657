"""The admin pages of this room. Plants, connections and organisations are registered by `dispatch.admin`,
which completes them.
"""

from plants.admin import alarms, inbox, tenancy

__all__ = ["alarms", "inbox", "tenancy"]
