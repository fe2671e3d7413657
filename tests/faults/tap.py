"""The tap: a queue of Voke's own beside the stand-in's, bound to everything, that the platform knows nothing of.

Arrival times: a marker with the shared clock's time goes into the queue ten times a second. A message stands behind the
markers that came before it, so the last of them is a lower bound of its arrival however late the tap reads, and
whatever happened to its connection; the time of reading is the upper bound.
"""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pika
import pika.exceptions

from esm import clock
from tests.faults.evidence import Arrival
from tests.services.partner import EXCHANGE, Partner
from tests.services.rabbit import RabbitServer

QUEUE = "voke.tap"
_MARK_EVERY_S = 0.1
_RECONNECT_S = 0.2
_EVENTS_KEPT = 400
_TROUBLE = (pika.exceptions.AMQPError, OSError)


@dataclass(frozen=True, kw_only=True)
class RecordedEvent:
    """An event of Voke's as the broker had it, to be delivered again."""

    vhost: str
    routing_key: str
    body: bytes
    message_id: str


class Tap:
    """Listens on one vhost until `close`; its queue outlives every connection and every restart of the broker."""

    def __init__(self, rabbit: RabbitServer, partner: Partner) -> None:
        self._rabbit = rabbit
        self._partner = partner
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._arrivals: list[Arrival] = []
        self._seen: set[str] = set()
        self._events: deque[RecordedEvent] = deque(maxlen=_EVENTS_KEPT)
        self._not_before = datetime.min.replace(tzinfo=UTC)
        self._backlog = 0
        self._threads = [
            threading.Thread(target=self._again_and_again, args=(work,), name=work.__name__, daemon=True)
            for work in (self._listen, self._mark)
        ]

    @property
    def partner(self) -> Partner:
        """Whose vhost it listens on."""
        return self._partner

    def open(self) -> None:
        """Declare the queue and begin."""
        with self._rabbit.voke_connection(self._partner) as connection:
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True)
            channel.queue_bind(QUEUE, EXCHANGE, "#")
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def arrivals(self) -> list[Arrival]:
        """Messages of ours so far, in the queue's order."""
        with self._lock:
            return list(self._arrivals)

    def has(self, message_id: str) -> bool:
        """Whether a message of ours arrived."""
        with self._lock:
            return message_id in self._seen

    def events(self) -> list[RecordedEvent]:
        """The last events of Voke's."""
        with self._lock:
            return list(self._events)

    def _again_and_again(self, work: Callable[[Any], None]) -> None:
        while not self._stop.is_set():
            try:
                with self._rabbit.voke_connection(self._partner) as connection:
                    work(connection)
            except _TROUBLE:  # the broker is being hit: that is what the run is about
                self._stop.wait(_RECONNECT_S)

    def _listen(self, connection: Any) -> None:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=200)
        # What waits already may be known: acknowledged to a broker that died before it wrote that down.
        self._backlog = channel.queue_declare(QUEUE, passive=True).method.message_count
        channel.basic_consume(QUEUE, self._take)
        while not self._stop.is_set():
            connection.process_data_events(time_limit=0.2)

    def _mark(self, connection: Any) -> None:
        channel = connection.channel()
        blocked = threading.Event()
        connection.add_on_connection_blocked_callback(lambda *_: blocked.set())
        connection.add_on_connection_unblocked_callback(lambda *_: blocked.clear())
        properties = pika.BasicProperties(type="marker")
        while not self._stop.wait(_MARK_EVERY_S):
            connection.process_data_events(time_limit=0)
            if not blocked.is_set():
                channel.basic_publish("", QUEUE, clock.now().isoformat().encode(), properties)

    def _take(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._backlog -= 1
        if properties.type == "marker":
            self._not_before = max(self._not_before, datetime.fromisoformat(body.decode()))
        else:
            self._note(method, body)
        channel.basic_ack(method.delivery_tag)

    def _note(self, method: Any, body: bytes) -> None:
        envelope = json.loads(body)
        message_id = str(envelope["messageId"])
        vhost = self._partner.vhost
        if method.routing_key.startswith(f"{self._partner.slug}.event."):
            event = RecordedEvent(
                vhost=vhost, routing_key=method.routing_key, body=body, message_id=message_id
            )
            with self._lock:
                self._events.append(event)
            return
        if message_id in self._seen and (method.redelivered or self._backlog >= 0):
            return  # not a second arrival, or not certainly one
        with self._lock:
            self._seen.add(message_id)
            self._arrivals.append(
                Arrival(
                    vhost=vhost,
                    place=len(self._arrivals),
                    message_id=message_id,
                    sha256=hashlib.sha256(body).hexdigest(),
                    routing_key=method.routing_key,
                    site_id=str(envelope["siteId"]),
                    redelivered=bool(method.redelivered),
                    not_before=self._not_before,
                    by=clock.now(),
                )
            )
