"""Tests of the link; the shared contract's assertions are rewritten like those of a test module."""

import pytest

pytest.register_assert_rewrite("tests.link.port_contract", "tests.link.port_world")
