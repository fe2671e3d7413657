"""The transport over AMQP 0-9-1 with TLS: pika, one connection, one thread of its own.

pika's connection belongs to one thread. The engine's calls therefore become requests to that thread; it
takes messages in and publishes with publisher confirms. Certificate and host name are always verified. A
lost connection is made again after a jittered pause that doubles up to a bound; that goes on until `close`,
because a stand-in without its broker has nothing else to do.
"""

import random
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pika  # type: ignore[import-untyped]
import pika.exceptions  # type: ignore[import-untyped]
import structlog

from vcp import EXCHANGE, AmqpsAddress, QueueNames, bindings
from voke_sim.config import TransportConfig
from voke_sim.transport.memory import bindings_to_voke, dead_letter_queue, full_queue
from voke_sim.transport.port import Inbound, Intake, Outbound, Sent

_log = structlog.get_logger("voke_sim.amqp")

_IDLE_S = 1.0
_CLOSE_TIMEOUT_S = 10.0
_MAX_REQUESTS = 1_000
_PERSISTENT = 2
_MAX_SHORT_STRING = 255


class ConsumerLost(ConnectionError):
    """The broker cancelled a consumer (its queue was deleted): only a new session can help."""

    code = "CONSUMER_LOST"


class _Publication:
    """A batch on its way; whoever comes second, the broker's word or the deadline, finds the other
    one's mark.
    """

    def __init__(self, events: Sequence[Outbound]) -> None:
        self.events = events
        self.words: list[Sent] = []
        self.done = threading.Event()
        self.is_abandoned = False


