"""What a web process counts of its streams of live data, for Prometheus; `esm.metrics` shows it."""

from typing import Final

from prometheus_client import Counter, Gauge

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
