"""The axis of the day's pulls."""

from datetime import timedelta

from console.reverse.lanes import picture
from tests.factories import AT


def test_a_mark_at_an_edge_does_not_reach_over_it():
    full = picture([], at=AT.replace(hour=12, minute=0), zone="UTC").hours
    later = picture([], at=AT.replace(hour=12, minute=0) + timedelta(minutes=59), zone="UTC").hours

    assert [one.anchor for one in full] == ["middle"] * 7 + ["end"]
    assert [one.anchor for one in later] == ["middle"] * 8
