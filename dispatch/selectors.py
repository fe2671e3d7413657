"""Reading commands, their timelines and what waits; every list is bounded."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from dispatch.models import Command, CommandEvent, EmergencyLatch, OutboundMessage, Outcome
from plants.models import Connection, ConnectionMode


def connections_with_outbox(*, at: datetime) -> list[Connection]:
    """Active connections whose outbox holds something to look at."""
    pending = OutboundMessage.objects.filter(connection=OuterRef("pk"), outcome=Outcome.PENDING)
    active = Connection.objects.filter(mode=ConnectionMode.ACTIVE)
    return list(active.filter(Exists(pending)).order_by("pk"))


def timeline(*, command_id: int, limit: int = 500) -> Sequence[CommandEvent]:
    """What happened to a command, in the order in which we learnt it."""
    events = CommandEvent.objects.filter(command_id=command_id).select_related("outbound", "inbound")
    return list(events.order_by("pk")[:limit])


def messages_of(*, command_id: int, limit: int = 50) -> Sequence[OutboundMessage]:
    """The messages of a command, oldest first."""
    return list(OutboundMessage.objects.filter(command_id=command_id).order_by("pk")[:limit])


def open_latch(*, plant_id: int) -> EmergencyLatch | None:
    """The plant's emergency that nobody has released yet."""
    return EmergencyLatch.objects.filter(plant_id=plant_id, released_at__isnull=True).first()


def commands_of(*, organisation_id: int) -> QuerySet[Command]:
    """The organisation's commands, newest first; callers page."""
    return Command.objects.filter(organisation_id=organisation_id).select_related("plant").order_by("-pk")
