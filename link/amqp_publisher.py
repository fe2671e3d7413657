"""The publishing side over AMQPS: pipelined publisher confirms, mandatory, one deadline for each window.

Edge cases:
- The broker closes the channel over one message (a forbidden key, a missing exchange): it does not say over which, and
  what was pipelined behind it is discarded. All unconfirmed messages are sent again, one by one and as the same bytes;
  the one in flight when the channel closes is the guilty one. What was written before it may have arrived twice.
- A link that goes silent: what was handed over is UNKNOWN at the deadline, and the connection is reset so that nothing
  of it leaves this machine later.
- A broker that blocks publishers (no memory, no disk): nothing is handed over; what already was may stay UNKNOWN, yet
  the link is kept, since a new connection would have to publish to be told the same.
- What the broker says is read while writing: a block must hold back the rest of the window, and returns, which carry
  whole messages, must not pile up at the broker.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Any

from link.amqp_confirms import Entry, Window
from link.amqp_connection import AmqpsLink
from link.amqp_encoding import publish_frames
from link.amqp_errors import ChannelClosed
from link.broker import Clock, Fate, LinkError, Outgoing, Sent
from vcp import EXCHANGE
from vcp.said import said

_CHUNK_BYTES = 16_384


class AmqpsPublisher:
    """Publishes windows over one link; not thread-safe. `publish` takes about `confirm_timeout_s` at most."""

    def __init__(self, link: AmqpsLink, *, clock: Clock, confirm_timeout_s: float) -> None:
        self._link = link
        self._clock = clock
        self._confirm_timeout_s = confirm_timeout_s
        self._tag = 0
        self._window = Window([])
        self._limit_s = confirm_timeout_s
        self._deadline = 0.0
        events = link.channel.events
        events["basic_ack"].add(self._on_ack)
        events["basic_nack"].add(self._on_nack)
        events["basic_return"].add(self._on_return)
        self._select_confirms()

    @property
    def blocked(self) -> str | None:
        """The broker's reason for taking nothing from publishers; None = it takes."""
        return self._link.blocked_reason

    def publish(self, window: Sequence[Outgoing], *, within_s: float | None = None) -> list[Sent]:
        """One `Sent` per message, in order. LinkError when the link was broken or closed before this call."""
        self._link.require_open()
        book = self._window = Window(window)
        self._limit_s = (
            self._confirm_timeout_s if within_s is None else min(within_s, self._confirm_timeout_s)
        )
        self._deadline = monotonic() + self._limit_s
        reason = "the broker blocks publishers"
        try:
            try:
                self._pipeline(book)
            except ChannelClosed:
                self._one_by_one(book)
        except LinkError as error:
            reason = str(error)
        for entry in book.undecided():
            entry.leave(reason)
        return book.results()

    def keep_alive(self) -> None:
        """Read what the broker said, send a heartbeat when due; LinkError when the peer is gone."""
        try:
            self._link.tick()
        except ChannelClosed as error:
            raise self._link.fail(
                LinkError(said("the broker closed the channel: %(error)s", error=str(error)))
            ) from error

    def close(self) -> None:
        """Close the link, within about a second; never raises."""
        self._link.close()

    def abort(self) -> None:
        """Cut the link from any thread; never raises."""
        self._link.abort()

    def _pipeline(self, book: Window) -> None:
        """Write everything, then wait for all confirms."""
        self._write(book, book.undecided())
        self._await_confirms(book)

    def _one_by_one(self, book: Window) -> None:
        """Each message alone, so that one that closes the channel can't take others with it."""
        self._restart_channel(book)
        for entry in book.undecided():
            if self._link.blocked:
                break
            try:
                self._write(book, [entry])
                self._await_confirms(book)
            except ChannelClosed as refusal:
                entry.decide(Fate.REFUSED, str(refusal))
                self._restart_channel(book)

    def _write(self, book: Window, entries: Sequence[Entry]) -> None:
        """Hand over messages until the broker blocks, a TLS record's worth at a time.

        Before each message it is read what the broker says: what it said last counts for all that are not written yet.
        """
        chunk: list[tuple[Entry, bytes]] = []
        size = 0
        for entry in entries:
            self._link.read_available()
            if self._link.blocked:
                return
            frames = self._ready(entry)
            if frames is None:
                continue
            chunk.append((entry, frames))
            size += len(frames)
            if size >= _CHUNK_BYTES:
                self._hand_over(book, chunk)
                chunk, size = [], 0
        self._link.read_available()
        if chunk and not self._link.blocked:
            self._hand_over(book, chunk)

    def _ready(self, entry: Entry) -> bytes | None:
        """The frames of a message, unless its time is over or it can't be written at all."""
        message = entry.message
        try:
            frames = publish_frames(
                channel=self._link.channel_id,
                exchange=EXCHANGE,
                routing_key=message.routing_key,
                message_id=message.message_id,
                correlation_id=message.correlation_id,
                body=message.body,
                frame_max=self._link.frame_max,
            )
        except ValueError:  # too long, or a lone surrogate
            entry.decide(Fate.REFUSED, "its routing key or ids do not fit AMQP's short strings")
            return None
        if message.not_after is not None and self._clock() > message.not_after:
            entry.too_late()
            return None
        return frames

    def _hand_over(self, book: Window, chunk: Sequence[tuple[Entry, bytes]]) -> None:
        """Write a few messages at once."""
        left_s = self._deadline - monotonic()
        if left_s <= 0:
            raise self._link.fail(LinkError(said("the link was too slow for the window")))
        self._link.write_within(left_s)
        for entry, _ in chunk:
            self._tag += 1
            book.handed_over(entry, self._tag)
        self._link.write_frames(b"".join(frames for _, frames in chunk))

    def _await_confirms(self, book: Window) -> None:
        """Wait until every tag is settled. At the deadline the link is dropped, unless the broker blocks it."""
        while book.unconfirmed:
            if self._link.read_frame(self._deadline):
                continue
            if self._link.blocked:
                return
            raise self._link.fail(LinkError(said("no confirm within %(limit_s)s s", limit_s=self._limit_s)))

    def _restart_channel(self, book: Window) -> None:
        """py-amqp has opened the channel again, without confirms; tags start at 1."""
        book.forget_tags()
        self._tag = 0
        self._select_confirms()

    def _select_confirms(self) -> None:
        try:
            self._link.call(self._link.channel.confirm_select)
        except ChannelClosed as error:
            raise self._link.fail(
                LinkError(said("the broker gives no confirms: %(error)s", error=str(error)))
            ) from error

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._window.settle(tag, multiple=multiple, fate=Fate.CONFIRMED)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._window.settle(tag, multiple=multiple, fate=Fate.NACKED, detail="the broker did not take it now")

    def _on_return(self, reason: Any, _exchange: str, _routing_key: str, message: Any) -> None:
        message_id = message.properties.get("message_id", "")
        self._window.returned(message_id, f"{reason.reply_code} {reason.reply_text}")
