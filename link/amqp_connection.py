"""One AMQPS connection that can neither hang nor hide its end: deadlines, heartbeats, errors in plain words.

Traps of py-amqp that this module closes:
- `drain_events(timeout)` starts its timeout anew after every heartbeat frame: a broker that only sends heartbeats would
  be waited for without end, also while waiting for a reply. Here every wait has one deadline.
- A read with timeout 0 in the middle of a frame spins; so reads happen only when bytes are there, with a real timeout.
- ETIMEDOUT (TCP gave up) is a `TimeoutError` too, and not the same as "nothing came yet": only the latter has no errno.
- Touching a connection after its end connects again, silently: a failed link is never touched again.
- It asks the resolver without a limit, and nothing can cut a thread that waits there: `link.names` asks, and is
  believed.
- Its TCP_USER_TIMEOUT of one second cuts a link that a single lost packet delays.
- A dropped socket would go on sending what the kernel holds, minutes later: it is reset instead. And it would wait for
  the peer's TLS goodbye, which a dead peer never says: that is left out.
"""

import errno
import select
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from amqp.exceptions import AMQPError

from link.amqp_deliveries import DeliveryReader, Take
from link.amqp_errors import ChannelClosed, channel_closed, connect_error, link_error
from link.amqp_timed import TimedConnection
from link.broker import LinkError, LinkTarget
from link.names import NameRefused, NameTimeout, NameUnknown, resolve
from vcp import AmqpsAddress, InvalidBundle, parse_amqps_uri
from vcp.said import said, told_by

CLOSE_S: Final = 1.0
"""How long an orderly close may take before the socket is reset."""

_FRAME_S: Final = 0.05  # for a frame whose first bytes are here

