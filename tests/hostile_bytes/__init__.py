"""Bytes and texts that nobody well-meaning sends: each door takes them or answers by a stable error."""