class AmqpTransport:
    """`Transport` over pika.

    Edge cases:
    - Deliveries of a lost connection are forgotten here: the broker hands them out again. Settling one is
      skipped.
    - A batch whose confirms do not come in time is answered UNAVAILABLE for the rest; what was on the wire
      may still arrive, and is sent again as the same bytes.
    - A deleted queue cancels the consumer silently for the protocol; it counts as a lost connection.
    """

    def __init__(
        self,
        address: AmqpsAddress,
        names: QueueNames,
        routing_prefix: str,
        settings: TransportConfig,
        rng: random.Random,
    ) -> None:
        self._address = address
        self._names = names
        self._routing_prefix = routing_prefix
        self._settings = settings
        self._rng = rng
        self._changed = threading.Condition()
        self._inbound: deque[Inbound] = deque()
        self._requests: deque[Callable[[Any], None]] = deque()
        self._wanted = self._intake = Intake.OPEN
        self._session = 0
        self._connection: Any = None
        self._is_connected = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="voke-sim-amqp", daemon=True)

    # The engine's side ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect in the background."""
        self._thread.start()

    def close(self) -> None:
        """Disconnect and wait for the thread to end."""
        self._stop.set()
        self._wake()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_TIMEOUT_S)

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    def receive(self, max_messages: int, timeout_s: float) -> list[Inbound]:
        """Deliveries that arrived since the last call."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbound or self._stop.is_set(), timeout_s)
            return [self._inbound.popleft() for _ in range(min(max_messages, len(self._inbound)))]

    def settle(self, *, done: Sequence[Inbound], refused: Sequence[Inbound]) -> None:
        """Ask the connection's thread to acknowledge and reject."""
        if done or refused:
            self._request(partial(self._settle_now, tuple(done), tuple(refused)))

    def publish(self, events: Sequence[Outbound]) -> list[Sent]:
        """Publish through the connection's thread and wait for all confirms, or until the deadline."""
        publication = _Publication(events)
        if not self._is_connected or not self._request(partial(self._publish_now, publication)):
            return [Sent.UNAVAILABLE] * len(events)
        if not publication.done.wait(self._settings.confirm_timeout_s):
            publication.is_abandoned = True
            _log.warning("publish timed out", action="publish", events=len(events))
        words = list(publication.words)
        return words + [Sent.UNAVAILABLE] * (len(events) - len(words))

    @property
    def intake(self) -> Intake:
        """What the broker confirmed last; bindings outlive a connection."""
        return self._intake

    def set_intake(self, intake: Intake) -> bool:
        """Ask the connection's thread to change the bindings; what is lost with a connection is asked of the next."""
        if not self._request(partial(self._set_intake_now, intake)):
            return False
        self._wanted = intake
        return True

    def _request(self, request: Callable[[Any], None]) -> bool:
        with self._changed:
            if not self._is_connected or len(self._requests) >= _MAX_REQUESTS:
                return False
            self._requests.append(request)
        self._wake()
        return True

    def _wake(self) -> None:
        """End the thread's wait for network events. A connection that closes meanwhile needs no waking."""
        connection = self._connection
        if connection is not None and connection.is_open:
            try:
                connection.add_callback_threadsafe(_nothing)
            except pika.exceptions.ConnectionWrongStateError:
                _log.debug("connection closed while waking it", action="wake")

    # The connection's thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        pause_s = self._settings.reconnect_min_s
        while not self._stop.is_set():
            before = self._session
            try:
                self._serve_session()
            except (pika.exceptions.AMQPError, OSError) as error:
                # pika's texts hold replies of the broker, never credentials
                _log.warning(
                    "session ended", action="session", error=type(error).__name__, reason=str(error)[:200]
                )
            finally:
                self._forget_session()
            if self._session != before:
                pause_s = self._settings.reconnect_min_s
            self._stop.wait(pause_s * self._rng.uniform(0.5, 1.0))
            pause_s = min(self._settings.reconnect_max_s, pause_s * 2)

    def _serve_session(self) -> None:
        """Connect, consume, and work off requests until told to stop or the connection is lost."""
        self._connection = pika.BlockingConnection(self._parameters())
        channel = self._connection.channel()
        channel.confirm_delivery()
        if self._settings.declare_topology:
            self._declare(channel)
            self._intake = Intake.OPEN
        if self._wanted is not self._intake:
            self._set_intake_now(self._wanted, channel)
        channel.basic_qos(prefetch_count=self._settings.prefetch)
        lost: list[str] = []
        channel.add_on_cancel_callback(lambda frame: lost.append(str(frame.method.consumer_tag)))
        self._session += 1
        for queue in self._names.to_voke:
            channel.basic_consume(queue, partial(self._take, self._session))
        with self._changed:
            self._is_connected = True
        while not self._stop.is_set():
            self._connection.process_data_events(time_limit=_IDLE_S)
            if lost:
                raise ConsumerLost("the broker cancelled a consumer")
            self._work_off(channel)
        self._work_off(channel)  # what was asked for before the end: acknowledgements, bindings

    def _work_off(self, channel: Any) -> None:
        while self._requests:
            self._requests.popleft()(channel)

    def _parameters(self) -> Any:
        context = ssl.create_default_context(cafile=self._settings.ca_file)
        address, timeout_s = self._address, self._settings.connect_timeout_s
        return pika.ConnectionParameters(
            host=address.host,
            port=address.port,
            virtual_host=address.vhost,
            credentials=pika.PlainCredentials(address.username, address.password),
            heartbeat=self._settings.heartbeat_s,
            blocked_connection_timeout=self._settings.confirm_timeout_s,
            socket_timeout=timeout_s,
            stack_timeout=timeout_s,
            connection_attempts=1,
            ssl_options=pika.SSLOptions(context, address.host),
        )

    def _declare(self, channel: Any) -> None:
        dead = dead_letter_queue(self._names)
        channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        channel.queue_declare(dead, durable=True)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
        for queue in (*self._names.to_voke, *self._names.to_partner):
            channel.queue_declare(queue, durable=True, arguments=arguments)
        for queue, key in bindings(self._names, self._routing_prefix):
            channel.queue_bind(queue, EXCHANGE, key)

    def _take(self, session: int, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        inbound = Inbound(
            routing_key=method.routing_key,
            body=body,
            redelivered=method.redelivered,
            handle=(session, method.delivery_tag),
        )
        with self._changed:
            self._inbound.append(inbound)
            self._changed.notify_all()

    def _settle_now(self, done: Sequence[Inbound], refused: Sequence[Inbound], channel: Any) -> None:
        for inbound in done:
            session, tag = _handle(inbound)
            if session == self._session:
                channel.basic_ack(tag)
        for inbound in refused:
            session, tag = _handle(inbound)
            if session == self._session:
                channel.basic_reject(tag, requeue=False)

    def _publish_now(self, publication: _Publication, channel: Any) -> None:
        for event in publication.events:
            if publication.is_abandoned:
                break
            publication.words.append(_publish_one(channel, event))
        publication.done.set()

    def _set_intake_now(self, intake: Intake, channel: Any) -> None:
        full = full_queue(self._names)
        channel.queue_delete(full)
        if intake is Intake.FULL:
            arguments = {"x-max-length": 0, "x-overflow": "reject-publish"}
            channel.queue_declare(full, durable=True, arguments=arguments)
        for queue, key in bindings_to_voke(self._names, self._routing_prefix):
            if intake is Intake.OPEN:
                channel.queue_bind(queue, EXCHANGE, key)
                continue
            channel.queue_unbind(queue, EXCHANGE, key)
            if intake is Intake.FULL:
                channel.queue_bind(full, EXCHANGE, key)
        self._intake = intake

    def _forget_session(self) -> None:
        """What belonged to the lost connection is void; waiting publishers run into their deadline at
        once.
        """
        with self._changed:
            self._is_connected = False
            self._inbound.clear()
            requests, self._requests = self._requests, deque()
        for request in requests:
            if isinstance(request, partial) and request.args and isinstance(request.args[0], _Publication):
                request.args[0].done.set()
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            try:
                connection.close()
            except (pika.exceptions.AMQPError, OSError) as error:
                _log.debug("connection did not close cleanly", action="session", error=type(error).__name__)


def _publish_one(channel: Any, event: Outbound) -> Sent:
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=_PERSISTENT,
        message_id=event.message_id,
        correlation_id=_short_string(event.correlation_id),
    )
    try:
        channel.basic_publish(EXCHANGE, event.routing_key, event.body, properties, mandatory=True)
    except pika.exceptions.UnroutableError:
        return Sent.RETURNED
    except pika.exceptions.NackError:
        return Sent.NACKED
    return Sent.CONFIRMED


def _short_string(text: str | None) -> str | None:
    """The text where AMQP can carry it as a property (255 bytes); receivers read the body's field anyway."""
    return text if text is not None and len(text.encode()) <= _MAX_SHORT_STRING else None


def _handle(inbound: Inbound) -> tuple[int, int]:
    if not isinstance(inbound.handle, tuple):
        raise TypeError("a delivery of another transport")
    session, tag = inbound.handle
    return session, tag


def _nothing() -> None:
    """Wakes the thread."""
