"""Live data for screens: `announce` tells what changed after the commit; `live.feed` is where it goes."""

from live.announcing import announce, announce_many
from live.events import Announcement, Topic

__all__ = ["Announcement", "Topic", "announce", "announce_many"]
