"""What py-amqp's errors mean for a link, in codes and plain words that name no secret and no address.

Interpretation: the codes of refusals (403 login, 530 vhost, 404 queue) are RabbitMQ's, which the sources name as
Voke's broker. py-amqp picks its error class by the reply code alone: AccessRefused may mean the channel or the whole
connection, so the state of the connection decides, not the class.
"""

import ssl

from amqp.exceptions import AMQPError, ConnectionForced

from link.broker import LinkError
from vcp.said import said

_ACCESS_REFUSED = 403
_NOT_FOUND = 404
_VHOST_REFUSED = (402, 530)


class ChannelClosed(Exception):
    """The broker closed the channel over a request; `code` and `text` are its own words."""

    def __init__(self, *, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


def channel_closed(error: Exception) -> ChannelClosed | None:
    """The broker's words when the error is a closed channel; only those name the method that was refused."""
    if isinstance(error, AMQPError) and error.method_sig is not None:
        return ChannelClosed(code=int(error.reply_code), text=str(error.reply_text))
    return None


def connect_error(error: Exception) -> LinkError:
    """Why no connection came about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return LinkError(
            said(
                "the broker's certificate was not accepted: %(verify_message)s",
                verify_message=error.verify_message,
            ),
            code="REFUSED_CERTIFICATE",
            permanent=True,
        )
    if isinstance(error, ssl.SSLError):
        return LinkError(
            said("no TLS connection with the broker: %(reason)s", reason=error.reason), code="TLS_FAILED"
        )
    if not isinstance(error, AMQPError):
        return link_error(error)
    text = str(error.reply_text)
    if error.reply_code == _ACCESS_REFUSED:
        return LinkError(
            said("the broker refused user name or API key"), code="REFUSED_CREDENTIALS", permanent=True
        )
    if error.reply_code in _VHOST_REFUSED and "limit" in text:
        return LinkError(said("too many connections: %(text)s", text=text), code="CONNECTION_LIMIT")
    if error.reply_code in _VHOST_REFUSED:
        return LinkError(said("the broker refused the vhost"), code="REFUSED_VHOST", permanent=True)
    return link_error(error)


def queue_error(closed: ChannelClosed, queue: str) -> LinkError:
    """Why a queue can't be consumed."""
    if closed.code == _NOT_FOUND:
        return LinkError(
            said("there is no queue %(queue)s", queue=queue), code="QUEUE_MISSING", permanent=True
        )
    if closed.code == _ACCESS_REFUSED:
        return LinkError(
            said("the key may not read the queue %(queue)s", queue=queue),
            code="QUEUE_FORBIDDEN",
            permanent=True,
        )
    return LinkError(
        said("the queue %(queue)s can't be consumed: %(closed)s", queue=queue, closed=str(closed)),
        code="QUEUE_UNAVAILABLE",
    )


def link_error(error: Exception) -> LinkError:
    """How a connection ended that had come about."""
    if isinstance(error, ConnectionForced) and error.method_sig is None:
        return LinkError(said("the broker was silent for two heartbeats"), code="HEARTBEAT_MISSED")
    if isinstance(error, AMQPError):
        return LinkError(
            said(
                "the broker closed the link: %(reply_code)s %(reply_text)s",
                reply_code=error.reply_code,
                reply_text=error.reply_text,
            )
        )
    if isinstance(error, TimeoutError):
        return LinkError(said("the broker did not answer in time"))
    if isinstance(error, OSError):
        return LinkError(said("the link broke: %(strerror)s", strerror=error.strerror or str(error)))
    return LinkError(said("the broker broke the protocol: %(name)s", name=type(error).__name__))
