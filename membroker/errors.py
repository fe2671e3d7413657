"""What a caller may have done wrong; each class carries the stable `code` that logs and tests branch on."""


class BrokerError(Exception):
    """Base of every error of this room."""

    code = "BROKER_ERROR"


class QueueNotFound(BrokerError):
    """The queue was never declared in this vhost, or has been deleted (AMQP reply 404)."""

    code = "QUEUE_NOT_FOUND"


class QueueRedeclared(BrokerError):
    """The queue exists with other arguments (AMQP reply 406)."""

    code = "QUEUE_REDECLARED"


class ConsumerClosed(BrokerError):
    """The consumer was closed, or one of its queues was deleted under it."""

    code = "CONSUMER_CLOSED"


class UnknownDelivery(BrokerError):
    """The delivery is not open at this consumer: settled before, or handed out to another one (AMQP reply
    406).
    """

    code = "UNKNOWN_DELIVERY"
