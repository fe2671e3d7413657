"""The admin pages of this room. Plants and connections are registered by `dispatch.admin`, which completes them."""

from plants.admin import alarms, inbox, tenancy

__all__ = ["alarms", "inbox", "tenancy"]
