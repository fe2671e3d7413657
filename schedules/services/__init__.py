"""Writes day plans, what carries them out, and overrides."""
