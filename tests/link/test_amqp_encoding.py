"""The bytes of a published message are those that py-amqp itself would write."""

import amqp
import pytest
from amqp import spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps

from link.amqp_encoding import publish_frames

FRAME_MAX = 4096
KEY = "acme.command.site-setpoint"


class Wire:
    """A py-amqp transport that keeps what is written."""

    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += bytes(data)


class Peer:
    """What py-amqp's writer asks a connection."""

    frame_max = FRAME_MAX
    bytes_sent = 0


def frames(body, *, key=KEY, message_id="m-1", correlation_id="c-é"):
    return publish_frames(
        channel=1,
        exchange="vcp",
        routing_key=key,
        message_id=message_id,
        correlation_id=correlation_id,
        body=body,
        frame_max=FRAME_MAX,
    )


@pytest.mark.parametrize("size", [0, 1, 700, FRAME_MAX - 9, FRAME_MAX - 8, FRAME_MAX - 7, 20_000])
def test_a_message_is_written_as_py_amqp_writes_it(size):
    body = bytes(number % 251 for number in range(size))
    wire = Wire()
    message = amqp.Message(
        body, content_type="application/json", delivery_mode=2, message_id="m-1", correlation_id="c-é"
    )

    frame_writer(Peer(), wire)(
        1, 1, spec.Basic.Publish, dumps("Bssbb", (0, "vcp", KEY, True, False)), message
    )

    assert frames(body) == wire.written


@pytest.mark.parametrize(
    "changes", [{"key": "k" * 256}, {"message_id": "é" * 128}, {"correlation_id": "\ud800"}]
)
def test_a_text_that_amqp_can_not_carry_is_an_error(changes):
    with pytest.raises(ValueError):
        frames(b"{}", **changes)
