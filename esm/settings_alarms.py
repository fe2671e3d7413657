"""Settings of the alarm inbox; `esm.settings` takes them over."""

from esm.env import Env

# The same problem raised again within so many minutes after it ended is the same row of the inbox.
ALARM_FLAP_MIN = Env().integer("ALARM_FLAP_MIN", 60, low=1, high=10_080)
# Cases of the inbox with their history, and their alarms, stay so long after all of it was over.
ALARM_RETENTION_DAYS = Env().integer("ALARM_RETENTION_DAYS", 400, low=30, high=36_500)
