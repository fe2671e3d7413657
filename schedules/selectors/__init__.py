"""Reads day plans, their versions and what became of them."""
