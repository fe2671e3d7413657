"""Voke's side of a vhost, for each transport that the port contract runs on."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pika

from link.amqp import AmqpsTransport
from link.broker import LinkTarget, Publisher, Transport
from link.memory import MemoryTransport
from membroker import MemBroker, Message, Overflow, Published
from tests.link.port_world import Arrived
from tests.services.partner import EXCHANGE, Partner
from tests.services.proxy import Proxy
from tests.services.rabbit import RabbitServer
from vcp import bindings, queue_names


class MemoryFarSide:
    """The stand-in's side of an in-process broker."""

    def __init__(self) -> None:
        broker = MemBroker()
        self.transport: Transport = MemoryTransport(broker)
        self.target = LinkTarget(
            connection_id=1,
            name="in memory",
            amqps_uri="amqps://acme:unused@localhost/partner-demo",
            vhost="partner-demo",
            queues=queue_names("acme"),
            routing_prefix="acme",
        )
        self.vhost = broker.vhost("partner-demo")
        for name in (*self.target.queues.to_voke, *self.target.queues.to_partner):
            self.vhost.declare_queue(name)
        for queue, key in bindings(self.target.queues, "acme"):
            self.vhost.bind(queue, key)

    def publish(self, key: str, body: bytes = b"{}", *, headers: Mapping[str, Any] | None = None) -> None:
        message = Message(routing_key=f"acme.{key}", body=body, headers=headers or {})
        assert self.vhost.publish(message) is Published.ROUTED

    def take(self, queue: str) -> list[Arrived]:
        consumer = self.vhost.consume([queue], prefetch=10_000)
        try:
            taken = consumer.get(10_000, 0)
            consumer.ack(taken)
        finally:
            consumer.close()
        return [
            Arrived(
                routing_key=one.message.routing_key,
                body=one.message.body,
                message_id=one.message.message_id,
                correlation_id=one.message.correlation_id,
            )
            for one in taken
        ]

    def depth(self, queue: str) -> int:
        return self.vhost.depth(queue)

    def add_limited_queue(self, name: str, *, binding: str, max_length: int) -> None:
        self.vhost.declare_queue(name, max_length=max_length, overflow=Overflow.REJECT_PUBLISH)
        self.vhost.bind(name, binding)

    def delete_queue(self, name: str) -> None:
        self.vhost.delete_queue(name)


class RabbitFarSide:
    """Voke's own user in a partner's vhost of the private RabbitMQ."""

    def __init__(self, rabbit: RabbitServer, partner: Partner) -> None:
        self.rabbit = rabbit
        self.partner = partner
        self.transport: Transport = amqps_transport(rabbit)
        self.target = target_of(partner)

    def publish(
        self,
        key: str,
        body: bytes = b"{}",
        *,
        headers: Mapping[str, Any] | None = None,
        content_encoding: str | None = None,
    ) -> None:
        properties = pika.BasicProperties(
            delivery_mode=2, headers=dict(headers or {}), content_encoding=content_encoding
        )
        with self.rabbit.voke_connection(self.partner) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(EXCHANGE, f"{self.partner.slug}.{key}", body, properties, mandatory=True)

    def take(self, queue: str) -> list[Arrived]:
        return [
            Arrived(
                routing_key=method.routing_key,
                body=body,
                message_id=properties.message_id,
                correlation_id=properties.correlation_id,
            )
            for method, properties, body in self.take_raw(queue)
        ]

    def take_raw(self, queue: str) -> list[tuple[Any, pika.BasicProperties, bytes]]:
        """All that is in the queue as pika gives it: method, properties, body."""
        taken = []
        with self.rabbit.voke_connection(self.partner) as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    return taken
                taken.append((method, properties, body))

    def depth(self, queue: str) -> int:
        return self.rabbit.queue_depth(self.partner, queue)

    def add_limited_queue(self, name: str, *, binding: str, max_length: int) -> None:
        arguments = {"x-max-length": max_length, "x-overflow": "reject-publish"}
        with self.rabbit.voke_connection(self.partner) as connection:
            channel = connection.channel()
            channel.queue_declare(name, durable=True, arguments=arguments)
            channel.queue_bind(name, EXCHANGE, binding)

    def delete_queue(self, name: str) -> None:
        with self.rabbit.voke_connection(self.partner) as connection:
            connection.channel().queue_delete(name)


def amqps_transport(
    rabbit: RabbitServer,
    *,
    heartbeat_s: int = 10,
    confirm_timeout_s: float = 10.0,
    connect_timeout_s: float = 10.0,
) -> AmqpsTransport:
    """The real adapter, trusting the private broker's authority."""
    return AmqpsTransport(str(rabbit.ca_file), heartbeat_s, confirm_timeout_s, connect_timeout_s)


def through(proxy: Proxy, far_side: RabbitFarSide) -> LinkTarget:
    """The same partner, reached over a proxy."""
    return replace(
        far_side.target,
        amqps_uri=far_side.target.amqps_uri.replace(f":{far_side.rabbit.port}/", f":{proxy.port}/"),
    )


def unconfirmed_at_broker(rabbit: RabbitServer, partner: Partner) -> int:
    """Messages that the broker has taken in a vhost and not confirmed yet."""
    listed = rabbit.ctl("list_channels", "-p", partner.vhost, "messages_unconfirmed", "--no-table-headers")
    return sum(int(line) for line in listed.split())


def await_failure(publisher: Publisher, *, timeout_s: float = 20.0) -> None:
    """Keep an idle link alive until it raises; returns if it never does."""
    deadline = time.monotonic() + timeout_s
    never = threading.Event()
    while time.monotonic() < deadline:
        publisher.keep_alive()
        never.wait(0.02)


def target_of(partner: Partner, *, uri: str | None = None, vhost: str | None = None) -> LinkTarget:
    """A partner of the private broker as a link target."""
    return LinkTarget(
        connection_id=1,
        name=partner.slug,
        amqps_uri=uri or partner.uri,
        vhost=vhost or partner.vhost,
        queues=queue_names(partner.slug, partner.queues),
        routing_prefix=partner.slug,
    )
