"""A clock that several processes shift together."""

from datetime import timedelta

import pytest

from esm.clock import offset_clock
from voke_sim.clock import default_clock


def test_the_offset_is_read_anew_at_every_look(tmp_path):
    file = tmp_path / "offset"
    file.write_text("0")
    clock = offset_clock(file)
    before = clock()

    file.write_text("600")

    assert timedelta(seconds=600) <= clock() - before < timedelta(seconds=630)


def test_an_unreadable_offset_is_found_at_the_start(tmp_path):
    file = tmp_path / "offset"
    file.write_text("an hour")

    with pytest.raises(ValueError, match="an hour"):
        offset_clock(file)


def test_the_stand_in_follows_the_same_file(tmp_path, monkeypatch):
    file = tmp_path / "offset"
    file.write_text("-60")
    monkeypatch.setenv("CLOCK_OFFSET_FILE", str(file))

    difference = offset_clock(file)() - default_clock()()

    assert abs(difference) < timedelta(seconds=5)
