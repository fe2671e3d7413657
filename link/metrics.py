"""What relay and consumer count of themselves, for Prometheus; `esm.metrics` shows it.

Labels are bounded: connections, families of the protocol, fates and codes of ours. Never a plant, a message or a text
of the far side. The state of links and queues is not here: the database tells it, whichever process is asked
(`watch.metrics`).
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

from link.applying import Report
from link.broker import Sent
from plants.models import Connection
from vcp import Family

_CONNECTION = ("connection", "connection_id")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DELAYS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)


class BulkHistogram(Histogram):
    """A histogram that takes a batch of amounts at once: one by one they cost more than storing a message's rows."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """As `observe` for each of them."""
        self._sum.inc(sum(amounts))
        for place, count in Tally(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
            self._buckets[place].inc(count)


PUBLISHED = Counter(
    "esm_link_published_messages_total",
    "Messages handed to the broker, by what became of them (CONFIRMED, RETURNED, REFUSED, NACKED, UNKNOWN, TOO_LATE,"
    " NOT_SENT); one that is sent again counts again.",
    (*_CONNECTION, "fate"),
)
PUBLISH_SECONDS = Histogram(
    "esm_link_publish_seconds",
    "From handing a window of messages to the broker until its last confirm.",
    _CONNECTION,
    buckets=_SECONDS,
)
WINDOW = Histogram(
    "esm_link_publish_window_messages", "Messages in a published window.", _CONNECTION, buckets=_SIZES
)
DELIVERED = Counter(
    "esm_link_delivered_messages_total",
    "Deliveries that were understood, by family; repeated ones too.",
    (*_CONNECTION, "family"),
)
DUPLICATES = Counter("esm_link_duplicates_total", "Events that were known already.", _CONNECTION)
DEAD_LETTERS = Counter(
    "esm_link_dead_letters_total", "Deliveries that could not be understood or applied.", _CONNECTION
)
STORE_SECONDS = Histogram(
    "esm_link_store_seconds",
    "From taking a batch of deliveries until it is committed.",
    _CONNECTION,
    buckets=_SECONDS,
)
UNSTORED_SECONDS = Gauge(
    "esm_link_unstored_oldest_age_seconds",
    "For how long the oldest message is taken from the broker and not stored; 0 = there is none. Grows while the"
    " database is slow or away, whether or not it can tell so itself.",
    _CONNECTION,
)
UNSTORED = Gauge("esm_link_unstored_messages", "Messages that are taken and not stored.", _CONNECTION)
BATCH = Histogram("esm_link_batch_messages", "Deliveries in a stored batch.", _CONNECTION, buckets=_SIZES)
EVENT_DELAY_SECONDS = BulkHistogram(
    "esm_link_event_delay_seconds",
    "From the timestamp in an event's envelope (Voke's clock) until its row is committed (ours).",
    (*_CONNECTION, "family"),
    buckets=_DELAYS,
)
FAILURES = Counter(
    "esm_link_failures_total",
    "Broken links by half (PUBLISH, CONSUME) and stable code.",
    (*_CONNECTION, "role", "code"),
)


def published(connection: Connection, sent: list[Sent], *, took_s: float) -> None:
    """A window of messages was handed over and answered, or given up."""
    where = _of(connection)
    for fate, count in Tally(one.fate for one in sent).items():
        PUBLISHED.labels(*where, fate.value).inc(count)
    PUBLISH_SECONDS.labels(*where).observe(took_s)
    WINDOW.labels(*where).observe(len(sent))


def stored(connection: Connection, report: Report, *, at: datetime, took_s: float) -> None:
    """A batch was committed at `at`."""
    where = _of(connection)
    DUPLICATES.labels(*where).inc(report.duplicates)
    DEAD_LETTERS.labels(*where).inc(report.dead_letters)
    STORE_SECONDS.labels(*where).observe(took_s)
    BATCH.labels(*where).observe(report.received)
    sent_at: defaultdict[Family | None, list[datetime]] = defaultdict(list)
    for one in report.understood:
        # Families are a closed set; what is not in it came in the far side's words.
        sent_at[one.family if isinstance(one.family, Family) else None].append(one.sent_at)
    for known, moments in sent_at.items():
        family = "unknown" if known is None else known.value
        DELIVERED.labels(*where, family).inc(len(moments))
        delays_s = [max(0.0, (at - moment).total_seconds()) for moment in moments]
        EVENT_DELAY_SECONDS.labels(*where, family).observe_all(delays_s)


def watch_unstored(connection: Connection, *, age_s: Callable[[], float], count: Callable[[], float]) -> None:
    """Ask a consumer, at each scrape, what it holds; a later one of the same connection takes its place."""
    where = _of(connection)
    UNSTORED_SECONDS.labels(*where).set_function(age_s)
    UNSTORED.labels(*where).set_function(count)


def broken(connection: Connection, *, role: str, code: str) -> None:
    """A link broke, or could not be opened."""
    FAILURES.labels(*_of(connection), role, code).inc()


def _of(connection: Connection) -> tuple[str, str]:
    return connection.name, str(connection.pk)
