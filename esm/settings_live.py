"""Settings of live data on screens; `esm.settings` takes them over."""

from esm.env import Env

_env = Env()

# Where announcements go; "" = they stay in this process, which is the only one.
LIVE_REDIS_URL = (
    "" if _env.choice("ESM_MODE", "full", ("embedded", "full")) == "embedded" else _env.text("REDIS_URL")
)
# Open streams of one web process, and of one person in it (a browser has one, however many tabs).
LIVE_STREAMS_MAX = _env.integer("LIVE_STREAMS_MAX", 500, low=1, high=20_000)
LIVE_STREAMS_PER_PERSON = _env.integer("LIVE_STREAMS_PER_PERSON", 12, low=1, high=1_000)
# A stream ends after about this long, and whoever comes back is let in anew.
LIVE_STREAM_MAX_AGE_S = _env.integer("LIVE_STREAM_MAX_AGE_S", 600, low=10, high=3_600)