# py-amqp's parser lets its own errors through when a peer breaks the protocol (OverflowError: a time out of range).
LIBRARY_ERRORS: Final = (
    AMQPError, OSError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
    struct.error,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LinkTimes:
    """What a link waits for: heartbeat interval, each step of connecting, each reply and each write afterwards."""

    heartbeat_s: int
    connect_timeout_s: float
    answer_timeout_s: float


class AmqpsLink:
    """A connection with one channel, for one thread. After its first failure every use raises that failure."""

    def __init__(self, connection: TimedConnection, times: LinkTimes) -> None:
        self._connection = connection
        self._times = times
        self._failure: LinkError | None = None
        self._sock: ssl.SSLSocket = connection.sock
        self._poller = select.poll()  # select() cannot watch descriptors above 1023
        self._poller.register(self._sock, select.POLLIN)
        self._tick_every_s = min(connection.heartbeat / 4, 1.0)
        self._tick_at = monotonic() + self._tick_every_s
        self.blocked_reason: str | None = None
        connection.on_blocked = self._on_blocked
        connection.on_unblocked = self._on_unblocked
        self.channel: Any = None
        self.channel = self.call(connection.channel)
        # Otherwise a body with a content encoding arrives as text, no longer as the bytes on the wire.
        self.channel.auto_decode = False

    @property
    def blocked(self) -> bool:
        """Whether the broker takes nothing from publishers."""
        return self.blocked_reason is not None

    def require_open(self) -> None:
        """Raises the failure of a link that has failed or was closed."""
        if self._failure is not None:
            raise self._failure

    def fail(self, error: LinkError) -> LinkError:
        """Note the end of the link and drop it; answers the error to raise, which is the first one noted."""
        if self._failure is None:
            self._failure = error
            self._connection.drop()
        return self._failure

    def call(self, request: Callable[..., Any], *words: Any, **options: Any) -> Any:
        """A request to the broker and, where it has one, its reply, within a time limit.

        Raises `ChannelClosed` when the broker refuses it and closes the channel (which is then open again, empty),
        `LinkError` when the link broke.
        """
        self.require_open()
        self._give_up_in(self._times.answer_timeout_s)
        self.write_within(self._times.answer_timeout_s)
        try:
            return request(*words, **options)
        except LIBRARY_ERRORS as error:
            raise self._broken(error) from error

    def write_within(self, seconds: float) -> None:
        """How long the socket may refuse the next bytes before the link counts as broken."""
        self._connection.transport.write_within_s = max(seconds, 0.001)

    @property
    def frame_max(self) -> int:
        """The largest frame that the broker takes, in bytes."""
        return int(self._connection.frame_max)

    @property
    def channel_id(self) -> int:
        """The number of the channel in its frames."""
        return int(self.channel.channel_id)

    def write_frames(self, frames: bytes) -> None:
        """Write whole frames. Not `basic_publish`, which would read first and blame its message for what it reads."""
        self.require_open()
        try:
            self._connection.transport.write(frames)
        except LIBRARY_ERRORS as error:
            raise self.fail(link_error(error)) from error
        self._connection.bytes_sent += 1  # what the library's heartbeats look at: whether anything was sent

    def read_frame(self, until: float) -> bool:
        """Handle a frame, waiting for it until `until` (monotonic); False when none came. Keeps heartbeats going.

        With `until` in the past it handles a frame that is already here. What came in the same piece is handled too.
        Raises like `call`.
        """
        while True:
            self.require_open()
            now = monotonic()
            if now >= self._tick_at:
                if self.tick():  # it may have been what is waited for
                    return True
                now = monotonic()
            wait_s = min(until, self._tick_at) - now
            if until <= now:
                return self._readable() and self._read(_FRAME_S)
            if wait_s > 0 and self._read(wait_s):
                return True

    def read_available(self) -> bool:
        """Handle the frames that are already here, without waiting; whether there were any. Raises like `call`."""
        self.require_open()
        some = False
        while self._readable() and self._read(_FRAME_S):
            some = True
        return some

    def tick(self) -> bool:
        """Send a heartbeat when one is due; LinkError when the peer was silent for two intervals.

        What has arrived is handled first: heartbeats that wait unread in the socket do count. Answers whether any had.
        """
        some = self.read_available()
        self._tick_at = monotonic() + self._tick_every_s
        self.write_within(self._times.answer_timeout_s)
        try:
            self._connection.heartbeat_tick()
        except LIBRARY_ERRORS as error:
            raise self._broken(error) from error
        return some

    def close(self) -> None:
        """Close in order, within about a second; never raises."""
        if self._failure is not None:
            return
        self._failure = LinkError(said("the link is closed"))
        self._give_up_in(CLOSE_S)
        # An orderly end is a courtesy: the broker notices the reset that follows as well.
        with suppress(*LIBRARY_ERRORS):
            self.write_within(CLOSE_S)
            self._connection.close()
        self._connection.drop()

    def abort(self) -> None:
        """Cut the connection under its thread, from any other: what waits for the peer ends at once; never raises.

        Not by `fail`: only the thread that owns the link may touch the library's state. It then resets the socket, so
        that nothing of what the kernel still holds is sent.
        """
        # The plain socket's shutdown: the TLS one would take its state away from under a reader.
        with suppress(OSError):  # closed meanwhile
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def take_deliveries(self, consumer_tag: str, take: Take) -> None:
        """From now on the deliveries of a consumer on this link's channel go to `take`."""
        self._connection.takers[self.channel.channel_id, consumer_tag.encode()] = take

    def depth(self, queue: str) -> int | None:
        """How many messages wait in a queue that nobody was given; None when the broker does not tell us.

        Asked on a channel of its own: a refusal closes the channel that it is asked on. LinkError when the link broke.
        """
        try:
            channel = self.call(self._connection.channel)
        except ChannelClosed:
            return None
        try:
            count = int(self.call(channel.queue_declare, queue, passive=True).message_count)
        except ChannelClosed:
            count = None
        with suppress(ChannelClosed):
            self.call(channel.close)
        return count

    def _readable(self) -> bool:
        return bool(self._connection.has_frame() or self._sock.pending() or self._poller.poll(0))

    def _read(self, timeout_s: float) -> bool:
        """Read frames; False when none was complete in time (what was read of it is kept)."""
        # A channel that the broker closes is reopened within this read, and the broker's answer awaited.
        self._give_up_in(timeout_s + self._times.answer_timeout_s)
        try:
            self._connection.blocking_read(timeout_s)
            self._connection.handle_ahead()
        except TimeoutError as error:
            # A channel that is no longer open: not this read ran out of time, but the reopening within it.
            if error.errno is None and self.channel.is_open:
                return False
            raise self._broken(error) from error
        except LIBRARY_ERRORS as error:
            raise self._broken(error) from error
        return True

    def _broken(self, error: Exception) -> ChannelClosed | LinkError:
        """What an error of the library means: only the channel was closed, or the link is gone."""
        if self._connection.connected and self.channel is not None and self.channel.is_open:
            closed = channel_closed(error)
            if closed is not None:
                return closed
        return self.fail(link_error(error))

    def _give_up_in(self, seconds: float) -> None:
        self._connection.give_up_at = monotonic() + seconds

    def _on_blocked(self, reason: str) -> None:
        self.blocked_reason = str(reason) or "no reason given"

    def _on_unblocked(self) -> None:
        self.blocked_reason = None


def open_link(target: LinkTarget, *, role: str, ca_file: str | None, times: LinkTimes) -> AmqpsLink:
    """Connect as `target` says: TLS 1.2 or newer, certificate and host name verified; LinkError with its code.

    The broker's lists show `role` and the connection's name. Only PLAIN is offered as login, so that a broker with
    other mechanisms can't choose one without the key.
    """
    address = _address(target)
    _check_ca_file(ca_file)
    places = _places(address, within_s=times.connect_timeout_s)
    connection = TimedConnection(
        host=_host_and_port(address),
        userid=address.username,
        password=address.password,
        login_method="PLAIN",
        virtual_host=target.vhost,
        heartbeat=times.heartbeat_s,
        frame_handler=DeliveryReader,
        connect_timeout=times.connect_timeout_s,
        ssl={
            "ca_certs": ca_file,
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": address.host,
            "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
        },
        socket_settings=_socket_settings(times),
        client_properties={
            "product": "esm-partner-platform",
            "connection_name": f"{role} {target.name}"[:200],
        },
    )
    connection.places = places
    connection.give_up_at = monotonic() + times.connect_timeout_s
    try:
        connection.connect()
    except LIBRARY_ERRORS as error:
        connection.drop()
        raise connect_error(error) from error
    try:
        return AmqpsLink(connection, times)
    except ChannelClosed as error:
        connection.drop()
        raise LinkError(said("the broker opens no channel: %(error)s", error=told_by(error))) from error


def _address(target: LinkTarget) -> AmqpsAddress:
    try:
        return parse_amqps_uri(target.amqps_uri)
    except InvalidBundle as error:
        # Without its cause: a traceback must not show the address, which holds the key.
        raise LinkError(
            said("the stored AMQPS address can't be used: %(detail)s", detail=error.detail),
            code="BAD_ADDRESS",
            permanent=True,
        ) from None


def _host_and_port(address: AmqpsAddress) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def _places(address: AmqpsAddress, *, within_s: float) -> list[str]:
    """The host's addresses."""
    try:
        return resolve(address.host, address.port, timeout_s=within_s)
    except NameRefused as error:
        raise LinkError(told_by(error), code="ADDRESS_REFUSED", permanent=True) from error
    except NameTimeout as error:
        raise LinkError(said("the name server did not tell the host's address in time")) from error
    except NameUnknown as error:
        raise LinkError(said("the host's name does not resolve: %(error)s", error=told_by(error))) from error


def _socket_settings(times: LinkTimes) -> dict[int, int]:
    """Let TCP wait for its acknowledgements as long as heartbeats may stay away (where the system can)."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return {}
    return {socket.TCP_USER_TIMEOUT: 2000 * times.heartbeat_s}


def _check_ca_file(ca_file: str | None) -> None:
    """Read the authority's certificates before connecting, so that their fault isn't taken for the link's."""
    if ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        known = error.strerror if error.errno in (errno.ENOENT, errno.EACCES) else None
        raise LinkError(
            said("the CA file can't be used: %(reason)s", reason=known or said("it holds no certificates")),
            code="CA_FILE_UNUSABLE",
            permanent=True,
        ) from error
