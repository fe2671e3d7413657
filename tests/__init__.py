"""Tests mirror the rooms; every folder below is a package, so that `tests/vcp` never shadows `vcp`."""
