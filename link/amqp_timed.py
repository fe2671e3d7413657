"""py-amqp's connection with one deadline for every wait, frames that are read ahead, and an end that is one."""

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import amqp

from link.amqp_deliveries import Take
from link.amqp_frames import MAX_FRAME_BYTES, BoundedTransport

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER for no seconds


class TimedConnection(amqp.Connection):  # type: ignore[misc]  # py-amqp has no types
    """py-amqp's connection whose waits all end at `give_up_at` (monotonic seconds)."""

    give_up_at: float = 0.0
    places: Sequence[str] = ()
    """The host's addresses, in the order in which to try them."""

    def __init__(self, **options: Any) -> None:
        self.takers: dict[tuple[int, bytes], Take] = {}
        super().__init__(**options)

    def Transport(
        self, host: str, connect_timeout: float, tls: Any, *timeouts: float | None, socket_settings: Any
    ) -> BoundedTransport:
        """Called by py-amqp: the socket, whose reads end at the same deadline."""
        read_timeout, write_timeout = timeouts
        return BoundedTransport(
            host,
            connect_timeout=connect_timeout,
            ssl=tls,
            read_timeout=read_timeout,
            write_timeout=write_timeout,
            socket_settings=socket_settings,
            give_up_at=lambda: self.give_up_at,
            places=self.places,
        )

    def _on_tune(self, channel_max: int, frame_max: int, *words: Any) -> None:
        """Agree to no larger frames than we read; the library would take whatever a broker proposes (0 = no limit)."""
        super()._on_tune(channel_max, min(frame_max or MAX_FRAME_BYTES, MAX_FRAME_BYTES), *words)

    def drain_events(self, timeout: float | None = None) -> None:
        """Read one frame, never past the deadline; TimeoutError without errno when none came."""
        left_s = self.give_up_at - monotonic()
        if left_s <= 0:
            raise TimeoutError("no answer in time")
        self.blocking_read(left_s if timeout is None else min(timeout, left_s))

    def blocking_read(self, timeout: float | None = None) -> bool:
        """Handle one frame, waiting for it so long; TimeoutError without errno when none came."""
        transport = self.transport
        if timeout is not None and not transport.has_frame() and transport.sock.gettimeout() != timeout:
            transport.sock.settimeout(timeout)
        return bool(self.on_inbound_frame(transport.read_frame()))

    def handle_ahead(self) -> None:
        """Handle the whole frames that were read from the socket already, until one of them ends the connection."""
        transport = self._transport
        while transport is not None and (frame := transport.next_frame()) is not None:
            self._on_inbound_frame(frame)
            transport = self._transport

    def has_frame(self) -> bool:
        """Whether `handle_ahead` would find one."""
        return bool(self.transport.has_frame())

    def collect(self) -> None:
        """End now; py-amqp calls it too, when the broker has closed the connection."""
        transport = self._transport
        if transport is not None and transport.sock is not None:
            sock, transport.sock = transport.sock, None
            sock.close()
        super().collect()

    def drop(self) -> None:
        """End now and for good: what the kernel has not sent yet is discarded, never sent late."""
        transport = self._transport
        if transport is not None and transport.sock is not None:
            with suppress(
                OSError
            ):  # some systems refuse it once the peer is gone, when nothing is left to discard
                transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.collect()
