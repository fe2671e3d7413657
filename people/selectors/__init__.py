"""Reads what concerns people."""
