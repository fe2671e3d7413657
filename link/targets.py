"""From a stored connection to what a link needs: address, queue names, prefix."""

from django.conf import settings

from link.amqp import AmqpsTransport
from link.broker import LinkTarget, Transport
from plants.models import Connection
from vcp import queue_names


def target_of(connection: Connection) -> LinkTarget:
    """The link target of a connection; its repr shows no secret."""
    return LinkTarget(
        connection_id=connection.pk,
        name=connection.name,
        amqps_uri=str(connection.amqps_uri),
        vhost=connection.vhost,
        queues=queue_names(connection.queue_prefix, connection.queues),
        routing_prefix=connection.routing_prefix,
    )


def amqps_transport() -> Transport:
    """The AMQPS transport with this installation's settings."""
    return AmqpsTransport(
        ca_file=settings.AMQP_CA_FILE or None,
        heartbeat_s=settings.AMQP_HEARTBEAT_S,
        confirm_timeout_s=settings.AMQP_CONFIRM_TIMEOUT_S,
    )
