"""Writes: each function is one step, in one transaction where it says so."""
