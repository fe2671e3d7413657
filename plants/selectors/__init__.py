"""The readers of this room's tables; every list is bounded."""
