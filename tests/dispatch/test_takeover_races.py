"""A takeover and whoever works on the same commands at the same moment: both come to an end, whoever is first.

Rows that name a plant are checked against it at commit, when their writer holds the locks of its commands: a takeover
that kept such rows out would wait for those commands in a circle.
"""

from datetime import timedelta

import pytest
from django.db import transaction

from dispatch.models import OutboundMessage, Outcome
from dispatch.services.due import queue_due
from dispatch.services.site_config import publish_changed
from dispatch.services.takeover import Takeover
from tests import factories
from tests.dispatch.helpers import ask, claims, message_of, mode, setpoint
from tests.dispatch.takeovers import LATER, successor, taken_over
from tests.factories import AT
from tests.link.helpers import ack, hear, realtime, seconds
from tests.threads import Aside, until_blocked
from vcp import Family

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def pending_of(command):
    return OutboundMessage.objects.get(command=command, outcome=Outcome.PENDING)


def test_a_takeover_waits_for_the_tick_that_queues_a_due_command_and_brings_it_along():
    old = factories.connection()
    new = successor(old)
    command = ask(factories.plant(on=old), mode(), due_at=LATER)

    with transaction.atomic():
        queue_due(at=LATER)
        takeover = Aside(lambda: taken_over(old, new))
        until_blocked()

    assert isinstance(takeover.answer(), Takeover)
    assert pending_of(command).connection == new


def test_a_takeover_waits_for_a_claim_that_signs_an_old_message_anew_and_leaves_it_where_it_was_attempted():
    old = factories.connection()
    new = successor(old)
    command = ask(factories.plant(on=old), setpoint())
    stale = AT + factories.policy().replay_margin + timedelta(seconds=1)

    with transaction.atomic():
        claimed = claims(old, at=stale)
        takeover = Aside(lambda: taken_over(old, new, at=stale))
        until_blocked()

    assert isinstance(takeover.answer(), Takeover)
    message = pending_of(command)
    assert (message.connection, str(message.message_id)) == (old, claimed[0].message_id)


def test_a_takeover_waits_for_an_answer_that_overtook_the_confirm():
    old = factories.connection()
    new = successor(old)
    plant = factories.plant(on=old)
    command = ask(plant, mode())
    claims(old)
    hear(old, realtime(plant, at=AT - seconds(9)))  # makes the day's partitions

    with transaction.atomic():
        hear(old, ack("ACCEPTED", plant, message_of(command).correlation_id))
        takeover = Aside(lambda: taken_over(old, new))
        until_blocked()

    assert isinstance(takeover.answer(), Takeover)
    command.refresh_from_db()
    assert command.state == "ACCEPTED"


def test_a_claim_locks_messages_in_the_order_of_their_ids_whatever_their_place_in_the_queue():
    """Site config has no command to lock first: a rival that takes its messages in order must not meet a circle."""
    link = factories.connection()
    for _ in range(2):
        factories.plant(on=link)
    publish_changed(at=AT, policy=factories.policy())
    one, other = OutboundMessage.objects.filter(family=Family.CONFIG_TOPOLOGY).order_by("pk")
    OutboundMessage.objects.filter(pk=other.pk).update(place=one.pk - 1)

    with transaction.atomic():
        rows = OutboundMessage.objects.select_for_update()
        rows.get(pk=one.pk)
        relay = Aside(lambda: claims(link))
        until_blocked()
        free = list(rows.select_for_update(nowait=True).filter(pk=other.pk))

    assert free == [other]
    assert [claim.outbound_id for claim in relay.answer()] == [other.pk, one.pk]
