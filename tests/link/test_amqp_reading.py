"""Reading many TLS records at once: frames in order, nothing that came before an error is lost, waits that end."""

import ssl
import struct
from time import monotonic

import pytest

from link.amqp_frames import BoundedTransport

HEARTBEAT = 8


def frame(number, payload=b"x"):
    return struct.pack(">BHI", HEARTBEAT, number, len(payload)) + payload + b"\xce"


class Socket:
    """A TLS socket that has these pieces at once; an exception among them is raised, then nothing is there."""

    def __init__(self, *pieces):
        self._pieces = list(pieces)
        self._timeout = 5.0
        self.waited = 0

    def gettimeout(self):
        return self._timeout

    def settimeout(self, seconds):
        self._timeout = seconds

    def read(self, _size):
        if self._timeout:
            self.waited += 1
        if not self._pieces:
            raise ssl.SSLWantReadError if self._timeout == 0 else TimeoutError
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece


def transport_over(sock):
    transport = BoundedTransport("localhost:1", give_up_at=lambda: monotonic() + 5)
    transport.sock, transport._quick_recv = sock, sock.read
    return transport


def numbers(transport, count):
    return [transport.read_frame()[1] for _ in range(count)]


def test_records_that_are_here_are_read_in_one_go_and_their_frames_given_out_in_order():
    whole = b"".join(frame(number) for number in range(6))
    sock = Socket(whole[:5], whole[5:23], whole[23:])

    assert numbers(transport_over(sock), 6) == list(range(6))
    assert (sock.waited, sock.gettimeout()) == (1, 5.0)


def test_a_frame_that_is_not_whole_waits_for_the_rest():
    sock = Socket(frame(1) + frame(2)[:4], ssl.SSLWantReadError(), frame(2)[4:])
    transport = transport_over(sock)

    assert numbers(transport, 1) == [1]
    assert transport.next_frame() is None
    assert numbers(transport, 1) == [2]


@pytest.mark.parametrize("end", [ConnectionResetError("reset"), b""])
def test_what_came_before_the_end_of_the_link_counts_and_the_end_is_told_by_the_next_read(end):
    transport = transport_over(Socket(frame(1), frame(2), end, end))

    assert numbers(transport, 2) == [1, 2]
    with pytest.raises(OSError, match=r"reset|closed"):
        transport.read_frame()
    assert transport.connected is False


def test_an_error_that_means_try_again_is_told_once_and_ends_no_link():
    transport = transport_over(Socket(frame(1), InterruptedError(4, "again"), frame(2)))

    assert numbers(transport, 2) == [1, 2]


def test_a_peer_that_never_stops_is_read_in_bounded_pieces():
    sock = Socket(*[frame(number) for number in range(200)])
    transport = transport_over(sock)

    transport.read_frame()

    assert 1 < len(sock._pieces) < 199
    assert numbers(transport, 199) == list(range(1, 200))
