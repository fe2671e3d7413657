"""Conformance of `vcp`: vectors, round trips, fuzz, one pass and one refusal per rule. Runs without
Django."""
