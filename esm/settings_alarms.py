"""Settings of the alarm inbox; `esm.settings` takes them over."""

from esm.env import Env

# The same problem raised again within so many minutes after it ended is the same row of the inbox.
ALARM_FLAP_MIN = Env().integer("ALARM_FLAP_MIN", 60, low=1, high=10_080)
