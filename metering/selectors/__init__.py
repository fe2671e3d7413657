"""Reads: bounded, with pinned query counts."""
