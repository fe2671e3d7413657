"""An in-process topic broker with the delivery rules of AMQP 0-9-1, for embedded runs and tests.

It knows vhosts, bounded queues, topic bindings, acknowledgement, redelivery, dead letters and the mandatory
return, and nothing else: no users, no time to live, no durability (whoever needs to survive a restart keeps
an outbox and an inbox of their own). It imports nothing but the standard library.
"""

from membroker.broker import MemBroker, VHost
from membroker.consumer import Consumer
from membroker.errors import (
    BrokerError,
    ConsumerClosed,
    QueueNotFound,
    QueueRedeclared,
    UnknownDelivery,
)
from membroker.messages import DEATH_QUEUE_HEADER, DEATH_REASON_HEADER, Delivery, Message, Overflow, Published
from membroker.topic import topic_matches

__all__ = [
    "DEATH_QUEUE_HEADER",
    "DEATH_REASON_HEADER",
    "BrokerError",
    "Consumer",
    "ConsumerClosed",
    "Delivery",
    "MemBroker",
    "Message",
    "Overflow",
    "Published",
    "QueueNotFound",
    "QueueRedeclared",
    "UnknownDelivery",
    "VHost",
    "topic_matches",
]
