"""What a process counts of its announcements, and a web process of its streams, for Prometheus.

`esm.metrics` shows it.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from live import feed
from live.counts import ANNOUNCEMENTS

OPEN = Gauge("esm_streams_open", "Streams of live data that are open in this process.")
FRAMES = Counter(
    "esm_stream_frames_total",
    "Frames that streams were given, by kind (hello, live, resync, away, back, beat, end). Each `resync` is a screen"
    " that has to read its page again.",
    ("frame",),
)
REFUSED = Counter(
    "esm_streams_refused_total",
    "Streams that were refused: too many of this person, too many in all (full), or the server stops (closing).",
    ("reason",),
)
ENDED = Counter(
    "esm_streams_ended_total",
    "Streams that ended, by why: the reader left or was cut, its age, signed_out, closing.",
    ("why",),
)
FRAME_NAMES: Final = ("hello", "live", "resync", "away", "back", "beat", "end")
OF_FRAME: Final = {name: FRAMES.labels(name) for name in FRAME_NAMES}
for _reason in ("person", "full", "closing"):
    REFUSED.labels(_reason)


class _Live(Collector):
    """What `live` knows of itself, read at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Announcements; of the log only where streams are served from it."""
        told = CounterMetricFamily(
            "esm_live_announcements",
            "What this process told screens after its commits, by what became of it: written, replaced by a newer value"
            " before it was due, dropped (screens are told that they missed something).",
            labels=["outcome"],
        )
        for outcome, count in ANNOUNCEMENTS.all().items():
            told.add_metric([outcome.value], count)
        yield told
        if feed.FOLLOWED.is_set():
            yield GaugeMetricFamily(
                "esm_live_newest_entry_age_seconds",
                "Since this process last read an entry of the log that its streams are served from; since its start if"
                " there was none. Grows while nothing happens; while others write it tells of a reader that hangs.",
                value=feed.RING.newest_age_s,
            )
            yield GaugeMetricFamily(
                "esm_live_log_away",
                "1 while the log can't be read, and screens are told that news can't come at present.",
                value=float(feed.RING.away),
            )


REGISTRY.register(_Live())
